package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gannetmq/gannet/cmd/gannet/internal/client"
	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine"
	"github.com/gannetmq/gannet/engine/certs/certtest"
)

// premises are a broker in this process with all that decides who comes in, and a folder for the files that it reads.
type premises struct {
	t         testing.TB
	dir       string
	admission *admission
	server    *engine.Server
	log       *lockedBuffer
}

// lockedBuffer is a log that a test looks into.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// occupy starts a broker. prepare makes its files; DIR in a flag is their folder. Without a listener among the flags there is one on
// a port of its own.
func occupy(t testing.TB, prepare func(p *premises), flags ...string) *premises {
	t.Helper()
	p := &premises{t: t, dir: t.TempDir(), log: &lockedBuffer{}}
	if prepare != nil {
		prepare(p)
	}
	log := slog.New(slog.NewTextHandler(p.log, nil))
	c, err := p.config(flags...)
	if err != nil {
		t.Fatal(err)
	}
	p.admission = newAdmission(log)
	ch, err := p.admission.prepare(&c)
	if err != nil {
		t.Fatal(err)
	}
	p.admission.commit(ch)()
	if p.server, err = engine.New(p.admission.options(&c, ch), log); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("broker: %v", err)
		}
		p.admission.close()
	})
	return p
}

// config is what flags say.
func (p *premises) config(flags ...string) (config.Config, error) {
	args := []string{"--in-memory", "--loops=2", "--guard-loopback=true"}
	if !strings.Contains(strings.Join(flags, " "), "--listen=") {
		args = append(args, "--listen=mqtt://127.0.0.1:0")
	}
	for _, f := range flags {
		args = append(args, strings.ReplaceAll(f, "DIR", p.dir))
	}
	return config.Load(config.Source{Args: args, ReadFile: os.ReadFile})
}

// reload is a SIGHUP with other flags.
func (p *premises) reload(flags ...string) error {
	p.t.Helper()
	c, err := p.config(flags...)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.admission.reload(p.server, &c)
}

