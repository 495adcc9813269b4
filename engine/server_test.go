package engine

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gannetmq/gannet/engine/broker"
)

// both runs a test with turns that peek and with turns that are tasks.
func both(t *testing.T, o Options, test func(t *testing.T, s *running)) {
	t.Run("peek", func(t *testing.T) { test(t, serve(t, o)) })
	t.Run("task", func(t *testing.T) {
		s := serve(t, o)
		for i := range s.cores { // each loop gives up its own peeker
			done := make(chan struct{})
			s.cores[i].post(func(*echoCore) {
				s.loops[i].events.(*gnetLoop).peeker = nil
				close(done)
			})
			<-done
		}
		test(t, s)
	})
}

func TestClientsAreServedOnEveryLoop(t *testing.T) {
	both(t, Options{Loops: 3}, func(t *testing.T, s *running) {
		for range 6 {
			exchange(t, dial(t, s.Addrs()[0]), "hello")
		}
		s.stop()
		for i, e := range s.cores {
			if e.opened != 2 || e.closed != 2 {
				t.Errorf("loop %d: %d opened, %d closed, want 2 each", i, e.opened, e.closed)
			}
		}
	})
}

// Every exchange waits for a turn and every posted function for a wake-up: if one
// were lost, the test would hang until the deadline of its connections.
func TestNoTurnAndNoWakeUpIsLost(t *testing.T) {
	const clients, rounds, posters, posts = 16, 200, 4, 500
	both(t, Options{Loops: 2}, func(t *testing.T, s *running) {
		var work sync.WaitGroup
		for i := range clients {
			nc := dial(t, s.Addrs()[0])
			work.Go(func() {
				r := rand.New(rand.NewPCG(1, uint64(i)))
				text := strings.Repeat("x", 3000)
				for range rounds {
					exchangeNow(t, nc, text[:1+r.IntN(len(text))])
				}
			})
		}
		for i := range posters {
			work.Go(func() {
				for n := range posts {
					done := make(chan struct{})
					s.cores[(i+n)%len(s.cores)].post(func(*echoCore) { close(done) })
					<-done
				}
			})
		}
		work.Wait()
	})
}

// exchangeNow is exchange for a goroutine that is not the test's.
func exchangeNow(t *testing.T, nc net.Conn, text string) {
	got := make([]byte, len(text))
	if _, err := io.WriteString(nc, text); err != nil {
		t.Error(err)
	} else if _, err := io.ReadFull(nc, got); err != nil {
		t.Error(err)
	} else if string(got) != text {
		t.Errorf("got %d other bytes", len(got))
	}
}

func TestMaxConnectionsRefusesOneMore(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := w.start(t, Options{Loops: 2, MaxConnections: 2})
		first, second := dial(t, s.Addrs()[0]), dial(t, s.Addrs()[0])
		exchange(t, first, "1")
		exchange(t, second, "2")

		third := dial(t, s.Addrs()[0])
		if n, err := third.Read(make([]byte, 1)); err == nil {
			t.Fatalf("the third got %d bytes", n)
		}
		exchange(t, first, "still here")
		if got := s.Stats(); got.RefusedFull != 1 || got.Open != 2 || got.Accepted != 3 {
			t.Errorf("stats: %+v", got)
		}

		// The end of a connection gives its place back once the loop has seen it.
		if _, err := io.WriteString(second, "bye\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, second); err != nil {
			t.Fatal(err)
		}
		exchange(t, dial(t, s.Addrs()[0]), "fourth")
	})
}

func TestCloseSendsWhatWasWritten(t *testing.T) {
	s := serve(t, Options{Loops: 1})
	nc := dial(t, s.Addrs()[0])
	if _, err := io.WriteString(nc, "bye\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(nc); err != nil || string(got) != "bye\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestShutdownFlushesWhatIsInFlight(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := w.start(t, Options{Loops: 1, ShutdownTimeout: 30 * time.Second})
		nc := dial(t, s.Addrs()[0])
		exchange(t, nc, "hello")

		// Far more than the buffers of both sockets take.
		want := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
		written := make(chan int)
		s.cores[0].post(func(e *echoCore) {
			for _, ec := range e.conns {
				_ = ec.transport.Write(want)
				written <- ec.transport.Buffered()
			}
		})
		if <-written == 0 {
			t.Fatal("the sockets took everything: nothing is in flight")
		}
		stopped := make(chan struct{})
		go func() {
			s.stop()
			close(stopped)
		}()
		got, err := io.ReadAll(nc)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %d bytes, %v, want %d", len(got), err, len(want))
		}
		<-stopped
		if s.cores[0].shutdowns != 1 || s.cores[0].closed != 1 {
			t.Errorf("%d shutdowns, %d closed", s.cores[0].shutdowns, s.cores[0].closed)
		}
	})
}

