package engine

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/gannetmq/gannet/engine/proxy"
)

// forwarded is the header of a client at 192.0.2.7.
func forwarded(facts proxy.TLS) *proxy.Header {
	return &proxy.Header{
		Kind: proxy.TCP, Source: netip.MustParseAddrPort("192.0.2.7:4711"), Destination: netip.MustParseAddrPort("192.0.2.1:1883"), TLS: facts,
	}
}

// met returns what the only connection of s says about its client.
func met(t *testing.T, s *running) (remote, userName string) {
	t.Helper()
	said := make(chan string, 2)
	s.cores[0].post(func(e *echoCore) {
		for _, ec := range e.conns {
			said <- ec.transport.RemoteAddr()
			said <- ec.transport.UserName()
		}
	})
	return <-said, <-said
}

// refusedBy tells whether the server closes nc, instead of sending something.
func refusedBy(t *testing.T, nc net.Conn) bool {
	t.Helper()
	_, err := nc.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

func TestProxyTellsTheClient(t *testing.T) {
	a := newAuthority(t)
	good := proxy.TLS{Flags: proxy.OverTLS | proxy.CertificateNow, CommonName: []byte("rajan")}
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	elsewhere := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	v1 := proxy.AppendV1(nil, forwarded(proxy.TLS{}))
	v2 := proxy.AppendV2(nil, forwarded(good), true)
	v2Plain := proxy.AppendV2(nil, forwarded(proxy.TLS{}), false)
	v2Bad := proxy.AppendV2(nil, forwarded(proxy.TLS{Flags: good.Flags, Verify: 1, CommonName: good.CommonName}), false)
	local := proxy.AppendV2(nil, &proxy.Header{Kind: proxy.Local}, false)
	for name, c := range map[string]struct {
		proxy         ProxyOptions
		header        []byte
		remote, user  string
		peer, refused bool // the client is the peer; nobody is let in
		underTLS      bool
	}{
		"v1":                       {proxy: ProxyOptions{Mode: ProxyRequired}, header: v1, remote: "192.0.2.7:4711"},
		"v2":                       {proxy: ProxyOptions{Mode: ProxyRequired, Trusted: loopback}, header: v2, remote: "192.0.2.7:4711"},
		"v2 before TLS":            {proxy: ProxyOptions{Mode: ProxyRequired}, header: v2, remote: "192.0.2.7:4711", underTLS: true},
		"v1 before TLS":            {proxy: ProxyOptions{Mode: ProxyOptional}, header: v1, remote: "192.0.2.7:4711", underTLS: true},
		"identity":                 {proxy: ProxyOptions{Mode: ProxyRequired, IdentityFromTLS: true}, header: v2, remote: "192.0.2.7:4711", user: "rajan"},
		"identity not verified":    {proxy: ProxyOptions{Mode: ProxyRequired, IdentityFromTLS: true}, header: v2Bad, remote: "192.0.2.7:4711"},
		"local":                    {proxy: ProxyOptions{Mode: ProxyRequired}, header: local, peer: true},
		"optional without":         {proxy: ProxyOptions{Mode: ProxyOptional, Trusted: loopback}, peer: true},
		"optional without, TLS":    {proxy: ProxyOptions{Mode: ProxyOptional}, peer: true, underTLS: true},
		"optional, not trusted":    {proxy: ProxyOptions{Mode: ProxyOptional, Trusted: elsewhere}, peer: true},
		"required without":         {proxy: ProxyOptions{Mode: ProxyRequired}, refused: true},
		"required, not trusted":    {proxy: ProxyOptions{Mode: ProxyRequired, Trusted: elsewhere}, header: v1, refused: true},
		"v1 where v2 is":           {proxy: ProxyOptions{Mode: ProxyRequired, Version: 2}, header: v1, refused: true},
		"v2 where v1 is":           {proxy: ProxyOptions{Mode: ProxyRequired, Version: 1}, header: v2, refused: true},
		"TLS required":             {proxy: ProxyOptions{Mode: ProxyRequired, RequireTLS: true}, header: v2Plain, refused: true},
		"TLS required, there":      {proxy: ProxyOptions{Mode: ProxyRequired, RequireTLS: true}, header: v2, remote: "192.0.2.7:4711"},
		"certificate required":     {proxy: ProxyOptions{Mode: ProxyRequired, RequireCertificate: true}, header: v2Bad, refused: true},
		"malformed, though option": {proxy: ProxyOptions{Mode: ProxyOptional}, header: []byte("PROXY TCP4 x\r\n"), refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			o := ListenerOptions{URL: "mqtt://127.0.0.1:0", Proxy: c.proxy}
			if c.underTLS {
				o.URL, o.TLS = "mqtts://127.0.0.1:0", a.server()
			}
			s := serve(t, Options{Loops: 1, Listeners: []ListenerOptions{o}})
			nc := dial(t, s.Addrs()[0])
			peer := nc.LocalAddr().String()
			if c.underTLS {
				// The header and the ClientHello arrive together.
				nc = tls.Client(&prefixed{nc, c.header}, a.client(""))
			} else if _, err := nc.Write(append(c.header, "hello"...)); err != nil && !c.refused {
				t.Fatal(err)
			}
			if c.refused {
				if !refusedBy(t, nc) {
					t.Error("let in")
				}
				s.stop()
				if got := s.Stats(); got.RefusedProxy != 1 || got.Open != 0 {
					t.Errorf("stats: %+v", got)
				}
				return
			}
			if c.underTLS {
				exchange(t, nc, "hello")
			} else {
				got := make([]byte, 5)
				if _, err := io.ReadFull(nc, got); err != nil || string(got) != "hello" {
					t.Fatalf("got %q, %v", got, err)
				}
			}
			if c.peer {
				c.remote = peer
			}
			if remote, user := met(t, s); remote != c.remote || user != c.user {
				t.Errorf("remote %q, user %q; want %q, %q", remote, user, c.remote, c.user)
			}
		})
	}
}

