package main

import "github.com/gannetmq/gannet/engine/auth"

// scram is the client's side of SCRAM-SHA-256 as a client.Authenticator.
type scram struct{ auth.ScramClient }

func newScram(user, password string) *scram {
	return &scram{auth.ScramClient{UserName: user, Password: password}}
}

// Method is the Authentication Method.
func (*scram) Method() string { return auth.ScramName }

// Answer returns client-final for server-first.
func (s *scram) Answer(data []byte) ([]byte, error) { return s.Final(data) }
