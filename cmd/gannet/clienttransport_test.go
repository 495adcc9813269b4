package main

import (
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/gannetmq/gannet/engine/certs/certtest"
)

// relay is what stands between pub and sub and a broker in this process: it ends TLS and WebSocket, and passes the bytes on.
type relay struct {
	t         *testing.T
	broker    string // address
	tls       *tls.Config
	websocket string // path; empty: none
	wg        sync.WaitGroup
}

// listen serves on an address of its own, which it returns.
func (r *relay) listen(network, address string) net.Addr {
	r.t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.serve(c) })
		}
	})
	r.t.Cleanup(func() { l.Close(); r.wg.Wait() })
	return l.Addr()
}

func (r *relay) serve(c net.Conn) {
	defer c.Close()
	if r.tls != nil {
		secure := tls.Server(c, r.tls)
		if secure.Handshake() != nil {
			return
		}
		c = secure
	}
	if r.websocket != "" {
		u := ws.Upgrader{
			Protocol: func(p []byte) bool { return string(p) == "mqtt" },
			OnRequest: func(uri []byte) error {
				if string(uri) != r.websocket {
					return ws.RejectConnectionError(ws.RejectionStatus(404))
				}
				return nil
			},
		}
		if _, err := u.Upgrade(c); err != nil {
			return
		}
		c = framed{c}
	}
	broker, err := net.Dial("tcp", r.broker)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer broker.Close()
	r.wg.Go(func() {
		_, _ = io.Copy(broker, c)
		_ = broker.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(c, broker)
}

// framed is the server's end of a WebSocket: one frame for each Read and Write.
type framed struct{ net.Conn }

func (f framed) Read(p []byte) (int, error) {
	h, err := ws.ReadHeader(f.Conn)
	if err != nil || h.OpCode == ws.OpClose || h.Length > int64(len(p)) {
		return 0, io.EOF
	}
	n, err := io.ReadFull(f.Conn, p[:h.Length])
	ws.Cipher(p[:n], h.Mask, 0)
	return n, err
}

func (f framed) Write(p []byte) (int, error) {
	return len(p), ws.WriteFrame(f.Conn, ws.NewBinaryFrame(p))
}

// startRelay starts a broker and a relay in front of it.
func startRelay(t *testing.T, config *tls.Config, websocket string) *relay {
	at := startBroker(t)
	return &relay{t: t, broker: net.JoinHostPort(at[1], at[3]), tls: config, websocket: websocket}
}

func (r *relay) port() string {
	_, port, _ := net.SplitHostPort(r.listen("tcp", "127.0.0.1:0").String())
	return port
}

// exchange publishes a retained message and fetches it again.
func exchange(t *testing.T, at []string, urlOf func(topic string) []string) {
	t.Helper()
	got := run(t, "", append(append([]string{"pub", "-m", "hello", "-r", "-q", "1"}, at...), urlOf("greetings")...)...)
	if got != (result{}) {
		t.Errorf("%v: pub: %+v", at, got)
	}
	got = run(t, "", append(append([]string{"sub", "-C", "1"}, at...), urlOf("greetings")...)...)
	if got != (result{0, "hello\n", ""}) {
		t.Errorf("%v: sub: %+v", at, got)
	}
}

func byTopic(topic string) []string { return []string{"-t", topic} }

func TestMessagesTravelByEveryTransport(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	config := &tls.Config{Certificates: []tls.Certificate{ca.Server(t, []string{"localhost", "127.0.0.1"}).TLS()}}
	cafile := certtest.Write(t, t.TempDir(), "ca.crt", ca.PEM())

	secure := startRelay(t, config, "").port()
	exchange(t, []string{"-p", secure, "--cafile", cafile}, byTopic)
	exchange(t, []string{"-h", "127.0.0.1", "-p", secure, "--capath", filepath.Dir(cafile), "--tls-version", "tlsv1.3", "--tls-alpn", "mqtt"}, byTopic)
	exchange(t, []string{"--cafile", cafile}, func(topic string) []string { return []string{"-L", "mqtts://localhost:" + secure + "/" + topic} })

	web := startRelay(t, nil, "/mqtt").port()
	exchange(t, []string{"-p", web, "--ws"}, byTopic)
	exchange(t, nil, func(topic string) []string { return []string{"-L", "ws://localhost:" + web + "/" + topic} })
	secureWeb := startRelay(t, config, "/other?x=1").port()
	exchange(t, []string{"--cafile", cafile, "--ws-path", "/other?x=1"},
		func(topic string) []string { return []string{"-L", "wss://localhost:" + secureWeb + "/" + topic} })

	socket := filepath.Join(t.TempDir(), "mqtt.sock")
	startRelay(t, nil, "").listen("unix", socket)
	exchange(t, []string{"--unix", socket}, byTopic)
}

func TestClientCertificateIsShown(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	port := startRelay(t, &tls.Config{
		Certificates: []tls.Certificate{ca.Server(t, []string{"localhost"}).TLS()}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}, "").port()
	dir := t.TempDir()
	at := []string{"-p", port, "--cafile", certtest.Write(t, dir, "ca.crt", ca.PEM())}
	cert, key := ca.Client(t, "rajan").Files(t, dir, "rajan")
	exchange(t, append(at, "--cert", cert, "--key", key, "--keyform", "pem"), byTopic)

	got := run(t, "", args("pub", at, "-t", "a", "-m", "x")...)
	if got.status != statusTLS || !strings.Contains(got.stderr, "certificate required") || !strings.Contains(got.stderr, "--cert") {
		t.Errorf("without a certificate: %+v", got)
	}
}

func TestServerThatCannotBeTrustedIsRefused(t *testing.T) {
	ca, other := certtest.NewCA(t, "root"), certtest.NewCA(t, "other")
	dir := t.TempDir()
	cafile, otherfile := certtest.Write(t, dir, "ca.crt", ca.PEM()), certtest.Write(t, dir, "other.crt", other.PEM())
	serve := func(cert *certtest.Certificate) string {
		return startRelay(t, &tls.Config{Certificates: []tls.Certificate{cert.TLS()}}, "").port()
	}
	good, expired := serve(ca.Server(t, []string{"localhost"})), serve(ca.Server(t, []string{"localhost"}, certtest.Expired))
	elsewhere := serve(ca.Server(t, []string{"example.org", "10.0.0.1"}))
	plain := startRelay(t, nil, "").port()
	for _, test := range []struct{ flags, want string }{
		{"-p " + good + " --cafile " + otherfile, "The server's certificate (CN=localhost) is not signed by a trusted authority"},
		{"-p " + good + " --insecure --cafile " + otherfile, "not signed by a trusted authority"},
		{"-p " + good + " --tls-use-os-certs", "not signed by a trusted authority"},
		{"-p " + elsewhere + " --cafile " + cafile, "The server's certificate is for example.org, 10.0.0.1, not for localhost"},
		{"-p " + good + " -h 127.0.0.1 --cafile " + cafile, "is for localhost, not for 127.0.0.1"},
		{"-p " + expired + " --cafile " + cafile, "The server's certificate is valid from"},
		{"-p " + expired + " --insecure --cafile " + cafile, "The server's certificate is valid from"},
		{"-p " + plain + " --cafile " + cafile, "The server"},
	} {
		got := run(t, "", append([]string{"pub", "-t", "a", "-m", "x"}, strings.Fields(test.flags)...)...)
		if got.status != statusTLS || !strings.HasPrefix(got.stderr, "Error: ") || !strings.Contains(got.stderr, test.want) ||
			strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%s: %+v", test.flags, got)
		}
	}
	exchange(t, []string{"-p", elsewhere, "--cafile", cafile, "--insecure"}, byTopic)
	exchange(t, []string{"-p", plain, "--cafile", cafile, "--no-tls"}, byTopic)
}

func TestCommonNameWillDoWhereThereIsNothingElse(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	for name, hosts := range map[string]map[string]bool{
		"localhost":     {"localhost": true, "LOCALHOST": true, "127.0.0.1": false, "xlocalhost": false},
		"127.0.0.1":     {"127.0.0.1": true},
		"*.example.org": {"a.example.org": true, "a.b.example.org": false, "example.org": false, "*.example.org": true},
		"*.org":         {"example.org": false},
		"*.0.0.1":       {"127.0.0.1": false},
	} {
		bare := ca.Server(t, []string{name}, certtest.NoAlternativeNames)
		for host, want := range hosts {
			if got := namedByCommonName(bare.Cert, host); got != want {
				t.Errorf("CN %s for %s: %v", name, host, got)
			}
		}
	}
	if namedByCommonName(ca.Server(t, []string{"localhost"}).Cert, "localhost") {
		t.Error("alternative names must decide where there are some")
	}
	port := startRelay(t, &tls.Config{Certificates: []tls.Certificate{ca.Server(t, []string{"localhost"}, certtest.NoAlternativeNames).TLS()}}, "").port()
	exchange(t, []string{"-p", port, "--cafile", certtest.Write(t, t.TempDir(), "ca.crt", ca.PEM())}, byTopic)
}

func TestTransportFollowsFromFlags(t *testing.T) {
	for _, test := range []struct {
		flags   string
		address string
		tls, ws bool
	}{
		{"-t a", "localhost:1883", false, false},
		{"-t a --cafile x", "localhost:8883", true, false},
		{"-t a --capath x -p 1884", "localhost:1884", true, false},
		{"-t a --tls-use-os-certs", "localhost:8883", true, false},
		{"-t a -p 8883", "localhost:8883", true, false},
		{"-t a -p 8883 --no-tls", "localhost:8883", false, false},
		{"-t a --cafile x --no-tls", "localhost:1883", false, false},
		{"-L mqtts://h/a", "h:8883", true, false},
		{"-L MQTTS://u:p@h:1/a", "h:1", true, false},
		{"-L ws://h/a", "h:1883", false, true},
		{"-L wss://h/a", "h:8883", true, true},
		{"-t a --ws -p 80", "localhost:80", false, true},
	} {
		f, err := parseClientFlags(commandSub, strings.Fields(test.flags))
		if err != nil {
			t.Errorf("%s: %v", test.flags, err)
			continue
		}
		if o := f.options("id"); o.Address != test.address || f.useTLS() != test.tls || f.transport.ws != test.ws || f.topics[0] != "a" {
			t.Errorf("%s: %s tls=%v ws=%v %v", test.flags, o.Address, f.useTLS(), f.transport.ws, f.topics)
		}
	}
}

func TestMistakesInTransportFlagsAreReported(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for flags, want := range map[string]string{
		"--cafile x --cert a":                          "Error: Both certfile and keyfile must be provided if one of them is set.\n",
		"--cafile x --keyform pem":                     "Error: If keyform is set, keyfile must be also specified.\n",
		"--cafile x --cert a --key b --keyform engine": "Error: --keyform engine is not supported: use a key in a PEM file.\n",
		"--cafile x --tls-version tlsv1.1":             "Error: TLS version \"tlsv1.1\": TLS below 1.2 is broken and not offered: write tlsv1.2.\n",
		"--cafile x --ciphers FOO":                     "Error: cipher suite \"FOO\" is unknown",
		"--cert a --key b":                             "Error: --cert needs TLS",
		"--insecure":                                   "Error: --insecure needs TLS",
		"--ws --ws-path mqtt":                          "Error: --ws-path must begin with '/'.\n",
		"--cafile":                                     "Error: --cafile argument given but no file specified.\n",
		"--cafile " + missing:                          "Error: CA: open " + missing + ": no such file or directory.\n",
		"--tls-use-os-certs --cert a --key b":          "Error: Certificate: open a: no such file or directory.\n",
		"--unix " + missing:                            "Error: No such file or directory\n",
	} {
		got := run(t, "", append([]string{"pub", "-t", "a", "-m", "x"}, strings.Fields(flags)...)...)
		if got.status != statusFailure || !strings.HasPrefix(got.stderr, want) {
			t.Errorf("%s: %+v, want %s", flags, got, want)
		}
	}
}

func TestWebSocketThatIsNotThereIsReported(t *testing.T) {
	port := startRelay(t, nil, "/elsewhere").port()
	got := run(t, "", "pub", "-t", "a", "-m", "x", "--ws", "-p", port)
	if got != (result{statusFailure, "", "Error: WebSocket handshake: the server answers /mqtt with HTTP status 404\n"}) {
		t.Errorf("%+v", got)
	}
}
