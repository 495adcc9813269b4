package attack

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine"
)

// The server runs in a child process, because the limit of descriptors is the process's and can only be lowered.
const (
	descriptorsChild = "ATTACK_TEST_DESCRIPTORS"
	descriptorLimit  = 200
)

// serveWithFewDescriptors serves until its standard input ends. It prints its address first and its figures last.
func serveWithFewDescriptors() {
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: descriptorLimit, Max: descriptorLimit}); err != nil {
		panic(err)
	}
	o := engine.DefaultOptions() // after the limit is set, which bounds the connections
	o.Loops = 2
	o.Listeners[0].URL = "mqtt://127.0.0.1:0"
	if os.Getenv(descriptorsChild) == "starve" {
		o.MaxConnections = 1 << 20
	}
	s, err := engine.New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Addrs()[0])
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := s.Run(ctx); err != nil {
		panic(err)
	}
	fmt.Printf("%+v\n", s.Stats())
}

func TestDescriptorsRunOut(t *testing.T) {
	for _, mode := range []struct{ name, counter string }{
		{"bound", "RefusedFull:0 "},                                 // the bound that follows from the limit bites
		{"starve", "RefusedStarved:0 AcceptErrors:0 AdoptErrors:0"}, // there is none, and the kernel refuses
	} {
		t.Run(mode.name, func(t *testing.T) {
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), descriptorsChild+"="+mode.name)
			child.Stderr = os.Stderr
			stdin, err := child.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdout, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			out := bufio.NewReader(stdout)
			addr, err := out.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			s := &server{t: t, addr: strings.TrimSpace(addr)}
			sub, pub := s.connect(t, "sub", codec.V5), s.connect(t, "pub", codec.V311)
			sub.subscribe(filter("pair/+", 1))
			exchanged := 0
			works := func() {
				t.Helper()
				if err := exchange(pub, sub, exchanged); err != nil {
					t.Fatalf("message %d: %v", exchanged, err)
				}
				exchanged++
			}

			var served []*client
			for i := range 400 {
				if c := s.dial(t, codec.V311); accepted(c, fmt.Sprint("c", i)) {
					served = append(served, c)
				}
				works()
			}
			if len(served) < descriptorLimit/2 || len(served) >= descriptorLimit {
				t.Errorf("%d of 400 served with %d descriptors", len(served), descriptorLimit)
			}
			for _, c := range served {
				c.ping() // those connected go on working
			}
			works()
			for _, c := range served {
				c.send([]byte{0xe0, 0})
				if !c.ended() {
					t.Fatal("DISCONNECT was not heard")
				}
				c.close()
			}
			again := 0
			for i := range len(served) {
				if c := s.dial(t, codec.V311); accepted(c, fmt.Sprint("d", i)) {
					again++
					defer c.close()
				}
				works()
			}
			if again < len(served)*3/4 {
				t.Errorf("%d served at first, %d when they had left", len(served), again)
			}
			t.Logf("%d served, then %d", len(served), again)

			if err := stdin.Close(); err != nil {
				t.Fatal(err)
			}
			stats, err := out.ReadString('\n')
			if err != nil || strings.Contains(stats, mode.counter) {
				t.Errorf("nothing was counted: %s, %v", stats, err)
			}
			if err := child.Wait(); err != nil {
				t.Errorf("the server: %v", err)
			}
		})
	}
}

// accepted sends CONNECT and tells whether the broker accepts. A refused connection is over, none hangs.
func accepted(c *client, id string) bool {
	c.t.Helper()
	h := codec.Connect{Version: c.v, CleanStart: true, ClientID: []byte(id)}
	if c.write(h.Append(nil, c.v)) != nil {
		c.close()
		return false
	}
	f, err := c.next()
	if ne, ok := err.(interface{ Timeout() bool }); ok && ne.Timeout() {
		c.t.Fatal("a connection was left hanging")
	}
	if err != nil {
		c.close()
		return false
	}
	return f.Type == codec.TypeConnack && f.Body[1] == 0
}
