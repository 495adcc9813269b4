package secure

import (
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"
)

// attacks is the table that TestAttacks prints.
type attacks struct{ rows [][]string }

func (a *attacks) row(attack, outcome, beside string) {
	a.rows = append(a.rows, []string{attack, outcome, beside})
}

func (a *attacks) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "attack\toutcome\tbeside it")
	for _, r := range a.rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	w.Flush()
	return b.String()
}

// elsewhere are the attacks that other packages try, where they see inside the broker.
var elsewhere = [][2]string{
	{"access around the list by alias, $share, will, retained, mount point", "engine/broker TestNoWayAroundTheAccessControlList, engine/session/testdata/access.txt"},
	{"names with wildcards in %u and %c", "engine/auth/acl TestNamesWidenNothing; TestTutorialAccessControl here, beside mosquitto"},
	{"names that look alike, empty levels, $SYS", "engine/auth/acl TestListJudgesAsMosquittoDoes"},
	{"half a CONNECT, or a byte at a time", "engine/attack TestHalfPackets, TestOneByteAtATime, TestConnectionsThatNeverSayConnect"},
	{"HTTP requests that are no upgrade", "engine/websocket TestUpgradeRefuses, FuzzUpgrade"},
	{"frames cut anywhere", "engine/websocket TestReaderGivesTheSameForEveryCut, FuzzReader"},
	{"PROXY headers that are none", "engine/proxy; TestHAProxy here"},
	{"tokens without or with a false signature", "engine/auth/jwt"},
	{"a resumed session of a client that was revoked since", "engine/certs"},
}

// besieged is a broker under attack, with a listener of every kind.
type besieged struct {
	*broker
	plain, secure, web string // ports
	trust              *tls.Config
	authority          *authority
}

func besiege(t *testing.T, flags ...string) *besieged {
	t.Helper()
	dir := folder(t)
	s := &besieged{plain: freePort(t), secure: freePort(t), web: freePort(t), authority: newAuthority(t, dir, "ca")}
	pool := x509.NewCertPool()
	pool.AddCert(s.authority.cert)
	s.trust = &tls.Config{RootCAs: pool, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	succeed(t, dir, "mosquitto_passwd", "-c", "-b", "auth.txt", "rajan", "password123")
	conf := fmt.Sprintf("allow_anonymous false\nconnection_messages false\npassword_file %s\nlistener %s 127.0.0.1\nlistener %s 127.0.0.1\nprotocol websockets\n",
		filepath.Join(dir, "auth.txt"), s.plain, s.web) + tlsListener(s.secure, s.authority, s.authority.server("server"), "")
	s.broker = gannet().serveFlags(t, configure(t, dir, conf), flags, s.plain, s.secure, s.web)
	return s
}

// dialFrom connects to a port from an address of this machine.
func dialFrom(from, port string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := d.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(soon())
	return c, nil
}

// either dials plainly with even numbers and by TLS with odd ones.
func (s *besieged) either(i int) (net.Conn, error) {
	if i%2 == 0 {
		return dialFrom("127.0.0.1", s.plain)
	}
	c, err := dialFrom("127.0.0.1", s.secure)
	if err != nil {
		return nil, err
	}
	return tls.Client(c, s.trust), nil
}

// newcomers log in one after another while an attack is on, and say how long the slowest took.
func (s *besieged) newcomers(t *testing.T, n int) string {
	t.Helper()
	var slowest time.Duration
	for i := range n {
		begun := time.Now()
		w, err := login(s.either, 100_000+i)
		if err != nil {
			t.Fatalf("newcomer %d: %v", i, err)
		}
		w.Close()
		slowest = max(slowest, time.Since(begun))
	}
	return fmt.Sprintf("%d new logins, slowest %v", n, slowest.Round(time.Millisecond))
}

// hold opens n connections, writes hello to each and leaves them.
func hold(t *testing.T, n int, port string, hello []byte) []net.Conn {
	t.Helper()
	held := make([]net.Conn, 0, n)
	t.Cleanup(func() {
		for _, c := range held {
			c.Close()
		}
	})
	for range n {
		c, err := dialFrom("127.0.0.2", port)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		c.Write(hello) // it may be closed already
	}
	return held
}

// thrownOut waits until the server has closed all connections.
func thrownOut(t *testing.T, held []net.Conn) {
	t.Helper()
	deadline := soon()
	for i, c := range held {
		c.SetReadDeadline(deadline)
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d of %d is still open", i, len(held))
		}
	}
}

