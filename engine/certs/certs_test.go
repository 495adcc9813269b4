package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gannetmq/gannet/engine/certs"
	"github.com/gannetmq/gannet/engine/certs/certtest"
)

// pair returns the two ends of a connection on loopback. net.Pipe would not do: both sides of TLS may write at once.
func pair() (a, b net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	if b, err = net.Dial("tcp", l.Addr().String()); err != nil {
		panic(err)
	}
	if a, err = l.Accept(); err != nil {
		panic(err)
	}
	return a, b
}

// handshake connects a client to a server and returns what either side says. One byte goes from server to client, so that the client has seen the
// session ticket, and a refusal of its certificate that TLS 1.3 sends late.
func handshake(server, client *tls.Config) (state, clientState tls.ConnectionState, serverErr, clientErr error) {
	a, b := pair()
	s, c := tls.Server(a, server), tls.Client(b, client)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer a.Close()
		if serverErr = s.Handshake(); serverErr == nil {
			_, serverErr = s.Write([]byte{1})
		}
		state = s.ConnectionState()
	}()
	_, clientErr = io.ReadFull(c, make([]byte, 1))
	clientState = c.ConnectionState()
	b.Close()
	<-done
	return state, clientState, serverErr, clientErr
}

// must runs a handshake that has to succeed and returns the server's view.
func must(t *testing.T, server, client *tls.Config) tls.ConnectionState {
	t.Helper()
	state, _, serverErr, clientErr := handshake(server, client)
	if serverErr != nil || clientErr != nil {
		t.Fatalf("handshake: server: %v; client: %v", serverErr, clientErr)
	}
	return state
}

// refused runs a handshake that has to fail and returns the server's reason.
func refused(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	_, _, serverErr, clientErr := handshake(server, client)
	if serverErr == nil || clientErr == nil {
		t.Fatalf("handshake: server: %v; client: %v", serverErr, clientErr)
	}
	return serverErr
}

func load(t *testing.T, o certs.Options) *certs.Store {
	t.Helper()
	s, err := certs.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// site is a folder with an authority and a server's certificate in it.
type site struct {
	t       *testing.T
	dir     string
	ca      *certtest.Certificate
	options certs.Options
}

func newSite(t *testing.T) *site {
	s := &site{t: t, dir: t.TempDir(), ca: certtest.NewCA(t, "root")}
	cert, key := s.ca.Server(t, []string{"localhost"}).Files(t, s.dir, "server")
	s.options = certs.Options{
		Pairs: []certs.Pair{{CertFile: cert, KeyFile: key}}, CAFile: certtest.Write(t, s.dir, "ca.crt", s.ca.PEM()),
	}
	return s
}

// withCRL has the site demand client certificates and revoke some.
func (s *site) withCRL(revoked ...*certtest.Certificate) *site {
	s.options.Clients = certs.ClientRequired
	s.options.CRLFiles = []string{s.crl(revoked...)}
	return s
}

func (s *site) crl(revoked ...*certtest.Certificate) string {
	return certtest.Write(s.t, s.dir, "ca.crl", s.ca.CRL(s.t, time.Now().Add(time.Hour), revoked...))
}

// client is a client that trusts the site's authority and brings certificates.
func (s *site) client(own ...*certtest.Certificate) *tls.Config {
	c := &tls.Config{RootCAs: s.ca.Pool(), ServerName: "localhost"}
	for _, cert := range own {
		c.Certificates = append(c.Certificates, cert.TLS())
	}
	return c
}

func TestCertificateIsChosenByTheNameAskedFor(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"mqtt.example.org", "*.devices.example.org"} {
		file := strings.ReplaceAll(name, "*", "any")
		cert, key := s.ca.Server(t, []string{name}).Files(t, s.dir, file)
		s.options.Pairs = append(s.options.Pairs, certs.Pair{CertFile: cert, KeyFile: key})
	}
	server := load(t, s.options).ServerConfig()
	for asked, want := range map[string]string{
		"":                      "localhost",
		"localhost":             "localhost",
		"elsewhere.example.org": "localhost",
		"mqtt.example.org":      "mqtt.example.org",
		"MQTT.example.org":      "mqtt.example.org",
		"a.devices.example.org": "*.devices.example.org",
		"devices.example.org":   "localhost",
	} {
		_, seen, serverErr, clientErr := handshake(server, &tls.Config{InsecureSkipVerify: true, ServerName: asked})
		if serverErr != nil || clientErr != nil {
			t.Fatalf("%s: %v, %v", asked, serverErr, clientErr)
		}
		if got := seen.PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("asked for %q: got %s, want %s", asked, got, want)
		}
	}
}

