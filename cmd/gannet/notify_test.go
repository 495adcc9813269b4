package main

import (
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// manager is the service manager's end of the socket.
func manager(t *testing.T) (conn *net.UnixConn, environ []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	return conn, []string{"NOTIFY_SOCKET=" + path}
}

func heard(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 512)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestServiceManagerIsTold(t *testing.T) {
	conn, environ := manager(t)
	n, err := newNotifier(environ, 1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer n.watch(nil)()
	n.ready()
	n.reloading()
	n.stopping()
	for _, want := range []string{"READY=1\n", "RELOADING=1\nMONOTONIC_USEC=", "STOPPING=1\n"} {
		if got := heard(t, conn); !strings.HasPrefix(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

func TestWatchdogIsFedWhileAlive(t *testing.T) {
	conn, environ := manager(t)
	n, err := newNotifier(append(environ, "WATCHDOG_USEC=2000", "WATCHDOG_PID=42"), 42, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	stop := n.watch(func() bool { return asked.Add(1) > 3 })
	if got := heard(t, conn); got != "WATCHDOG=1" || asked.Load() <= 3 {
		t.Errorf("told %q when asked %d times", got, asked.Load())
	}
	stop()
}

func TestWatchdogOfAnotherProcessIsNotFed(t *testing.T) {
	_, environ := manager(t)
	n, err := newNotifier(append(environ, "WATCHDOG_USEC=2000", "WATCHDOG_PID=42"), 43, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer n.watch(nil)()
	if n.watchdog != 0 {
		t.Errorf("watchdog of %v", n.watchdog)
	}
}

func TestNobodyToNotify(t *testing.T) {
	n, err := newNotifier(nil, 1, slog.New(slog.DiscardHandler))
	if n != nil || err != nil {
		t.Fatal(n, err)
	}
	n.ready()
	n.watch(nil)()
	if _, err := newNotifier([]string{"NOTIFY_SOCKET=here"}, 1, nil); err == nil {
		t.Error("a relative path was taken")
	}
}
