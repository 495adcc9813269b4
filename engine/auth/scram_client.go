package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// ScramClient is the Client's side of SCRAM-SHA-256 without channel binding. Fill in the exported fields, then call
// First, Final and Verify in this order; First begins again. It is owned by one goroutine. All slices returned belong
// to the caller, all slices taken are borrowed for the call.
type ScramClient struct {
	UserName string
	Password string
	// AuthorizationID is the user to act as; "" leaves it out. This Server accepts the user itself only.
	AuthorizationID string
	// Nonce returns the Client's part of the nonce: printable ASCII without commas. nil means crypto/rand.
	Nonce func() string

	state      scramClientState
	gs2Header  string
	nonce      string
	transcript []byte // client-first bare at first, the whole AuthMessage after Final
	serverKey  key
}

type scramClientState uint8

const (
	clientIdle     scramClientState = iota
	clientStarted                   // First was called, the Server has not been heard
	clientAnswered                  // Final was called, the Server has not proved itself
	clientVerified
)

// First returns client-first, the Authentication Data of CONNECT or of the AUTH 0x19 that begins
// a re-authentication. It fails when a name is not allowed by SASLprep.
func (c *ScramClient) First() ([]byte, error) {
	user, err := saslprep(c.UserName)
	if err != nil {
		return nil, fmt.Errorf("user name: %w", err)
	}
	if user == "" {
		return nil, errors.New("user name: empty")
	}
	c.gs2Header = "n,,"
	if c.AuthorizationID != "" {
		acting, err := saslprep(c.AuthorizationID)
		if err != nil {
			return nil, fmt.Errorf("authorization id: %w", err)
		}
		c.gs2Header = "n,a=" + escapeName(acting) + ","
	}
	newNonce := c.Nonce
	if newNonce == nil {
		newNonce = rand.Text
	}
	c.nonce = newNonce()
	c.transcript = []byte("n=" + escapeName(user) + ",r=" + c.nonce)
	c.state = clientStarted
	return append([]byte(c.gs2Header), c.transcript...), nil
}

// Final takes server-first and returns client-final, the Authentication Data of the next AUTH 0x18. It stretches the
// password, which takes milliseconds to a second by the iterations that the Server asks for. It fails when the
// Server's nonce does not extend the Client's, or when iterations or salt are out of bounds.
func (c *ScramClient) Final(serverFirst []byte) ([]byte, error) {
	if c.state != clientStarted {
		return nil, errors.New("scram client: Final without First before it")
	}
	message := string(serverFirst)
	if err := checkMessage(message); err != nil {
		return nil, err
	}
	first, err := parseServerFirst(message)
	if err != nil {
		return nil, fmt.Errorf("server-first: %w", err)
	}
	if len(first.nonce) <= len(c.nonce) || !strings.HasPrefix(first.nonce, c.nonce) {
		return nil, errors.New("server-first: nonce does not extend the client's")
	}
	password, err := saslprep(c.Password)
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	clientKey, serverKey, err := stretch(password, first.salt, first.iterations)
	if err != nil {
		return nil, err
	}

	withoutProof := "c=" + encodeChannelBinding(c.gs2Header) + ",r=" + first.nonce
	c.transcript = append(c.transcript, ","+message+","+withoutProof...)
	c.serverKey = serverKey
	c.state = clientAnswered
	proof := prove(&clientKey, c.transcript)
	return base64.StdEncoding.AppendEncode([]byte(withoutProof+",p="), proof[:]), nil
}

// Verify takes server-final, the Authentication Data of CONNACK or of the closing AUTH 0x00. Only when it returns
// nil has the Server shown that it knows the user's verifier.
func (c *ScramClient) Verify(serverFinal []byte) error {
	if c.state != clientAnswered {
		return errors.New("scram client: Verify without Final before it")
	}
	message := string(serverFinal)
	if err := checkMessage(message); err != nil {
		return err
	}
	attributes, err := splitAttributes(message)
	if err != nil {
		return fmt.Errorf("server-final: %w", err)
	}
	if reason, ok := attribute(attributes[0], 'e'); ok {
		return fmt.Errorf("server-final: refused: %q", reason)
	}
	encoded, ok := attribute(attributes[0], 'v')
	if !ok {
		return fmt.Errorf("server-final: %w", errMalformed)
	}
	got, ok := decodeKey(encoded)
	if !ok {
		return fmt.Errorf("server-final: %w", errMalformed)
	}
	want := sign(&c.serverKey, c.transcript)
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return errors.New("server-final: signature does not fit, the server does not know this user")
	}
	c.state = clientVerified
	return nil
}

// prove makes what Credential.provedBy accepts.
func prove(clientKey *key, authMessage []byte) (proof key) {
	storedKey := storedKeyOf(clientKey)
	signature := sign(&storedKey, authMessage)
	subtle.XORBytes(proof[:], clientKey[:], signature[:])
	return proof
}