func TestVersionsSuitesAndALPNAreThoseConfigured(t *testing.T) {
	s := newSite(t)
	only12, only13 := s.client(), s.client()
	only12.MaxVersion, only13.MinVersion = tls.VersionTLS12, tls.VersionTLS13
	only11 := s.client()
	only11.MinVersion, only11.MaxVersion = tls.VersionTLS10, tls.VersionTLS11

	server := load(t, s.options).ServerConfig()
	if v := must(t, server, only12).Version; v != tls.VersionTLS12 {
		t.Errorf("TLS 1.2: %s", tls.VersionName(v))
	}
	if v := must(t, server, only13).Version; v != tls.VersionTLS13 {
		t.Errorf("TLS 1.3: %s", tls.VersionName(v))
	}
	refused(t, server, only11)

	o := s.options
	o.MinVersion = tls.VersionTLS13
	refused(t, load(t, o).ServerConfig(), only12)
	o.MinVersion, o.MaxVersion = 0, tls.VersionTLS12
	refused(t, load(t, o).ServerConfig(), only13)

	o.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
	if got := must(t, load(t, o).ServerConfig(), only12).CipherSuite; got != o.CipherSuites[0] {
		t.Errorf("suite %s", tls.CipherSuiteName(got))
	}

	mqtt, other := s.client(), s.client()
	mqtt.NextProtos, other.NextProtos = []string{"x", "mqtt"}, []string{"http/1.1"} // as a browser does
	if got := must(t, server, mqtt).NegotiatedProtocol; got != "mqtt" {
		t.Errorf("ALPN: %q", got)
	}
	if got := must(t, server, other).NegotiatedProtocol; got != "" {
		t.Errorf("ALPN without a protocol in common: %q", got)
	}
	o = s.options
	o.ALPN = []string{}
	if got := must(t, load(t, o).ServerConfig(), mqtt).NegotiatedProtocol; got != "" {
		t.Errorf("ALPN ignored: %q", got)
	}
}

func TestClientCertificates(t *testing.T) {
	s := newSite(t)
	stranger := certtest.NewCA(t, "root") // of the same name, which proves nothing
	between := s.ca.Intermediate(t, "between")
	good, expired := s.ca.Client(t, "good"), s.ca.Client(t, "expired", certtest.Expired)
	early, foreign, deep := s.ca.Client(t, "early", certtest.NotYetValid), stranger.Client(t, "foreign"), between.Client(t, "deep")
	asServer := s.ca.Server(t, []string{"localhost"})
	for _, test := range []struct {
		clients certs.ClientCertificates
		brings  *certtest.Certificate
		ok      bool
		who     string
	}{
		{certs.ClientNone, nil, true, ""},
		{certs.ClientNone, good, true, ""},
		{certs.ClientOptional, nil, true, ""},
		{certs.ClientOptional, good, true, "good"},
		{certs.ClientOptional, foreign, false, ""},
		{certs.ClientRequired, nil, false, ""},
		{certs.ClientRequired, good, true, "good"},
		{certs.ClientRequired, deep, true, "deep"},
		{certs.ClientRequired, expired, false, ""},
		{certs.ClientRequired, early, false, ""},
		{certs.ClientRequired, foreign, false, ""},
		{certs.ClientRequired, asServer, false, ""},
	} {
		o := s.options
		o.Clients = test.clients
		name := test.clients.String() + " "
		client := s.client()
		if test.brings != nil {
			name += test.brings.Cert.Subject.CommonName
			pair := test.brings.TLS() // whether or not the server's list of authorities names its issuer
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		server := load(t, o).ServerConfig()
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			client.MaxVersion = version
			if !test.ok {
				refused(t, server, client)
				continue
			}
			who := ""
			if peer := must(t, server, client).PeerCertificates; len(peer) > 0 {
				who = certs.NamesOf(peer[0]).CommonName
			}
			if who != test.who {
				t.Errorf("%s: got %q, want %q", name, who, test.who)
			}
		}
	}
}