func TestShutdownEndsInTimeWithAClientThatDoesNotRead(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := w.start(t, Options{Loops: 1, ShutdownTimeout: time.Millisecond})
		nc := dial(t, s.Addrs()[0])
		exchange(t, nc, "hello")
		done := make(chan struct{})
		s.cores[0].post(func(e *echoCore) {
			for _, ec := range e.conns {
				_ = ec.transport.Write(make([]byte, 16<<20))
			}
			close(done)
		})
		<-done
		s.stop()
		if got := s.Stats().Open; got != 0 {
			t.Errorf("%d connections left", got)
		}
	})
}

func TestClosedInsideWriteToABrokenSocket(t *testing.T) {
	s := serve(t, Options{Loops: 1})
	nc := dial(t, s.Addrs()[0])
	exchange(t, nc, "hello")

	result := make(chan error)
	closed := make(chan int)
	s.cores[0].post(func(e *echoCore) {
		for _, ec := range e.conns {
			c := ec.transport.(*conn)
			fd := c.sock.(interface{ Fd() int }).Fd()
			if err := syscall.Shutdown(fd, syscall.SHUT_WR); err != nil {
				t.Error(err)
			}
			err := c.Write([]byte("x"))
			c.Close()
			result <- err
			closed <- e.closed
		}
	})
	if err := <-result; !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write: %v, want a broken pipe", err)
	}
	if n := <-closed; n != 1 {
		t.Errorf("closed %d times inside of write, want 1", n)
	}
	s.stop()
	if n := s.cores[0].closed; n != 1 {
		t.Errorf("closed %d times in the end, want 1", n)
	}
}

func TestEveryLoopTicks(t *testing.T) {
	ticked := make(chan int, 16)
	var n int
	s, err := newServer(Options{Loops: 2, Listeners: []ListenerOptions{{URL: "mqtt://127.0.0.1:0"}}},
		slog.New(slog.DiscardHandler), func(wake func()) core {
			n++
			return &tickCore{newEchoCore(wake), n, ticked}
		})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	seen := map[int]bool{}
	for len(seen) < 2 {
		seen[<-ticked] = true
	}
}

type tickCore struct {
	*echoCore
	id     int
	ticked chan int
}

func (c *tickCore) Tick(broker.Time) bool {
	select {
	case c.ticked <- c.id:
	default:
	}
	return false
}

func TestUnixSocketIsServedAndReplacesAStaleOne(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		path := filepath.Join(t.TempDir(), "gannet.sock")
		stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		stale.SetUnlinkOnClose(false)
		if err := stale.Close(); err != nil {
			t.Fatal(err)
		}
		s := w.start(t, Options{Loops: 2, Listeners: []ListenerOptions{{URL: "unix://" + path}}})
		exchange(t, dial(t, s.Addrs()[0]), "hello")
		s.stop()
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket file is left: %v", err)
		}
	})
}

func TestAddressInUseIsOneClearError(t *testing.T) {
	s := serve(t, Options{Loops: 1})
	url := "mqtt://" + s.Addrs()[0].String()
	_, err := newServer(Options{Listeners: []ListenerOptions{{URL: "mqtt://127.0.0.1:0"}, {URL: url}}},
		slog.New(slog.DiscardHandler), func(wake func()) core { return newEchoCore(wake) })
	if want := "listen " + url + ": address already in use"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestListenersThatAreNeverRunAreClosed(t *testing.T) {
	newOne := func(url string) *Server {
		s, err := newServer(Options{Listeners: []ListenerOptions{{URL: url}}},
			slog.New(slog.DiscardHandler), func(wake func()) core { return newEchoCore(wake) })
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := newOne("mqtt://127.0.0.1:0")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := newOne("mqtt://" + s.Addrs()[0].String()).Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAcceptedSocketsKeepAlive(t *testing.T) {
	s := serve(t, Options{Loops: 1})
	exchange(t, dial(t, s.Addrs()[0]), "hello")
	values := make(chan int, 2)
	s.cores[0].post(func(e *echoCore) {
		for _, ec := range e.conns {
			fd := ec.transport.(*conn).sock.(interface{ Fd() int }).Fd()
			for _, o := range [][2]int{
				{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE},
				{syscall.IPPROTO_TCP, syscall.TCP_NODELAY},
			} {
				v, err := syscall.GetsockoptInt(fd, o[0], o[1])
				if err != nil {
					t.Error(err)
				}
				values <- v
			}
		}
	})
	if keepAlive, noDelay := <-values, <-values; keepAlive == 0 || noDelay == 0 {
		t.Errorf("SO_KEEPALIVE %d, TCP_NODELAY %d", keepAlive, noDelay)
	}
}