// mustReload is reload without a mistake.
func (p *premises) mustReload(flags ...string) {
	p.t.Helper()
	if err := p.reload(flags...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *premises) path(name string) string { return filepath.Join(p.dir, name) }

func (p *premises) write(name, content string) {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// users writes a password file: names, each with a password.
func (p *premises) users(name string, list ...string) {
	p.t.Helper()
	p.write(name, "")
	for i := 0; i < len(list); i += 2 {
		var stderr bytes.Buffer
		proc := process{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &stderr}
		if status := proc.run(context.Background(), []string{"passwd", "-b", p.path(name), list[i], list[i+1]}); status != 0 {
			p.t.Fatalf("passwd: %s", stderr.String())
		}
	}
}

// address is that of a listener, by its place in the configuration.
func (p *premises) address(listener int) string { return p.server.Addrs()[listener].String() }

// inTime bounds what a test waits for.
func inTime(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// connect connects to a listener as a client that other options describe.
func (p *premises) connect(listener int, o client.Options) (*client.Client, error) {
	o.Address = p.address(listener)
	if o.Version == 0 {
		o.Version = codec.V5
	}
	c, err := client.Dial(inTime(p.t), o)
	if err == nil {
		p.t.Cleanup(c.Close)
	}
	return c, err
}

// as is a client with a name and a password; the empty name is nobody's.
func as(user, password string) client.Options {
	o := client.Options{ClientID: "id-" + user, UserName: user}
	if password != "" {
		o.Password = []byte(password)
	}
	return o
}

// in connects a client that must be let in.
func (p *premises) in(listener int, o client.Options) *client.Client {
	p.t.Helper()
	c, err := p.connect(listener, o)
	if err != nil {
		p.t.Fatalf("%s: %v", o.ClientID, err)
	}
	return c
}

// refused connects a client that must be refused with a code of CONNACK.
func (p *premises) refused(listener int, o client.Options, code codec.ReasonCode) {
	p.t.Helper()
	_, err := p.connect(listener, o)
	var no *client.RefusedError
	if !errors.As(err, &no) || codec.ReasonCode(no.Code()) != code {
		p.t.Errorf("%s: got %v, want code %#x", o.ClientID, err, byte(code))
	}
}

// alive tells whether c is served: it publishes with QoS 1, whatever comes of it.
func (p *premises) alive(c *client.Client) codec.ReasonCode { return p.publish(c, "alive") }

// publish returns the code of PUBACK.
func (p *premises) publish(c *client.Client, topic string) codec.ReasonCode {
	p.t.Helper()
	code, err := c.Publish(inTime(p.t), client.Message{Topic: topic, Payload: []byte("x"), QoS: codec.QoS1})
	if err != nil {
		p.t.Errorf("publish: %v", err)
	}
	return code
}

// thrownOut waits until the server closes the connection of c, with a code of DISCONNECT.
func (p *premises) thrownOut(c *client.Client, code codec.ReasonCode) {
	p.t.Helper()
	select {
	case <-c.Done():
	case <-inTime(p.t).Done():
		p.t.Fatal("it is still connected")
	}
	var gone *client.DisconnectedError
	if !errors.As(c.Err(), &gone) || gone.Reason != code {
		p.t.Errorf("it ended with %v, want code %#x", c.Err(), byte(code))
	}
}

const notAuthorized = codec.NotAuthorized

func TestReloadAddsAndRemovesUsers(t *testing.T) {
	flags := []string{"--password-file=DIR/users"}
	p := occupy(t, func(p *premises) { p.users("users", "stays", "one", "goes", "two", "changes", "three") }, flags...)
	stays, goes, changes := p.in(0, as("stays", "one")), p.in(0, as("goes", "two")), p.in(0, as("changes", "three"))
	p.refused(0, as("comes", "four"), notAuthorized)
	p.refused(0, as("", ""), notAuthorized)

	text, err := os.ReadFile(p.path("users"))
	if err != nil {
		t.Fatal(err)
	}
	p.users("users", "changes", "five", "comes", "four")
	rest, err := os.ReadFile(p.path("users"))
	if err != nil {
		t.Fatal(err)
	}
	kept, _, _ := strings.Cut(string(text), "\n") // the line of who stays
	p.write("users", kept+"\n"+string(rest))
	p.mustReload(flags...)
	p.thrownOut(goes, notAuthorized)
	p.thrownOut(changes, notAuthorized)
	p.alive(stays)
	p.in(0, as("comes", "four"))
	p.in(0, as("changes", "five"))
	p.refused(0, as("goes", "two"), notAuthorized)
	p.refused(0, as("changes", "three"), notAuthorized)
}

// Who needed no name, or only said one, is not let stay when proofs are asked for.
func TestReloadThatClosesAnOpenBroker(t *testing.T) {
	p := occupy(t, func(p *premises) { p.users("users", "alice", "one") }, "--allow-anonymous=true")
	said, nameless := p.in(0, as("alice", "")), p.in(0, as("", ""))
	p.mustReload("--password-file=DIR/users", "--allow-anonymous=true")
	p.thrownOut(said, notAuthorized)
	p.alive(nameless)
	proved := p.in(0, as("alice", "one"))
	p.mustReload("--password-file=DIR/users")
	p.thrownOut(nameless, notAuthorized)
	p.alive(proved)
}

func TestFirstACLFindsWhoIsConnected(t *testing.T) {
	p := occupy(t, nil, "--allow-anonymous=true")
	c := p.in(0, as("alice", ""))
	if codes, err := c.Subscribe(inTime(t), client.Subscription{Filter: "secret", QoS: codec.QoS1}); err != nil || codes[0] != 1 {
		t.Fatalf("%v %v", codes, err)
	}
	if code := p.publish(c, "secret"); code != codec.Success {
		t.Errorf("without rules: %v", code)
	}
	if m := <-c.Messages(); m.Topic != "secret" {
		t.Errorf("heard %s", m.Topic)
	}
	p.write("acl", "user alice\ntopic readwrite open/#\ntopic write secret\n")
	p.mustReload("--allow-anonymous=true", "--acl-file=DIR/acl")
	if code := p.publish(c, "other"); code != notAuthorized {
		t.Errorf("a topic that is not allowed: %v", code)
	}
	if code := p.publish(c, "secret"); code == notAuthorized {
		t.Errorf("a topic that is allowed: %v", code)
	}
	if codes, err := c.Subscribe(inTime(t), client.Subscription{Filter: "open/x", QoS: codec.QoS1}); err != nil || codes[0] != 1 {
		t.Errorf("%v %v", codes, err)
	}
	p.publish(c, "open/x")
	if m := <-c.Messages(); m.Topic != "open/x" {
		t.Errorf("heard %s, which may not be received", m.Topic)
	}
	p.mustReload("--allow-anonymous=true")
	if code := p.publish(c, "other"); code == notAuthorized {
		t.Error("the rules outlive their file")
	}
}

func TestReloadIsAllOrNothing(t *testing.T) {
	ca := certtest.NewCA(t, "ca")
	flags := []string{"--listen=mqtts://127.0.0.1:0?name=a&certfile=DIR/server.crt&keyfile=DIR/server.key", "--password-file=DIR/users", "--acl-file=DIR/acl", "--jwt-secret-file=DIR/secret", "--ban-file=DIR/bans"}
	good := func(p *premises) {
		p.users("users", "alice", "one")
		p.write("acl", "pattern readwrite #\n")
		p.write("secret", secretOfTokens)
		p.write("bans", "")
	}
	p := occupy(t, func(p *premises) {
		good(p)
		ca.Server(t, []string{"localhost"}).Files(t, p.dir, "server")
	}, flags...)
	alice := as("alice", "one")
	alice.Dialer = overTLS(ca, nil)
	c := p.in(0, alice)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, mistake := range map[string]struct {
		spoil func()
		want  string
		flags []string
	}{
		"acl":         {func() { p.write("acl", "user\n") }, "acl-file: " + p.path("acl") + ":1: ", flags},
		"users":       {func() { p.write("users", "alice:plain\n") }, "password-file: " + p.path("users") + ":1: ", flags},
		"keys":        {func() { p.write("secret", "short") }, p.path("secret"), flags},
		"bans":        {func() { p.write("bans", "bann x\n") }, "ban-file: " + p.path("bans") + ":1: ", flags},
		"certificate": {func() { p.write("server.key.none", "") }, "server.key.none", []string{strings.Replace(flags[0], "server.key", "server.key.none", 1), flags[1], flags[2], flags[3], flags[4]}},
		"address": {func() {}, "listen mqtt://" + taken.Addr().String() + ": address already in use",
			append([]string{"--listen=mqtt://" + taken.Addr().String()}, flags...)},
	} {
		good(p)
		// Something that is right, and would be seen: bob comes, alice goes, and may publish nothing any more.
		p.users("users", "bob", "two")
		p.write("acl", "pattern deny #\n")
		mistake.spoil()
		if err := p.reload(mistake.flags...); err == nil || !strings.Contains(err.Error(), mistake.want) {
			t.Errorf("%s: got %v, want %s", name, err, mistake.want)
		}
		if code := p.alive(c); code == notAuthorized {
			t.Errorf("%s: other rules are in force", name)
		}
		bob := as("bob", "two")
		bob.Dialer = alice.Dialer
		p.refused(0, bob, notAuthorized)
		if n := len(p.server.Addrs()); n != 1 {
			t.Errorf("%s: %d listeners", name, n)
		}
	}
	good(p)
	p.mustReload(flags...)
	p.thrownOut(c, notAuthorized) // the same password in a new line, which has another salt
	p.in(0, alice)
}

// overTLS dials with TLS, with a client's certificate if it has one.
func overTLS(ca, device *certtest.Certificate) func(context.Context, string) (net.Conn, error) {
	c := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	c.RootCAs.AddCert(ca.Cert)
	if device != nil {
		c.Certificates = []tls.Certificate{device.TLS()}
	}
	return func(ctx context.Context, address string) (net.Conn, error) {
		return (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", address)
	}
}

func TestReloadReplacesACertificate(t *testing.T) {
	ca := certtest.NewCA(t, "ca")
	var serial atomic.Value
	serial.Store("")
	flags := []string{"--listen=mqtts://127.0.0.1:0?certfile=DIR/server.crt&keyfile=DIR/server.key", "--allow-anonymous=true"}
	p := occupy(t, func(p *premises) { ca.Server(t, []string{"localhost"}).Files(t, p.dir, "server") }, flags...)
	dial := overTLS(ca, nil)
	o := client.Options{ClientID: "a", Dialer: func(ctx context.Context, address string) (net.Conn, error) {
		nc, err := dial(ctx, address)
		if err == nil {
			serial.Store(nc.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String())
		}
		return nc, err
	}}
	first := p.in(0, o)
	before := serial.Load()
	ca.Server(t, []string{"localhost"}).Files(t, p.dir, "server")
	p.mustReload(flags...)
	p.alive(first)
	o.ClientID = "b"
	p.in(0, o)
	if serial.Load() == before {
		t.Error("the old certificate is still shown")
	}
	// TLS where there was none, and the other way round, at the same place: nobody who is there notices.
	p.mustReload("--allow-anonymous=true")
	plain := p.in(0, client.Options{ClientID: "c"})
	p.mustReload(flags...)
	for _, c := range []*client.Client{first, plain} {
		p.alive(c)
	}
	o.ClientID = "d"
	p.in(0, o)
}

// What a policy asks for and what TLS demands are changed in one step: else there was a moment for clients who could show neither.
func TestDemandsOnCertificatesComeWithThePolicy(t *testing.T) {
	ca := certtest.NewCA(t, "ca")
	tlsFlags := "certfile=DIR/server.crt&keyfile=DIR/server.key"
	p := occupy(t, func(p *premises) {
		ca.Server(t, []string{"localhost"}).Files(t, p.dir, "server")
		ca.Files(t, p.dir, "ca")
		p.users("users", "alice", "one")
	}, "--listen=mqtts://127.0.0.1:0?"+tlsFlags, "--password-file=DIR/users")
	before := p.admission.stores
	next, err := p.config("--listen=mqtts://127.0.0.1:0?"+tlsFlags+"&cafile=DIR/ca.crt&require-certificate=true", "--allow-anonymous=true")
	if err != nil {
		t.Fatal(err)
	}
	ch, err := p.admission.prepare(&next)
	if err != nil {
		t.Fatal(err)
	}
	for at, s := range before {
		if ch.listeners[0].TLS == s.ServerConfig() || ch.stores[at] == s {
			t.Error("certificates are demanded later than the policy counts on them")
		}
	}
	ch.giveUp()
	if err := p.admission.reload(p.server, &next); err != nil {
		t.Fatal(err)
	}
	o := as("", "")
	o.Dialer = overTLS(ca, nil)
	if _, err := p.connect(0, o); err == nil {
		t.Error("anonymous without a certificate")
	}
	o.Dialer = overTLS(ca, ca.Client(t, "device"))
	p.in(0, o)
}

func TestReloadChangesListenersAndNobodyNotices(t *testing.T) {
	anyone := "--allow-anonymous=true"
	p := occupy(t, nil, "--listen=mqtt://127.0.0.1:0?name=one", anyone)
	first := p.in(0, client.Options{ClientID: "first"})
	one := p.address(0)

	socket := "unix://" + p.path("s")
	p.mustReload("--listen=mqtt://127.0.0.1:0?name=one", "--listen="+socket+"?socket-mode=0660&name=two", "--listen=ws://localhost:0", anyone)
	if p.address(0) != one {
		t.Errorf("it moved from %s to %s", one, p.address(0))
	}
	second := p.in(1, client.Options{ClientID: "second", Dialer: func(ctx context.Context, address string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", p.path("s"))
	}})
	if info, err := os.Stat(p.path("s")); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info, err)
	}
	p.alive(first)

	p.mustReload("--listen=mqtt://127.0.0.1:0?name=uno&max-connections=1", anyone)
	p.alive(first)
	p.alive(second)
	if _, err := os.Stat(p.path("s")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if _, err := p.connect(0, client.Options{ClientID: "third"}); err == nil {
		t.Error("more than max-connections")
	}
	if stats := p.server.ListenerStats(); len(stats) != 1 || stats[0].Name != "uno" || stats[0].Open != 1 {
		t.Errorf("%+v", stats)
	}
}

// Whoever came through a listener that is gone is under the rules of the broker still, if the listener was.
func TestRulesFollowClientsOfAFormerListener(t *testing.T) {
	anyone := "--allow-anonymous=true"
	keeps := "--listen=mqtt://127.0.0.1:0"
	p := occupy(t, func(p *premises) { p.write("own", "pattern readwrite alive\n") },
		keeps, "--listen=mqtt://localhost:0", "--listen=unix://DIR/s?acl-file=DIR/own", anyone)
	common := p.in(1, client.Options{ClientID: "common"})
	own := p.in(2, client.Options{ClientID: "own", Dialer: func(ctx context.Context, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", p.path("s"))
	}})
	p.mustReload(keeps, anyone)
	p.write("acl", "pattern read #\n")
	p.mustReload(keeps, anyone, "--acl-file=DIR/acl")
	if code := p.alive(common); code != notAuthorized {
		t.Errorf("under the rules of the broker: %v", code)
	}
	if code := p.alive(own); code == notAuthorized {
		t.Error("under rules of its own, which nobody has changed")
	}
	if code := p.publish(own, "else"); code != notAuthorized {
		t.Errorf("its own rules are lost: %v", code)
	}
}

// Rules of its own are followed on, as long as any listener has them: where the one that is gone has moved to, for one.
func TestRulesOfItsOwnFollowClientsOfAListenerThatMoved(t *testing.T) {
	anyone := "--allow-anonymous=true"
	p := occupy(t, func(p *premises) { p.write("own", "pattern readwrite alive\n") },
		"--listen=mqtt://127.0.0.1:0", "--listen=unix://DIR/s?acl-file=DIR/own&name=inner", anyone)
	c := p.in(1, client.Options{ClientID: "c", Dialer: func(ctx context.Context, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", p.path("s"))
	}})
	const gone = "clients of a listener that is gone stay under the rules it had last"
	moved := []string{"--listen=mqtt://127.0.0.1:0", "--listen=unix://DIR/elsewhere?acl-file=DIR/own", anyone}
	p.mustReload(moved...)
	p.alive(c)
	p.write("own", "pattern readwrite other\n")
	p.mustReload(moved...)
	if code := p.alive(c); code != notAuthorized {
		t.Errorf("under the rules before: %v", code)
	}
	if code := p.publish(c, "other"); code == notAuthorized {
		t.Error("not under the new rules")
	}
	if strings.Contains(p.log.String(), gone) {
		t.Error("the log says that nobody has them")
	}
	// Nobody has them any more.
	for range 2 {
		p.mustReload(moved[0], anyone)
	}
	p.write("own", "")
	p.mustReload(moved[0], anyone)
	if code := p.publish(c, "other"); code == notAuthorized {
		t.Error("the last rules are lost")
	}
	if n := strings.Count(p.log.String(), gone); n != 2 { // the place it came by, and the one it moved to
		t.Errorf("the log says it %d times", n)
	}
}

// Two listeners on free ports of one host have the same words for their address, and are not the same place.
func TestListenersOnFreePortsAreToldApart(t *testing.T) {
	anyone := "--allow-anonymous=true"
	ca := certtest.NewCA(t, "ca")
	flags := []string{"--listen=mqtts://127.0.0.1:0?certfile=DIR/server.crt&keyfile=DIR/server.key&acl-file=DIR/none", "--listen=mqtts://127.0.0.1:0?certfile=DIR/server.crt&keyfile=DIR/server.key", anyone}
	p := occupy(t, func(p *premises) {
		p.write("none", "")
		ca.Server(t, []string{"localhost"}).Files(t, p.dir, "server")
	}, flags...)
	for range 2 {
		strict := p.in(0, client.Options{ClientID: "strict", Dialer: overTLS(ca, nil)})
		free := p.in(1, client.Options{ClientID: "free", Dialer: overTLS(ca, nil)})
		if code := p.publish(strict, "x"); code != notAuthorized {
			t.Errorf("where nothing is allowed: %v", code)
		}
		if code := p.publish(free, "x"); code == notAuthorized {
			t.Errorf("where everything is: %v", code)
		}
		if n := len(p.admission.stores); n != 2 {
			t.Errorf("%d stores of certificates", n)
		}
		p.mustReload(flags...)
	}
}

func TestBanListKeepsOutAndThrowsOutUntilItsDate(t *testing.T) {
	flags := []string{"--allow-anonymous=true", "--ban-file=DIR/bans"}
	p := occupy(t, func(p *premises) {
		p.write("bans", "client-id id-old until 2001-01-01T00:00:00Z\nuser late until 2999-01-01T00:00:00Z\n")
	}, flags...)
	p.in(0, as("old", ""))
	p.refused(0, as("late", ""), codec.Banned)
	mallory, alice := p.in(0, as("mallory", "")), p.in(0, as("alice", ""))
	p.write("bans", "user mallory # for a test\n")
	p.mustReload(flags...)
	p.thrownOut(mallory, codec.AdministrativeAction)
	p.refused(0, as("mallory", ""), codec.Banned)
	p.alive(alice)
	p.in(0, as("late", ""))
	p.write("bans", "network 127.0.0.0/8\n")
	p.mustReload(flags...)
	p.thrownOut(alice, codec.AdministrativeAction)
	if _, err := p.connect(0, as("alice", "")); err == nil {
		t.Error("from a network that is banned")
	}
}

func TestGuardIsReplacedWhenItsSettingsAre(t *testing.T) {
	flags := []string{"--password-file=DIR/users", "--ban-file=DIR/bans"}
	p := occupy(t, func(p *premises) {
		p.users("users", "alice", "one")
		p.write("bans", "user mallory\n")
	}, append(flags, "--max-login-failures=2")...)
	for range 2 {
		p.refused(0, as("alice", "wrong"), notAuthorized)
	}
	p.refused(0, as("alice", "one"), codec.Banned)
	p.mustReload(append(flags, "--max-login-failures=3")...) // passwords may be others: everybody begins anew
	p.in(0, as("alice", "one"))
	p.refused(0, as("mallory", "x"), codec.Banned)
	for range 3 {
		p.refused(0, as("bob", "wrong"), notAuthorized)
	}
	p.refused(0, as("bob", "wrong"), codec.Banned)
}

func TestListenersHaveAccessOfTheirOwn(t *testing.T) {
	flags := []string{
		"--listen=mqtt://127.0.0.1:0", "--listen=mqtt://localhost:0?password-file=DIR/others&mount-point=b/",
		"--listen=unix://DIR/s?allow-anonymous=true&acl-file=DIR/acl", "--password-file=DIR/users",
	}
	p := occupy(t, func(p *premises) {
		p.users("users", "alice", "one")
		p.users("others", "alice", "two")
		p.write("acl", "topic read #\n")
	}, flags...)
	p.refused(0, as("alice", "two"), notAuthorized)
	p.refused(1, as("alice", "one"), notAuthorized)
	p.refused(0, as("", ""), notAuthorized)
	a := p.in(0, as("alice", "one"))
	o := as("alice", "two")
	o.ClientID = "b"
	b := p.in(1, o)
	anyone := client.Options{ClientID: "u", Dialer: func(ctx context.Context, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", p.path("s"))
	}}
	u := p.in(2, anyone)
	if code := p.publish(u, "x"); code != notAuthorized {
		t.Errorf("the socket's clients may read only: %v", code)
	}
	if _, err := a.Subscribe(inTime(t), client.Subscription{Filter: "#"}); err != nil {
		t.Fatal(err)
	}
	p.publish(b, "$SYS/x")
	if m := <-a.Messages(); m.Topic != "b/$SYS/x" {
		t.Errorf("heard %s", m.Topic)
	}
	if code := p.publish(a, "$SYS/x"); code != notAuthorized {
		t.Errorf("a topic of the server's own: %v", code)
	}
	// A user of one file who goes has nothing to do with his namesake in the other.
	p.users("others", "carol", "three")
	p.mustReload(flags...)
	p.thrownOut(b, notAuthorized)
	p.alive(a)
}

// secretOfTokens is the key of HMAC in tests.
const secretOfTokens = "0123456789abcdef0123456789abcdef"

// token is a JSON Web Token of claims.
func token(t testing.TB, claims map[string]any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(body)
	mac := hmac.New(sha256.New, []byte(secretOfTokens))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestJudgesAreAskedInOrder(t *testing.T) {
	var asked atomic.Int32
	var status atomic.Int32
	status.Store(http.StatusNoContent)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.WriteHeader(int(status.Load()))
	}))
	defer service.Close()
	flags := []string{"--password-file=DIR/users", "--jwt-secret-file=DIR/secret", "--http-url=" + service.URL, "--http-on-failure=ignore", "--http-allow-ttl=0s", "--http-deny-ttl=0s", "--max-login-failures=2"}
	p := occupy(t, func(p *premises) {
		p.users("users", "alice", "one")
		p.write("secret", secretOfTokens)
	}, flags...)
	ticket := token(t, map[string]any{"sub": "bob", "exp": time.Now().Add(time.Hour).Unix()})
	expect := func(what string, n int32) {
		t.Helper()
		if got := asked.Load(); got != n {
			t.Errorf("%s: the service was asked %d times, want %d", what, got, n)
		}
	}
	p.in(0, as("alice", "one"))
	p.refused(0, as("alice", "wrong"), notAuthorized) // the file knows her: nobody else is asked
	p.in(0, as("bob", ticket))
	p.refused(0, as("bob", ticket[:len(ticket)-4]+"AAAA"), notAuthorized)
	expect("before the service", 0)
	p.in(0, as("carol", "three"))
	expect("who is nobody else's", 1)
	status.Store(http.StatusForbidden)
	p.refused(0, as("carol", "three"), notAuthorized)
	expect("again", 2)

	// A service that is away has refused nobody, and bans nobody.
	status.Store(http.StatusInternalServerError)
	for i := range 5 {
		p.refused(0, as(fmt.Sprint("dave", i%2), "four"), codec.ServerUnavailable)
	}
	// In another order the service is asked first.
	status.Store(http.StatusNoContent)
	p.mustReload(append(flags, "--auth-order=http,password,jwt")...)
	n := asked.Load()
	p.in(0, as("alice", "anything"))
	expect("first", n+1)
	if got := p.log.String(); strings.Contains(got, ticket[:20]) || strings.Contains(got, secretOfTokens) {
		t.Errorf("the log shows a secret:\n%s", got)
	}
}

func TestTestConfigTellsByItsStatus(t *testing.T) {
	dir := t.TempDir()
	path := func(name, content string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for name, test := range map[string]struct {
		conf   string
		status int
		want   string // at the beginning of the standard error stream
	}{
		"sound":       {"listener 1884 127.0.0.1\nallow_anonymous true\npersistence false\n", 0, ""},
		"wrong value": {"listener 1884 127.0.0.1\nallow_anonymous perhaps\n", 2, "gannet: CONF:2: allow_anonymous: "},
		"acl":         {"allow_anonymous true\npersistence false\nacl_file " + path("acl", "topic deny\nuser\n") + "\n", 2, "gannet: acl-file: " + dir + "/acl:2: user"},
		"no such":     {"persistence false\npassword_file " + dir + "/none\n", 2, "gannet: password-file: password file: open " + dir + "/none: no such file"},
		"plain":       {"persistence false\npassword_file " + path("plain", "rajan:password123\n") + "\n", 2, "gannet: password-file: " + dir + "/plain:1: user \"rajan\": "},
	} {
		conf := path("mosquitto.conf", test.conf)
		got := run(t, "", "-c", conf, "--test-config")
		if want := strings.ReplaceAll(test.want, "CONF", conf); got.status != test.status || !strings.HasPrefix(lastLine(got.stderr), want) {
			t.Errorf("%s: %+v", name, got)
		}
		if strings.Contains(got.stderr+got.stdout, "password123") {
			t.Errorf("%s: a password is shown", name)
		}
	}
}

// lastLine is the last line of text, which has warnings before it.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
