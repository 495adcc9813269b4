package engine

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The server under test runs in a child process, because the limit of descriptors
// is the process's and can only be lowered. The variable says which way it accepts.
const descriptorsChild = "ENGINE_TEST_DESCRIPTORS"

func TestMain(m *testing.M) {
	if w := os.Getenv(descriptorsChild); w != "" {
		serveWithFewDescriptors(way(w == "goroutines"))
		return
	}
	os.Exit(m.Run())
}

// serveWithFewDescriptors runs an echo server until its standard input ends. It
// prints its address first and its figures last.
func serveWithFewDescriptors(w way) {
	const limit = 48
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		panic(err)
	}
	s, err := newServer(Options{
		Loops:          2,
		MaxConnections: 1 << 20, // so that the descriptors are the bound that bites
		Listeners:      []ListenerOptions{{URL: "mqtt://127.0.0.1:0"}},
	}, slog.New(slog.DiscardHandler), func(wake func()) core { return newEchoCore(wake) })
	if err != nil {
		panic(err)
	}
	s.detour = bool(w)
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

func TestServerSurvivesTheLackOfDescriptors(t *testing.T) {
	for _, w := range []string{"loops", "goroutines"} {
		t.Run(w, func(t *testing.T) { surviveTheLackOfDescriptors(t, w) })
	}
}

func surviveTheLackOfDescriptors(t *testing.T, way string) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), descriptorsChild+"="+way)
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
	addr = strings.TrimSpace(addr)

	// Many more clients than the server has descriptors. Each is either served or
	// told so by the end of its connection; none is left hanging.
	served := map[net.Conn]bool{}
	refused := 0
	for range 100 {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			refused++
			continue
		}
		_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
		defer func() { _ = nc.Close() }()
		if echoes(nc) {
			served[nc] = true
		} else {
			refused++
		}
	}
	if len(served) < 10 || refused < 30 {
		t.Errorf("%d served, %d refused", len(served), refused)
	}
	// The served ones have not suffered, and when they go, others can come.
	for nc := range served {
		if !echoes(nc) {
			t.Error("a connection was lost")
		}
		_, _ = io.WriteString(nc, "bye\n")
		_, _ = io.Copy(io.Discard, nc)
	}
	again := 0
	for range 2 * len(served) {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			continue
		}
		_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
		if echoes(nc) {
			again++
		}
		_ = nc.Close()
	}
	if again == 0 {
		t.Error("nobody was served after the descriptors were free again")
	}

	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	stats, err := out.ReadString('\n')
	if err != nil || strings.Contains(stats, "RefusedStarved:0 AcceptErrors:0 AdoptErrors:0") {
		t.Errorf("stats: %s, %v", stats, err)
	}
	if err := child.Wait(); err != nil {
		t.Errorf("the server: %v", err)
	}
}

// echoes reports whether nc is served.
func echoes(nc net.Conn) bool {
	if _, err := io.WriteString(nc, "hello"); err != nil {
		return false
	}
	got := make([]byte, 5)
	_, err := io.ReadFull(nc, got)
	return err == nil && string(got) == "hello"
}

// A table that grows later keeps everybody waiting who needs a descriptor.
func TestTableOfDescriptorsIsLargeEnoughFromTheStart(t *testing.T) {
	const descriptors = 3600
	PrepareDescriptors(descriptors)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("this system does not tell the size of the table: %v", err)
	}
	var size uint64
	for line := range strings.Lines(string(status)) {
		if after, ok := strings.CutPrefix(line, "FDSize:"); ok {
			size, _ = strconv.ParseUint(strings.TrimSpace(after), 10, 64)
		}
	}
	if want := min(descriptors, DescriptorLimit()); size < want {
		t.Errorf("room for %d descriptors, want %d", size, want)
	}
}
