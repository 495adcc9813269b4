//go:build linux && !386 && !poll_opt

package engine

import (
	"os"
	"regexp"
	"syscall"
	"testing"

	"github.com/gannetmq/gannet/engine/broker"
)

func TestDirectKnowsTheGnetInGoMod(t *testing.T) {
	file, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`github\.com/panjf2000/gnet/v2 (\S+)`).FindSubmatch(file)
	if found == nil || string(found[1]) != directVersion {
		t.Fatalf("go.mod has gnet %q: read gnet's newStreamConn and register0 again, and what else direct_linux.go lists, then change directVersion", found)
	}
	if err := checkOrigin(directVersion); err != nil {
		t.Error(err)
	}
	for _, other := range []string{"v2.10.1", "v2.1", "", "10.0"} {
		if checkOrigin(other) == nil {
			t.Errorf("gnet is taken for version %q", other)
		}
	}
}

func TestLoopsAcceptWithTheGnetInUse(t *testing.T) {
	s := serve(t, Options{Loops: 2})
	exchange(t, dial(t, s.Addrs()[0]), "hello")
	s.stop()
	for i, l := range s.loops {
		if g := l.events.(*gnetLoop); g.direct == nil || g.peeker.bell != g.direct.bell {
			t.Errorf("loop %d does not accept", i)
		}
	}
	if !s.listeners[0].detached {
		t.Error("the runtime's poller watches the listener")
	}
}

func TestPeekDoesNotCountTheBell(t *testing.T) {
	listening, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(listening) }()
	at := &syscall.SockaddrUnix{Name: "@"} // the kernel finds a name
	if err := syscall.Bind(listening, at); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(listening, 1); err != nil {
		t.Fatal(err)
	}
	a, far := pair(t)
	epoll, wakeup := epollWith(t, a)
	bell, _ := pair(t)
	p := &peeker{epoll: epoll, wakeup: wakeup, bell: bell}
	d := &direct{epoll: epoll, bell: bell}
	if err := d.watch(listening); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(listening)
	if err != nil {
		t.Fatal(err)
	}
	client, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(client) }()
	if err := syscall.Connect(client, name); err != nil {
		t.Fatal(err)
	}
	if fds := listed(t, epoll); len(fds) != 1 || fds[0] != bell {
		t.Fatalf("epoll lists %v, not the bell", fds)
	}
	if n := p.readable(); n != 0 {
		t.Errorf("a client that waits at a listener: %d callbacks are promised", n)
	}
	if _, err := syscall.Write(far, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if n := p.readable(); n != 1 {
		t.Errorf("and one that sends: %d callbacks are promised, want 1", n)
	}
	d.unwatch(listening)
	if fds := listed(t, epoll); len(fds) != 1 || fds[0] != a {
		t.Errorf("after unwatch, epoll lists %v", fds)
	}
}

// What a connection gets from its listener must not be lost where there is a greeting.
func TestAcceptedSocketsHaveTheOptionsOfTheirListener(t *testing.T) {
	a := newAuthority(t)
	eachWay(t, func(t *testing.T, w way) {
		s := w.start(t, Options{Loops: 1, Listeners: []ListenerOptions{
			{URL: "mqtts://127.0.0.1:0", TLS: a.server()}, {URL: "mqtt://127.0.0.1:0"},
		}})
		exchange(t, dialTLS(t, s, a.client("")), "hello")
		exchange(t, dial(t, s.Addrs()[1]), "hello")
		for _, got := range onLoop(s, 0, func(e *echoCore) (got [][2]int) {
			for _, ec := range e.conns {
				for _, o := range [][3]int{
					{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
					{syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
					{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, keepAliveIdleSeconds},
					{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, keepAliveIntervalSeconds},
					{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, keepAliveProbes},
				} {
					v, err := syscall.GetsockoptInt(descriptorOf(ec.transport), o[0], o[1])
					if err != nil {
						v = -1
					}
					got = append(got, [2]int{v, o[2]})
				}
			}
			return got
		}) {
			if got[0] != got[1] {
				t.Errorf("an option is %d, want %d", got[0], got[1])
			}
		}
	})
}

func descriptorOf(t broker.Transport) int {
	if lay, ok := t.(*layers); ok {
		return int(lay.conn.fd)
	}
	return int(t.(*conn).fd)
}

// A descriptor that epoll does not watch is not adopted, and neither it nor its place is lost.
func TestWhatCannotBeAdoptedIsClosed(t *testing.T) {
	s := serve(t, Options{Loops: 1})
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	fd, err := duplicate(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	l := s.listeners[0]
	if !s.gate.enter() || !l.tally.enter(0) {
		t.Fatal("no place")
	}
	onLoop(s, 0, func(*echoCore) any {
		s.loops[0].intake.open(fd, &entry{listener: l.setup.Load().broker, origin: &l.plain})
		return nil
	})
	if err := syscall.Close(fd); err != syscall.EBADF {
		t.Errorf("the descriptor was not closed: %v", err)
	}
	if got := s.Stats(); got.AdoptErrors != 1 || got.Open != 0 || s.loops[0].intake.load.Load() != 0 {
		t.Errorf("stats: %+v, load %d", got, s.loops[0].intake.load.Load())
	}
	exchange(t, dial(t, s.Addrs()[0]), "hello")
}