func TestSessionsAreResumedAcrossListenersAndReloads(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := newSite(t).withCRL()
		store := load(t, s.options)
		client := s.client(s.ca.Client(t, "device"))
		client.MaxVersion, client.ClientSessionCache = version, tls.NewLRUClientSessionCache(4)
		if must(t, store.ServerConfig(), client).DidResume {
			t.Fatal("the first connection was resumed")
		}
		if state := must(t, store.ServerConfig(), client); !state.DidResume || len(state.PeerCertificates) == 0 {
			t.Errorf("%s: the second connection was not resumed with its certificate", tls.VersionName(version))
		}
		s.ca.Server(t, []string{"localhost"}).Files(t, s.dir, "server")
		if err := store.Reload(); err != nil {
			t.Fatal(err)
		}
		if !must(t, store.ServerConfig(), client).DidResume {
			t.Errorf("%s: a new certificate made sessions worthless", tls.VersionName(version))
		}
		o := s.options
		o.NoTickets = true
		if err := store.Apply(o); err != nil {
			t.Fatal(err)
		}
		if must(t, store.ServerConfig(), client).DidResume {
			t.Errorf("%s: resumed without tickets", tls.VersionName(version))
		}
	}
}

func TestResumedSessionIsJudgedByTheListsOfNow(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := newSite(t).withCRL()
		store := load(t, s.options)
		device, other := s.ca.Client(t, "device"), s.ca.Client(t, "other")
		resuming := func(own *certtest.Certificate) *tls.Config {
			c := s.client(own)
			c.MaxVersion, c.ClientSessionCache = version, tls.NewLRUClientSessionCache(4)
			must(t, store.ServerConfig(), c)
			if !must(t, store.ServerConfig(), c).DidResume {
				t.Fatalf("%s: not resumed", tls.VersionName(version))
			}
			return c
		}
		a, b := resuming(device), resuming(other)
		s.crl(device)
		if err := store.Reload(); err != nil {
			t.Fatal(err)
		}
		if err := refused(t, store.ServerConfig(), a); !errors.Is(err, certs.ErrRevoked) || !strings.Contains(err.Error(), "CN=device") {
			t.Errorf("%s: revoked: %v", tls.VersionName(version), err)
		}
		if !must(t, store.ServerConfig(), b).DidResume {
			t.Errorf("%s: the other client was not resumed", tls.VersionName(version))
		}

		// A session whose authority has gone is not resumed, and its certificate does not pass.
		o := s.options
		o.CAFile, o.CRLFiles = certtest.Write(t, s.dir, "new.crt", certtest.NewCA(t, "new").PEM()), nil
		if err := store.Apply(o); err != nil {
			t.Fatal(err)
		}
		refused(t, store.ServerConfig(), b)
	}
}