// TestAttacks does harm to Gannet over the network, beside clients that must not notice.
func TestAttacks(t *testing.T) {
	table := new(attacks)
	onGannet(t, "it is what is attacked", func(t *testing.T, _ maker) {
		t.Run("slow handshakes", func(t *testing.T) {
			s := besiege(t)
			c := gather(t, 100, 50*time.Millisecond, s.either)
			const n = 2000
			// A record that announces a ClientHello of 508 bytes, and the first six of them.
			held := hold(t, n, s.secure, []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"))
			logins := s.newcomers(t, 50)
			thrownOut(t, held)
			table.row(fmt.Sprintf("%d TLS handshakes that stop in the middle", n), "all closed by the server; "+logins, c.unharmed(t))
		})
		t.Run("half-open connections", func(t *testing.T) {
			s := besiege(t)
			c := gather(t, 100, 50*time.Millisecond, s.either)
			const n = 1000
			held := append(hold(t, n, s.plain, nil), hold(t, n, s.plain, []byte(connectPacket("half")[:7]))...)
			held = append(held, hold(t, n, s.web, []byte("GET / HTTP/1.1\r\nHost: a\r\n"))...)
			logins := s.newcomers(t, 50)
			thrownOut(t, held)
			table.row(fmt.Sprintf("%d silent connections, %d half CONNECTs, %d half HTTP requests", n, n, n), "all closed by the server; "+logins, c.unharmed(t))
		})
		t.Run("renegotiation", func(t *testing.T) {
			s := besiege(t)
			c := gather(t, 100, 50*time.Millisecond, s.either)
			const n = 30
			for range n {
				d := sClient(t, s.secure, s.authority, "-tls1_2")
				d.until(t, "Verify return code: 0 (ok)")
				d.say(t, "R\n")
				d.until(t, "RENEGOTIATING")
				d.status(t)
			}
			table.row(fmt.Sprintf("%d attempts at renegotiation (openssl s_client R)", n), "all refused", c.unharmed(t))
		})
		t.Run("HTTP headers", func(t *testing.T) {
			s := besiege(t)
			c := gather(t, 100, 50*time.Millisecond, s.either)
			const n = 500
			request := "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 64<<10)
			for i := range n {
				conn, err := dialFrom("127.0.0.2", s.web)
				if err != nil {
					t.Fatal(err)
				}
				// The server may close before it has read all, which takes its answer away.
				go io.WriteString(conn, request)
				answer, err := io.ReadAll(conn)
				if !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") && (len(answer) > 0 || errors.Is(err, os.ErrDeadlineExceeded)) {
					t.Fatalf("request %d: %.80q, %v", i, answer, err)
				}
				conn.Close()
			}
			table.row(fmt.Sprintf("%d HTTP requests with a header of 64 KiB", n), "431, closed", c.unharmed(t))
		})
		t.Run("frames", func(t *testing.T) {
			s := besiege(t)
			c := gather(t, 100, 50*time.Millisecond, s.either)
			violate(t, s)
			fragment(t, s)
			table.row(fmt.Sprintf("%d violations of WebSocket framing, unmasked frames among them", len(violations)), "each closed with its code", c.unharmed(t))
		})
		t.Run("wrong passwords", func(t *testing.T) { guessPasswords(t, table, "no guard: this machine is exempt") })
		t.Run("wrong passwords, guarded", func(t *testing.T) { guessPasswords(t, table, "guard on", "--guard-loopback") })
		t.Run("include_dir", func(t *testing.T) { trickInclude(t, table) })
	})
	for _, e := range elsewhere {
		table.row(e[0], "", e[1])
	}
	t.Logf("\n%s", table)
}

