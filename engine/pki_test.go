package engine

import (
	"crypto/tls"
	"testing"

	"github.com/gannetmq/gannet/engine/certs/certtest"
)

// authority is a certificate authority of a test.
type authority struct {
	t  testing.TB
	ca *certtest.Certificate
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	return &authority{t, certtest.NewCA(t, "authority")}
}

// server returns the configuration of a server called localhost.
func (a *authority) server() *tls.Config {
	a.t.Helper()
	return &tls.Config{
		ClientCAs: a.ca.Pool(), ClientAuth: tls.VerifyClientCertIfGiven,
		Certificates: []tls.Certificate{a.ca.Server(a.t, []string{"localhost"}).TLS()},
	}
}

// client returns the configuration of a client that trusts the authority, with a certificate if it has a name.
func (a *authority) client(name string) *tls.Config {
	a.t.Helper()
	c := &tls.Config{RootCAs: a.ca.Pool(), ServerName: "localhost"}
	if name != "" {
		c.Certificates = []tls.Certificate{a.ca.Client(a.t, name).TLS()}
	}
	return c
}