// prefixed writes something before the first thing that is written to it, with it.
type prefixed struct {
	net.Conn
	prefix []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	prefix := p.prefix
	p.prefix = nil
	if _, err := p.Conn.Write(append(prefix, b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}

func TestProxyOnAUnixSocketIsTrusted(t *testing.T) {
	s := serve(t, Options{Loops: 1, Listeners: []ListenerOptions{{
		URL:   "unix://" + filepath.Join(t.TempDir(), "s"),
		Proxy: ProxyOptions{Mode: ProxyRequired, Trusted: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}},
	}}})
	nc := dial(t, s.Addrs()[0])
	if _, err := nc.Write(proxy.AppendV1(nil, forwarded(proxy.TLS{}))); err != nil {
		t.Fatal(err)
	}
	exchange(t, nc, "hello")
	if remote, _ := met(t, s); remote != "192.0.2.7:4711" {
		t.Errorf("remote %q", remote)
	}
}

func TestAdmitIsAskedForThePeerAndForTheClientBehindAProxy(t *testing.T) {
	asked := make(chan string, 10)
	client := netip.MustParseAddr("192.0.2.7")
	serveAdmitting := func(trusted ...netip.Prefix) *running {
		return serve(t, Options{
			Loops: 1,
			Admit: func(a netip.Addr, listener string) bool {
				asked <- a.String() + " " + listener
				return a != client
			},
			Listeners: []ListenerOptions{
				{URL: "mqtt://127.0.0.1:0", Name: "plain"},
				{URL: "mqtt://127.0.0.1:0", Name: "proxied", Proxy: ProxyOptions{Mode: ProxyRequired, Trusted: trusted}},
			},
		})
	}
	want := func(who ...string) {
		t.Helper()
		for _, w := range who {
			if got := <-asked; got != w {
				t.Errorf("asked about %q, want %q", got, w)
			}
		}
	}
	s := serveAdmitting()
	exchange(t, dial(t, s.Addrs()[0]), "hello")
	want("127.0.0.1 plain")
	for _, s := range []*running{s, serveAdmitting(netip.MustParsePrefix("127.0.0.1/32"))} {
		nc := dial(t, s.Addrs()[1])
		if _, err := nc.Write(proxy.AppendV1(nil, forwarded(proxy.TLS{}))); err != nil {
			t.Fatal(err)
		}
		if !refusedBy(t, nc) {
			t.Error("let in")
		}
		if len(s.listeners[1].setup.Load().options.Proxy.Trusted) == 0 {
			want("127.0.0.1 proxied")
		}
		want("192.0.2.7 proxied")
		s.stop()
		if got := s.Stats(); got.RefusedAdmit != 1 || got.Open != 0 {
			t.Errorf("stats: %+v", got)
		}
	}
}