// violations are first frames of a client, masked with zeros where they are masked, and
// the code with which the server has to close (RFC 6455, sections 5 and 7.4).
var violations = []struct {
	name  string
	frame string
	code  uint16
}{
	{"unmasked", "\x82\x05hello", 1002},
	{"reserved bit", "\xc2\x80\x00\x00\x00\x00", 1002},
	{"unknown opcode", "\x83\x80\x00\x00\x00\x00", 1002},
	{"unknown control opcode", "\x8b\x80\x00\x00\x00\x00", 1002},
	{"text", "\x81\x81\x00\x00\x00\x00a", 1003},
	{"ping in pieces", "\x09\x80\x00\x00\x00\x00", 1002},
	{"long ping", "\x89\xfe\x00\x7e\x00\x00\x00\x00", 1002},
	{"continuation of nothing", "\x80\x81\x00\x00\x00\x00a", 1002},
	{"message inside a message", "\x02\x80\x00\x00\x00\x00\x82\x80\x00\x00\x00\x00", 1002},
	{"negative length", "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1002},
	{"length of a terabyte", "\x82\xff\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00", 1009},
	{"close with half a code", "\x88\x81\x00\x00\x00\x00\x03", 1002},
}

// upgrade opens a WebSocket by hand.
func upgrade(t *testing.T, s *besieged) net.Conn {
	t.Helper()
	conn, err := dialFrom("127.0.0.2", s.web)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	const key = "AAECAwQFBgcICQoLDA0ODw=="
	fmt.Fprintf(conn, "GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n", key)
	var answer []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(answer), "\r\n\r\n"); answer = append(answer, b[0]) {
		if _, err := io.ReadFull(conn, b); err != nil {
			t.Fatalf("upgrade: %v after %q", err, answer)
		}
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if !strings.HasPrefix(string(answer), "HTTP/1.1 101 ") || !strings.Contains(string(answer), base64.StdEncoding.EncodeToString(sum[:])) {
		t.Fatalf("upgrade: %q", answer)
	}
	return conn
}

func violate(t *testing.T, s *besieged) {
	t.Helper()
	for _, v := range violations {
		conn := upgrade(t, s)
		io.WriteString(conn, v.frame)
		answer, err := io.ReadAll(conn)
		if err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("%s: %v", v.name, err)
		}
		if len(answer) < 4 || answer[0] != 0x88 || binary.BigEndian.Uint16(answer[2:]) != v.code {
			t.Errorf("%s: answered with % x, want close with %d", v.name, answer, v.code)
		}
	}
}

// fragment sends what is allowed, in the most tiresome way: CONNECT a byte to a frame, with
// empty frames and pings in between. It has to be served.
func fragment(t *testing.T, s *besieged) {
	t.Helper()
	conn := upgrade(t, s)
	const empty = 20_000
	var b []byte
	opcode := byte(0x02)
	for range empty {
		b = append(b, opcode, 0x80, 0, 0, 0, 0)
		opcode = 0x00
	}
	body := appendString(appendString([]byte("\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01f"), "rajan"), "password123")
	for _, c := range append([]byte{0x10, byte(len(body))}, body...) {
		b = append(b, 0x00, 0x81, 1, 2, 3, 4, c^1)   // FIN never comes
		b = append(b, 0x89, 0x81, 1, 2, 3, 4, 'p'^1) // a ping may come in between
	}
	go conn.Write(b)
	pongs := 0
	for frame := make([]byte, 2); ; {
		if _, err := io.ReadFull(conn, frame); err != nil {
			t.Fatalf("after %d pongs: %v", pongs, err)
		}
		payload := make([]byte, frame[1])
		if _, err := io.ReadFull(conn, payload); err != nil {
			t.Fatal(err)
		}
		switch frame[0] {
		case 0x8a:
			pongs++
		case 0x82:
			if string(payload) != connack {
				t.Fatalf("% x instead of CONNACK", payload)
			}
			return
		default:
			t.Fatalf("frame % x %q", frame, payload)
		}
	}
}

// guessPasswords tries as many wrong passwords as fast as it can, beside a thousand clients
// that work and some that log in.
func guessPasswords(t *testing.T, table *attacks, name string, flags ...string) {
	const size, guesses, guessers = 1000, 30_000, 48
	s := besiege(t, flags...)
	c := gather(t, size, time.Second, s.either)
	var asked, refused, closed atomic.Int64
	var group sync.WaitGroup
	begun := time.Now()
	for g := range guessers {
		group.Go(func() {
			for {
				n := asked.Add(1)
				if n > guesses {
					return
				}
				conn, err := dialFrom("127.0.0.2", s.plain)
				if err != nil {
					closed.Add(1)
					continue
				}
				conn.(*net.TCPConn).SetLinger(0) // or the ports run out
				w, err := openWire(conn, fmt.Sprintf("guess-%d", g), "rajan", fmt.Sprintf("wrong%d", n))
				switch code := refusal(0); {
				case err == nil:
					w.Close()
					t.Errorf("guess %d was accepted", n)
				case errors.As(err, &code):
					refused.Add(1)
				case errors.Is(err, os.ErrDeadlineExceeded):
					t.Errorf("guess %d was never answered", n)
				default:
					closed.Add(1)
				}
			}
		})
	}
	logins := s.newcomers(t, 50)
	group.Wait()
	rate := float64(guesses) / time.Since(begun).Seconds()
	table.row(fmt.Sprintf("%d wrong passwords, %.0f/s (%s)", guesses, rate, name),
		fmt.Sprintf("%d refused, %d closed at once; %s", refused.Load(), closed.Load(), logins), c.unharmed(t))
}

