package auth

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/gannetmq/gannet/codec"
)

// ScramConfig is what a Scram needs besides its users. The zero value is right for a Server.
type ScramConfig struct {
	// Nonce returns the Server's part of a nonce: printable ASCII without commas, not to be guessed, never the same
	// twice. It is called by many goroutines. nil means crypto/rand.
	Nonce func() string
	// Secret is the key from which salts of unknown users are made, of any length; it is not kept. Set it, to the
	// same random bytes on every start, where strangers must not find out users by comparing answers before and
	// after a restart. Empty means 32 random bytes for this process.
	Secret []byte
}

// Scram is the Server's side of SCRAM-SHA-256 without channel binding. It is safe for concurrent use.
type Scram struct {
	users  atomic.Pointer[Users]
	nonce  func() string
	secret key
}

// NewScram returns the method for users, which must not be nil.
func NewScram(users *Users, config ScramConfig) *Scram {
	s := &Scram{nonce: config.Nonce, secret: sha256.Sum256(config.Secret)}
	if s.nonce == nil {
		s.nonce = rand.Text
	}
	if len(config.Secret) == 0 {
		rand.Read(s.secret[:]) // never fails: crypto/rand ends the process instead
	}
	s.SetUsers(users)
	return s
}

// SetUsers replaces all users, for a users file that was read again. Exchanges that have sent their server-first
// end with the credential they began with. users must not be nil.
func (s *Scram) SetUsers(users *Users) {
	if users == nil {
		panic("auth: scram needs users, an empty set at least")
	}
	s.users.Store(users)
}

// Name returns ScramName.
func (s *Scram) Name() string { return ScramName }

// Begin opens an exchange. Client Identifier and User Name of the CONNECT play no part: the user is the one that
// SCRAM names and proves. The exchange holds at most a few messages of 8 KiB.
func (s *Scram) Begin(clientID, userName string) Exchange {
	return &scramExchange{method: s}
}

// credential returns what to check a proof of user against. For a user that does not exist it is made up from the
// secret, the same every time, and known is false: no proof fits. The making up is done for every user, so that the
// time it takes says nothing.
func (s *Scram) credential(user string) (credential Credential, known bool) {
	users := s.users.Load()
	invented := s.invent(user, users.commonShape())
	if credential, known = users.lookup(user); known {
		return credential, true
	}
	return invented, false
}

func (s *Scram) invent(user string, shape credentialShape) Credential {
	random, err := hkdf.Expand(sha256.New, s.secret[:], "scram unknown user "+user, shape.saltBytes+2*keyBytes)
	if err != nil {
		panic("auth: expand the secret for unknown users: " + err.Error())
	}
	salt, keys := random[:shape.saltBytes:shape.saltBytes], random[shape.saltBytes:]
	return Credential{
		iterations: shape.iterations,
		salt:       salt,
		storedKey:  key(keys[:keyBytes]),
		serverKey:  key(keys[keyBytes:]),
	}
}

// scramState says which message of the Client is expected. The legal transitions are those of Step.
type scramState uint8

const (
	scramStarted    scramState = iota // client-first, or nothing
	scramPrompted                     // client-first
	scramChallenged                   // client-final
	scramDone                         // none: proved
	scramFailed                       // none: refused
)

// scramExchange is owned by one session and not safe for concurrent use.
type scramExchange struct {
	method *Scram
	state  scramState

	// Set by client-first, for client-final.
	user           string // prepared
	credential     Credential
	known          bool
	channelBinding string // what c= must repeat
	nonce          string // Client's and Server's
	transcript     []byte // client-first bare, comma, server-first: the AuthMessage so far
}