func TestRevocation(t *testing.T) {
	s := newSite(t)
	between := s.ca.Intermediate(t, "between")
	good, bad, deep := s.ca.Client(t, "good"), s.ca.Client(t, "bad"), between.Client(t, "deep")
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Minute)
	rootOnly, both := s.ca.PEM(), append(s.ca.PEM(), between.PEM()...)
	for _, test := range []struct {
		name         string
		authorities  []byte
		lists        []byte
		allowExpired bool
		client       *certtest.Certificate
		want         string // empty: accepted
	}{
		{"not on the list", rootOnly, s.ca.CRL(t, soon, bad), false, good, ""},
		{"on the list", rootOnly, s.ca.CRL(t, soon, bad), false, bad, "certificate is revoked: CN=bad"},
		{"list out of date", rootOnly, s.ca.CRL(t, past), false, good, "is out of date since"},
		{"list out of date, allowed", rootOnly, s.ca.CRL(t, past), true, good, ""},
		{"on a list out of date, allowed", rootOnly, s.ca.CRL(t, past, bad), true, bad, "certificate is revoked"},
		{"the newest list counts", rootOnly, append(s.ca.CRL(t, soon), s.ca.CRL(t, past, good)...), false, good, ""},
		{"issuer without list", rootOnly, s.ca.CRL(t, soon), false, deep, "no revocation list of its issuer (CN=between)"},
		{"both lists", both, append(s.ca.CRL(t, soon), between.CRL(t, soon)...), false, deep, ""},
		{"intermediate revoked", rootOnly, s.ca.CRL(t, soon, between), false, deep, "no revocation list"},
		{"trusted intermediate revoked", both, append(s.ca.CRL(t, soon, between), between.CRL(t, soon)...), false, deep, "certificate is revoked: CN=between"},
	} {
		o := s.options
		o.Clients, o.AllowExpiredCRL = certs.ClientRequired, test.allowExpired
		o.CAFile = certtest.Write(t, s.dir, "cas.crt", test.authorities)
		o.CRLFiles = []string{certtest.Write(t, s.dir, "lists.crl", test.lists)}
		server := load(t, o).ServerConfig()
		if test.want == "" {
			_, _, serverErr, clientErr := handshake(server, s.client(test.client))
			if serverErr != nil || clientErr != nil {
				t.Errorf("%s: %v, %v", test.name, serverErr, clientErr)
			}
			continue
		}
		if err := refused(t, server, s.client(test.client)); !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
}

func TestReloadIsAllOrNothing(t *testing.T) {
	s := newSite(t).withCRL()
	store := load(t, s.options)
	device := s.ca.Client(t, "device")
	serial := func() string {
		_, seen, serverErr, clientErr := handshake(store.ServerConfig(), s.client(device))
		if serverErr != nil || clientErr != nil {
			t.Fatalf("%v, %v", serverErr, clientErr)
		}
		return seen.PeerCertificates[0].SerialNumber.String()
	}
	before := serial()

	renewed := s.ca.Server(t, []string{"localhost"})
	certtest.Write(t, s.dir, "server.crt", renewed.ChainPEM())
	s.crl(device)
	if err := store.Reload(); err == nil || !strings.Contains(err.Error(), "server.crt") || !strings.Contains(err.Error(), "do not belong together") {
		t.Fatalf("half a pair: %v", err)
	}
	if serial() != before {
		t.Error("half a pair was used")
	}
	certtest.Write(t, s.dir, "server.key", renewed.KeyPEM())
	s.crl()
	if err := store.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got == before || got != renewed.Cert.SerialNumber.String() {
		t.Errorf("the renewed certificate is not used")
	}
}

func TestTakePutsInForceWhatAnotherStoreHasRead(t *testing.T) {
	s := newSite(t).withCRL()
	store := load(t, s.options)
	good, bad := s.client(s.ca.Client(t, "good")), s.ca.Client(t, "bad")
	good.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	must(t, store.ServerConfig(), good)
	must(t, store.ServerConfig(), s.client(bad))
	s.crl(bad)
	next := load(t, s.options)
	for _, o := range s.options.Pairs { // what is read is read
		if err := os.Remove(o.CertFile); err != nil {
			t.Fatal(err)
		}
	}
	store.Take(next)
	if err := refused(t, store.ServerConfig(), s.client(bad)); !errors.Is(err, certs.ErrRevoked) {
		t.Errorf("the revoked: %v", err)
	}
	if !must(t, store.ServerConfig(), good).DidResume {
		t.Error("sessions have become worthless")
	}
}

