package secure

import (
	"crypto/x509/pkix"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestHAProxy puts Debian's haproxy between clients and the broker, with both versions of
// the PROXY protocol, and with TLS that ends at the proxy.
func TestHAProxy(t *testing.T) {
	have(t, "haproxy")
	onGannet(t, "mosquitto has enable_proxy_protocol since 2.1", func(t *testing.T, m maker) {
		dir := folder(t)
		a := newAuthority(t, dir, "ca")
		server := a.server("server")
		rajan, sita := a.client("rajan", pkix.Name{CommonName: "rajan"}), a.client("sita", pkix.Name{CommonName: "sita"})
		write(t, filepath.Join(dir, "server.pem"), read(t, server.cert)+read(t, server.key))
		acl := filepath.Join(dir, "acl.txt")
		write(t, acl, "pattern write own/%u\n")

		// What haproxy listens on, and the listener of the broker behind it.
		var v1, v2, ended, optional, plain = freePort(t), freePort(t), freePort(t), freePort(t), freePort(t)
		var behind1, behind2, behindTLS, behindOptional = freePort(t), freePort(t), freePort(t), freePort(t)
		b := m.serve(t, dir, "per_listener_settings true\n"+
			fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nenable_proxy_protocol 1\n", behind1)+
			fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nenable_proxy_protocol 2\n", behind2)+
			fmt.Sprintf("listener %s 127.0.0.1\nenable_proxy_protocol 2\nproxy_protocol_v2_require_tls true\nrequire_certificate true\n"+
				"use_identity_as_username true\nacl_file %s\n", behindTLS, acl)+
			fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nenable_proxy_protocol 2\nproxy_protocol_v2_require_tls true\n", behindOptional),
			behind1, behind2, behindTLS, behindOptional)

		file := filepath.Join(dir, "haproxy.cfg")
		write(t, file, fmt.Sprintf(`defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
listen v1
    bind 127.0.0.1:%s
    server gannet 127.0.0.1:%s send-proxy
listen v2
    bind 127.0.0.1:%s
    server gannet 127.0.0.1:%s send-proxy-v2
listen ended
    bind 127.0.0.1:%s ssl crt %s ca-file %s verify optional
    server gannet 127.0.0.1:%s send-proxy-v2-ssl-cn
listen optional
    bind 127.0.0.1:%s ssl crt %s
    server gannet 127.0.0.1:%s send-proxy-v2-ssl
listen plain
    bind 127.0.0.1:%s
    server gannet 127.0.0.1:%s send-proxy-v2
`, v1, behind1, v2, behind2, ended, filepath.Join(dir, "server.pem"), a.file(), behindTLS,
			optional, filepath.Join(dir, "server.pem"), behindOptional, plain, behindTLS))
		succeed(t, "", "haproxy", "-c", "-q", "-f", file)
		talkRaw(t, "haproxy", "-db", "-f", file)
		eventually(t, "haproxy listens", func() bool {
			return run(t, "", "", pub(v1, "-t", "probe", "-m", "x")...).status == 0
		})

		for _, c := range []struct{ name, port string }{{"version 1", v1}, {"version 2", v2}} {
			t.Run(c.name, func(t *testing.T) {
				s := subscribe(t, sub(c.port, "-t", "a", "-q", "2")...)
				big := strings.Repeat("0123456789abcdef", 1<<16)
				write(t, filepath.Join(dir, "big"), big)
				for i, from := range []string{"127.0.0.5", "127.0.0.77"} {
					id := fmt.Sprintf("%s-%d", strings.ReplaceAll(c.name, " ", "-"), i)
					succeed(t, "", "mosquitto_pub", "-h", "127.0.0.1", "-p", c.port, "-A", from, "-i", id, "-t", "a", "-q", "2", "-m", from)
					s.expect(t, "a", 2, 0, from)
					// The log has the client's own address, not the proxy's.
					eventually(t, "the log names "+from, func() bool {
						for line := range strings.Lines(b.all()) {
							if strings.Contains(line, id) && strings.Contains(line, from+":") {
								return true
							}
						}
						return false
					})
				}
				succeed(t, dir, "mosquitto_pub", "-h", "127.0.0.1", "-p", c.port, "-t", "a", "-q", "1", "-f", "big")
				s.expect(t, "a", 1, 0, big)
			})
		}
		t.Run("TLS ends at the proxy", func(t *testing.T) {
			may := func(port string, p *pair, topic string) result {
				flags := []string{"-V", "mqttv5", "-q", "1", "-t", topic, "-m", "x", "-d", "--cafile", a.file()}
				if p != nil {
					flags = with(flags, "--cert", p.cert, "--key", p.key)
				}
				return run(t, "", "", pub(port, flags...)...)
			}
			for _, c := range []struct {
				p           *pair
				topic, want string
			}{
				{&rajan, "own/rajan", "RC:16"}, {&rajan, "own/sita", "RC:135"}, {&sita, "own/sita", "RC:16"}, {&sita, "own/rajan", "RC:135"},
			} {
				if r := may(ended, c.p, c.topic); !strings.Contains(r.stdout, c.want) {
					t.Errorf("%s publishes to %s: want %s: %v", c.p.parsed.Subject.CommonName, c.topic, c.want, r)
				}
			}
			if r := may(ended, nil, "own/rajan"); r.status == 0 {
				t.Errorf("no certificate: %v", r)
			}
			if r := may(optional, nil, "a"); r.status != 0 {
				t.Errorf("TLS is all that is asked for: %v", r)
			}
			if r := run(t, "", "", pub(plain, "-V", "mqttv5", "-q", "1", "-t", "own/rajan", "-u", "rajan", "-P", "x", "-m", "x")...); r.status == 0 {
				t.Errorf("a client without TLS passed through a proxy: %v", r)
			}
		})
		t.Run("a direct client is refused", func(t *testing.T) {
			for _, port := range []string{behind1, behind2, behindTLS, behindOptional} {
				if r := run(t, "", "", pub(port, "-t", "a", "-m", "x")...); r.status == 0 {
					t.Errorf("port %s: %v", port, r)
				}
			}
			// Nor does a header of the other version pass.
			d := talkRaw(t, "openssl", "s_client", "-connect", "127.0.0.1:"+behind2)
			if d.status(t) == 0 {
				t.Error("TLS on a port that wants a PROXY header")
			}
		})
	})
}