// Step implements Exchange. What cannot be parsed is MalformedPacket; a wish for channel binding or for an extension
// that the Server must not ignore is BadAuthenticationMethod; all the rest, a wrong proof first of all, is
// NotAuthorized. It is not BadUserNameOrPassword, which a DISCONNECT after a re-authentication cannot carry
// [MQTT-4.12.1-2].
//
// A Client may leave the data out of its first packet: it is asked, once, with an empty reply (RFC 4422 section 5).
func (e *scramExchange) Step(data []byte) (reply []byte, done bool, code codec.ReasonCode) {
	if e.state == scramDone || e.state == scramFailed {
		return e.fail(codec.ProtocolError)
	}
	message := string(data) // the one copy: everything kept is cut from it
	if err := checkMessage(message); err != nil {
		return e.fail(reasonFor(err))
	}
	switch e.state {
	case scramStarted:
		if message == "" {
			e.state = scramPrompted
			return nil, false, codec.Success
		}
		return e.challenge(message)
	case scramPrompted:
		return e.challenge(message)
	case scramChallenged:
		return e.conclude(message)
	default:
		panic("auth: scram exchange in state " + strconv.Itoa(int(e.state)))
	}
}

// Identity returns the user name in its SASLprep form, the one of the users file.
func (e *scramExchange) Identity() string {
	if e.state != scramDone {
		return ""
	}
	return e.user
}

// challenge answers client-first with server-first. Nothing in it depends on whether the user exists.
func (e *scramExchange) challenge(message string) (reply []byte, done bool, code codec.ReasonCode) {
	first, err := parseClientFirst(message)
	if err != nil {
		return e.fail(reasonFor(err))
	}
	user, err := saslprep(first.user)
	if err != nil || user == "" {
		return e.fail(codec.MalformedPacket)
	}
	if first.authorizationID != "" {
		// To act for somebody else is not offered, to name oneself is harmless.
		if acting, err := saslprep(first.authorizationID); err != nil || acting != user {
			return e.fail(codec.NotAuthorized)
		}
	}

	e.user = user
	e.credential, e.known = e.method.credential(user)
	e.channelBinding = encodeChannelBinding(first.gs2Header)
	e.nonce = first.nonce + e.method.nonce()

	e.transcript = append([]byte(first.bare), ',')
	start := len(e.transcript)
	e.transcript = appendServerFirst(e.transcript, e.nonce, &e.credential)
	e.state = scramChallenged
	return append([]byte(nil), e.transcript[start:]...), false, codec.Success
}

// conclude judges client-final and answers with server-final, which proves the Server to the Client.
func (e *scramExchange) conclude(message string) (reply []byte, done bool, code codec.ReasonCode) {
	final, err := parseClientFinal(message)
	if err != nil {
		return e.fail(reasonFor(err))
	}
	// Both values are known to whoever listens: there is nothing to hide in the time the comparison takes.
	if final.channelBinding != e.channelBinding || final.nonce != e.nonce {
		return e.fail(codec.NotAuthorized)
	}
	authMessage := append(append(e.transcript, ','), final.withoutProof...)
	proved := e.credential.provedBy(&final.proof, authMessage)
	if !proved || !e.known {
		return e.fail(codec.NotAuthorized)
	}
	signature := sign(&e.credential.serverKey, authMessage)
	*e = scramExchange{state: scramDone, user: strings.Clone(e.user)} // not to keep the rest of its message
	return base64.StdEncoding.AppendEncode([]byte("v="), signature[:]), true, codec.Success
}

// fail ends the exchange and lets go of all it held.
func (e *scramExchange) fail(code codec.ReasonCode) ([]byte, bool, codec.ReasonCode) {
	*e = scramExchange{state: scramFailed}
	return nil, false, code
}

func reasonFor(err error) codec.ReasonCode {
	if errors.Is(err, errChannelBinding) || errors.Is(err, errMandatory) {
		return codec.BadAuthenticationMethod
	}
	return codec.MalformedPacket
}

func appendServerFirst(dst []byte, nonce string, c *Credential) []byte {
	dst = append(dst, "r="...)
	dst = append(dst, nonce...)
	dst = append(dst, ",s="...)
	dst = base64.StdEncoding.AppendEncode(dst, c.salt)
	dst = append(dst, ",i="...)
	return strconv.AppendInt(dst, int64(c.iterations), 10)
}