// trickInclude puts things in a folder of include_dir that are not what they seem.
func trickInclude(t *testing.T, table *attacks) {
	for _, trick := range []struct {
		name   string
		make   func(t *testing.T, dir, included string)
		starts bool
		says   string // when it does not start
	}{
		{"a link to a file, as Kubernetes mounts it", func(t *testing.T, dir, included string) {
			write(t, filepath.Join(dir, "real"), "max_connections 100\n")
			link(t, "../real", filepath.Join(included, "a.conf"))
		}, true, ""},
		{"a link to itself", func(t *testing.T, _, included string) { link(t, "a.conf", filepath.Join(included, "a.conf")) }, false, "a.conf"},
		{"a link to nothing", func(t *testing.T, _, included string) { link(t, "/no/such/file", filepath.Join(included, "a.conf")) }, false, "a.conf"},
		{"a link to a device without end", func(t *testing.T, _, included string) { link(t, "/dev/zero", filepath.Join(included, "a.conf")) }, false, "a.conf"},
		{"a pipe that nobody writes to", func(t *testing.T, _, included string) {
			if err := syscall.Mkfifo(filepath.Join(included, "a.conf"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, false, "a.conf"},
		{"a link to the pipe of somebody else", func(t *testing.T, dir, included string) {
			if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
				t.Fatal(err)
			}
			link(t, filepath.Join(dir, "pipe"), filepath.Join(included, "a.conf"))
		}, false, "a.conf"},
		{"a link to a file of secrets", func(t *testing.T, dir, included string) {
			write(t, filepath.Join(dir, "shadow"), "root:$y$j9T$secrethash:19000:0:99999:7:::\n")
			link(t, filepath.Join(dir, "shadow"), filepath.Join(included, "a.conf"))
		}, false, "a.conf:1"},
		{"a file that includes its own folder", func(t *testing.T, _, included string) {
			write(t, filepath.Join(included, "a.conf"), "include_dir "+included+"\n")
		}, true, ""},
		{"a gigabyte in a file", func(t *testing.T, _, included string) {
			write(t, filepath.Join(included, "a.conf"), "# and then a hole\n")
			if err := os.Truncate(filepath.Join(included, "a.conf"), 1<<30); err != nil {
				t.Fatal(err)
			}
		}, false, "a.conf"},
		{"an option of a megabyte", func(t *testing.T, _, included string) {
			write(t, filepath.Join(included, "a.conf"), strings.Repeat("a", 1<<20)+" true\n")
		}, false, "a.conf:1"},
		{"files of other names, hidden ones and editors' copies", func(t *testing.T, _, included string) {
			for _, name := range []string{"a.conf~", ".a.conf.swp", "a.conf.dpkg-old", "conf", "README"} {
				write(t, filepath.Join(included, name), "no configuration\n")
			}
		}, true, ""},
	} {
		t.Run(trick.name, func(t *testing.T) {
			dir, port := folder(t), freePort(t)
			included := filepath.Join(dir, "conf.d")
			if err := os.Mkdir(included, 0o755); err != nil {
				t.Fatal(err)
			}
			trick.make(t, dir, included)
			conf := "allow_anonymous true\nlistener " + port + " 127.0.0.1\ninclude_dir " + included + "\n"
			if trick.starts {
				gannet().serve(t, dir, conf, port).stop(t)
				return
			}
			r := gannet().refusesToStart(t, dir, conf)
			if r.status != 2 || !strings.Contains(r.stderr, trick.says) || len(r.stderr) > 4096 {
				t.Errorf("want status 2 and a line about %s: %.2000v", trick.says, r)
			}
			if strings.Contains(r.stderr, "secrethash") {
				t.Errorf("what is in the file is shown: %v", r)
			}
		})
	}
	table.row("links, pipes, devices and large files in include_dir", "read, or refused by name with status 2; never hangs, shows nothing", "")
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}
