package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"
)

// With a token, coordinator and agent talk over TLS 1.3. The agent's certificate is made
// when it starts and says nothing about who it is; what counts is the token. Each proves
// that it has it by an HMAC of its role and of keying material that both ends of this one
// TLS connection have and nobody else: a challenge that is never the same. Somebody in
// between has two connections with different material, and a proof for one of them
// is none for the other. The token itself is never sent.
//
// An agent without a token uses plain TCP, and only on a loopback address.

// tokenMin and tokenMax bound a token, in bytes: whoever plays the agent gets a proof to
// try guesses on, so that it must be too long for that.
const (
	tokenMin = 16
	tokenMax = 1024
)

// readToken reads the token of a file, which is the whole file without white space around
// it. No file is no token.
func readToken(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("token-file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 2*tokenMax))
	if err != nil {
		return nil, fmt.Errorf("token-file: %w", err)
	}
	text = bytes.TrimSpace(text)
	if len(text) < tokenMin || len(text) > tokenMax {
		return nil, fmt.Errorf("token-file: %s: the token has not %d to %d bytes; openssl rand -hex 32 makes one", path, tokenMin, tokenMax)
	}
	return text, nil
}

// The roles of a proof.
const (
	roleCoordinator = "gannet bench coordinator"
	roleAgent       = "gannet bench agent"
)

// agentLink is one connection between coordinator and agent. receive is called by one
// goroutine, send by another.
type agentLink struct {
	net.Conn
	in    *bufio.Reader
	token []byte
	out   []byte // scratch
}

func newAgentLink(c net.Conn, token []byte) *agentLink {
	return &agentLink{Conn: c, in: bufio.NewReader(c), token: token}
}

func (c *agentLink) send(m *message) error { return c.sendUpTo(m, agentFrameMax) }

func (c *agentLink) sendUpTo(m *message, most int) (err error) {
	if c.out, err = appendFrame(c.out[:0], m, most); err != nil {
		return err
	}
	if err := c.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	_, err = c.Write(c.out)
	return err
}

// receive waits for a message for up to silenceMax.
func (c *agentLink) receive() (message, error) {
	if err := c.SetReadDeadline(time.Now().Add(silenceMax)); err != nil {
		return message{}, err
	}
	return readFrame(c.in, agentFrameMax)
}

// proof returns what the owner of a role has to show.
func (c *agentLink) proof(role string) ([]byte, error) {
	secure, ok := c.Conn.(*tls.Conn)
	if !ok || len(c.token) == 0 {
		return nil, nil
	}
	state := secure.ConnectionState()
	material, err := state.ExportKeyingMaterial("EXPORTER-gannet-bench-agent", nil, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	sum := hmac.New(sha256.New, c.token)
	sum.Write([]byte(role))
	sum.Write(material)
	return sum.Sum(nil), nil
}

// proves says whether the other side has shown that it owns a role.
func (c *agentLink) proves(h *hello, role string) (bool, error) {
	want, err := c.proof(role)
	return err == nil && hmac.Equal(want, h.Proof), err
}

// dialAgent connects to an agent and greets it.
func dialAgent(ctx context.Context, address string, token []byte, protocol int) (*agentLink, error) {
	ctx, cancel := context.WithTimeout(ctx, greetLimit)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if token != nil {
		// No authority vouches for the agent: the proofs do.
		secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("%w; was it started with a --token-file?", err)
		}
		conn = secure
	}
	c := newAgentLink(conn, token)
	if err := c.greet(protocol); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// greet is the coordinator's half of the greeting.
func (c *agentLink) greet(protocol int) error {
	if err := c.SetReadDeadline(time.Now().Add(greetLimit)); err != nil {
		return err
	}
	proof, err := c.proof(roleCoordinator)
	if err != nil {
		return err
	}
	if err := c.sendUpTo(&message{Type: "hello", Hello: &hello{Protocol: protocol, Proof: proof}}, helloMax); err != nil {
		return err
	}
	m, err := readFrame(c.in, helloMax)
	switch {
	case err != nil && c.token == nil:
		return fmt.Errorf("it does not answer as an agent without a token would (%w); if it has one, write --token-file", err)
	case err != nil:
		return err
	case m.Type != "hello":
		return fmt.Errorf("%s instead of hello", m.Type)
	case m.Hello.Protocol != protocol:
		return fmt.Errorf("it speaks protocol %d, and this is %d: run the same gannet on all machines", m.Hello.Protocol, protocol)
	case m.Hello.Refused != "":
		return errors.New(m.Hello.Refused)
	}
	if ok, err := c.proves(m.Hello, roleAgent); !ok {
		return errors.Join(errors.New("it does not know the token"), err)
	}
	return nil
}

// welcome is the agent's half. busy says why there is no run to be had; empty: there is.
// It refuses before it asks whether somebody else has one.
func (c *agentLink) welcome(ctx context.Context, busy func() string) error {
	ctx, cancel := context.WithTimeout(ctx, greetLimit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if secure, ok := c.Conn.(*tls.Conn); ok {
		if err := secure.HandshakeContext(ctx); err != nil {
			return err
		}
	}
	m, err := readFrame(c.in, helloMax)
	if err != nil {
		return err
	}
	if m.Type != "hello" {
		return fmt.Errorf("%s instead of hello", m.Type)
	}
	answer := hello{Protocol: agentProtocol}
	ok, err := c.proves(m.Hello, roleCoordinator)
	switch {
	case err != nil:
		return err
	case m.Hello.Protocol != agentProtocol:
		answer.Refused = fmt.Sprintf("protocol %d, and this agent speaks %d: run the same gannet on all machines", m.Hello.Protocol, agentProtocol)
	case !ok:
		answer.Refused = "the token is not this agent's"
	default:
		answer.Refused = busy()
	}
	if answer.Refused == "" {
		if answer.Proof, err = c.proof(roleAgent); err != nil {
			return err
		}
	}
	if err := c.sendUpTo(&message{Type: "hello", Hello: &answer}, helloMax); err != nil {
		return err
	}
	if answer.Refused != "" {
		return errors.New(answer.Refused)
	}
	return nil
}

// agentAddress checks the address of an agent, to listen on or to connect to: whatever is
// not loopback needs a token.
func agentAddress(address string, token []byte) error {
	host, port, err := net.SplitHostPort(address)
	if _, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil {
		return fmt.Errorf("%q is no HOST:PORT with a port up to 65535", address)
	}
	if addr, err := netip.ParseAddr(host); host == "localhost" || err == nil && addr.IsLoopback() {
		return nil
	}
	if token == nil {
		return fmt.Errorf("%s is not a loopback address: what an agent does there needs a --token-file, the same for all", address)
	}
	return nil
}