func TestReloadLeavesConnectionsAlone(t *testing.T) {
	s := newSite(t).withCRL()
	store := load(t, s.options)
	a, b := pair()
	defer a.Close()
	defer b.Close()
	server, client := tls.Server(a, store.ServerConfig()), tls.Client(b, s.client(s.ca.Client(t, "device")))
	echoed := make(chan error, 1)
	go func() {
		_, err := io.CopyN(server, server, 2)
		echoed <- err
	}()
	for range 2 {
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		s.ca.Server(t, []string{"localhost"}).Files(t, s.dir, "server")
		if err := store.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-echoed; err != nil {
		t.Fatal(err)
	}
}

func TestChainIsCompletedFromTheAuthorities(t *testing.T) {
	s := newSite(t)
	between := s.ca.Intermediate(t, "between")
	leaf := between.Server(t, []string{"localhost"})
	s.options.Pairs[0] = certs.Pair{
		CertFile: certtest.Write(t, s.dir, "leaf.crt", leaf.PEM()), KeyFile: certtest.Write(t, s.dir, "leaf.key", leaf.KeyPEM()),
	}
	s.options.CAFile = certtest.Write(t, s.dir, "cas.crt", s.ca.PEM(), between.PEM())
	_, seen, serverErr, clientErr := handshake(load(t, s.options).ServerConfig(), s.client())
	if serverErr != nil || clientErr != nil {
		t.Fatalf("%v, %v", serverErr, clientErr)
	}
	if len(seen.PeerCertificates) != 2 {
		t.Errorf("the server sent %d certificates, want its own and the intermediate one", len(seen.PeerCertificates))
	}
}

func TestCAFolderIsReadWhole(t *testing.T) {
	s := newSite(t)
	folder := filepath.Join(s.dir, "cas")
	if err := os.MkdirAll(filepath.Join(folder, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	other := certtest.NewCA(t, "other")
	certtest.Write(t, folder, "root.pem", s.ca.PEM())
	certtest.Write(t, folder, "other", other.PEM())
	certtest.Write(t, folder, "README", []byte("not a certificate"))
	certtest.Write(t, folder, "broken.crt", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	if err := os.Symlink("other", filepath.Join(folder, "0123abcd.0")); err != nil {
		t.Fatal(err)
	}
	s.options.CAFile, s.options.CAPath, s.options.Clients = "", folder, certs.ClientRequired
	store := load(t, s.options)
	for _, ca := range []*certtest.Certificate{s.ca, other} {
		must(t, store.ServerConfig(), s.client(ca.Client(t, "device")))
	}
	if w := store.Warnings(); len(w) != 1 || !strings.Contains(w[0], "broken.crt") {
		t.Errorf("warnings: %q", w)
	}
}

func TestMistakesAreNamedWithTheirFile(t *testing.T) {
	s := newSite(t)
	good, other := s.options, s.ca.Server(t, []string{"other"})
	write := func(name string, content ...[]byte) string { return certtest.Write(t, s.dir, name, content...) }
	otherKey, text := write("other.key", other.KeyPEM()), write("text", []byte("hello"))
	_, otherCA := certtest.NewCA(t, "root"), certtest.NewCA(t, "elsewhere")
	forged := certtest.NewCA(t, "root").CRL(t, time.Now().Add(time.Hour))
	secret := write("secret.key", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	missing := filepath.Join(s.dir, "missing")
	for _, test := range []struct {
		change func(o *certs.Options)
		want   []string
	}{
		{func(o *certs.Options) { o.Pairs = nil }, []string{"no certificate"}},
		{func(o *certs.Options) { o.Pairs = []certs.Pair{{CertFile: "a"}} }, []string{"certificate a has no key"}},
		{func(o *certs.Options) { o.Pairs = []certs.Pair{{KeyFile: "a"}} }, []string{"key a has no certificate"}},
		{func(o *certs.Options) { o.Pairs[0].CertFile = missing }, []string{"certificate: open", missing, "no such file"}},
		{func(o *certs.Options) { o.Pairs[0].KeyFile = missing }, []string{"key: open", missing}},
		{func(o *certs.Options) { o.Pairs[0].CertFile = text }, []string{"certificate " + text, "no PEM block"}},
		{func(o *certs.Options) { o.Pairs[0].KeyFile = text }, []string{"key " + text, "no PEM block"}},
		{func(o *certs.Options) { o.Pairs[0].KeyFile = otherKey }, []string{"server.crt", otherKey, "do not belong together"}},
		{func(o *certs.Options) { o.Pairs[0].KeyFile = secret }, []string{secret, "encrypted", "openssl pkey"}},
		{func(o *certs.Options) { o.Pairs[0].CertFile = s.dir }, []string{s.dir, "not a regular file"}},
		{func(o *certs.Options) { o.CAFile = text }, []string{"CA " + text, "no PEM block"}},
		{func(o *certs.Options) { o.CAFile = missing }, []string{"CA: open", missing}},
		{func(o *certs.Options) { o.CAFile, o.CAPath = "", missing }, []string{"CA folder", missing}},
		{func(o *certs.Options) { o.CAFile, o.CAPath = "", t.TempDir() }, []string{"CA folder", "no PEM certificate"}},
		{func(o *certs.Options) { o.CAFile, o.Clients = "", certs.ClientRequired }, []string{"client certificates without a CA"}},
		{func(o *certs.Options) { o.CAFile, o.CRLFiles = "", []string{"x.crl"} }, []string{"revocation list x.crl without a CA"}},
		{func(o *certs.Options) { o.CRLFiles = []string{missing} }, []string{"revocation list: open", missing}},
		{func(o *certs.Options) { o.CRLFiles = []string{text} }, []string{"revocation list " + text, "neither DER nor"}},
		{func(o *certs.Options) { o.CRLFiles = []string{write("0.crl", []byte{0x30, 0x80})} }, []string{"0.crl: number 1"}},
		{func(o *certs.Options) {
			o.CRLFiles = []string{write("1.crl", otherCA.CRL(t, time.Now().Add(time.Hour)))}
		},
			[]string{"1.crl: number 1", "CN=elsewhere", "none of the authorities"}},
		{func(o *certs.Options) { o.CRLFiles = []string{write("2.crl", s.ca.CRL(t, time.Now()), forged)} },
			[]string{"2.crl: number 2", "not signed by CN=root"}},
		{func(o *certs.Options) { o.MinVersion = tls.VersionTLS11 }, []string{"TLS 1.1 is not offered"}},
		{func(o *certs.Options) { o.MinVersion, o.MaxVersion = tls.VersionTLS13, tls.VersionTLS12 }, []string{"newest TLS version TLS 1.2 is below"}},
	} {
		o := good
		o.Pairs = append([]certs.Pair(nil), good.Pairs...)
		test.change(&o)
		_, err := certs.Load(o)
		for _, part := range test.want {
			if err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, part)
			}
		}
	}
}

func TestPartialRevocationListIsRefused(t *testing.T) {
	s := newSite(t).withCRL()
	s.options.CRLFiles = []string{certtest.Write(t, s.dir, "delta.crl", s.ca.DeltaCRL(t))}
	if _, err := certs.Load(s.options); err == nil || !strings.Contains(err.Error(), "only a part") {
		t.Errorf("got %v", err)
	}
}

func TestDubiousFilesAreWarnedOf(t *testing.T) {
	s := newSite(t)
	cert, key := s.ca.Server(t, []string{"localhost"}, certtest.Expired).Files(t, s.dir, "old")
	early, earlyKey := s.ca.Server(t, []string{"localhost"}, certtest.NotYetValid).Files(t, s.dir, "early")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	between := s.ca.Intermediate(t, "between", certtest.Expired)
	o := certs.Options{
		Pairs:    []certs.Pair{{CertFile: cert, KeyFile: key}, {CertFile: early, KeyFile: earlyKey}},
		CAFile:   certtest.Write(t, s.dir, "cas.crt", s.ca.PEM(), between.PEM()),
		CRLFiles: []string{certtest.Write(t, s.dir, "old.crl", s.ca.CRL(t, time.Now().Add(-time.Minute)))},
		Clients:  certs.ClientOptional,
	}
	got := load(t, o).Warnings()
	want := []string{"old.crt (CN=localhost) expired on", "old.key may be read by everybody", "early.crt (CN=localhost) is not valid before",
		"CN=between) expired on", "CN=between) has no revocation list", "old.crl is out of date since"}
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
}

func TestLoadAuthoritiesFillsAPool(t *testing.T) {
	s := newSite(t)
	pool := x509.NewCertPool()
	if warnings, err := certs.LoadAuthorities(pool, s.options.CAFile, ""); err != nil || len(warnings) > 0 || !pool.Equal(s.ca.Pool()) {
		t.Errorf("%v %v", warnings, err)
	}
}
