package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// notifier tells a service manager how the broker is, by the protocol of sd_notify(3). A nil one has nobody to tell.
type notifier struct {
	conn     *net.UnixConn
	watchdog time.Duration // how often it wants to hear of us; 0: it does not
	log      *slog.Logger
}

// newNotifier finds the manager in the environment, which names a socket and, if there is a watchdog, its time-out in microseconds.
func newNotifier(environ []string, pid int, log *slog.Logger) (*notifier, error) {
	path := lookUp(environ, "NOTIFY_SOCKET")
	if path == "" {
		return nil, nil
	}
	if path[0] != '/' && path[0] != '@' {
		return nil, fmt.Errorf("environment NOTIFY_SOCKET: %q is neither an absolute path nor an abstract socket", path)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"}) // package net knows what @ means
	if err != nil {
		return nil, fmt.Errorf("environment NOTIFY_SOCKET: %w", err)
	}
	n := &notifier{conn: conn, log: log}
	if who := lookUp(environ, "WATCHDOG_PID"); who == "" || who == strconv.Itoa(pid) {
		if µs, err := strconv.ParseInt(lookUp(environ, "WATCHDOG_USEC"), 10, 64); err == nil && µs > 0 {
			n.watchdog = time.Duration(µs) * time.Microsecond
		}
	}
	return n, nil
}

func lookUp(environ []string, name string) string {
	for _, line := range environ {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value
		}
	}
	return ""
}

func (n *notifier) tell(state string) {
	if n == nil {
		return
	}
	if _, err := n.conn.Write([]byte(state)); err != nil && !errors.Is(err, net.ErrClosed) {
		n.log.Warn("service manager not told", "state", strings.Fields(state)[0], "reason", err)
	}
}

// ready says that clients are served, or are again after reloading.
func (n *notifier) ready() { n.tell("READY=1\nSTATUS=serving clients") }

// reloading says that the configuration is being read again, until ready.
func (n *notifier) reloading() {
	n.tell("RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(monotonicMicroseconds(), 10))
}

// stopping says that the end has begun.
func (n *notifier) stopping() { n.tell("STOPPING=1\nSTATUS=letting clients go") }

// watch reports, twice in each time-out of the watchdog, that alive says so, until the function it returns is called, which also closes
// the notifier. When alive is false nothing is said: the manager then ends and restarts the broker.
func (n *notifier) watch(alive func() bool) (stop func()) {
	if n == nil {
		return func() {}
	}
	quit := make(chan struct{})
	var joined sync.WaitGroup
	if n.watchdog > 0 {
		joined.Go(func() {
			t := time.NewTicker(n.watchdog / 2)
			defer t.Stop()
			for {
				select {
				case <-quit:
					return
				case <-t.C:
					if alive() {
						n.tell("WATCHDOG=1")
					}
				}
			}
		})
	}
	return func() {
		close(quit)
		joined.Wait()
		_ = n.conn.Close()
	}
}

// monotonicMicroseconds reads the clock that the manager compares with.
func monotonicMicroseconds() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0
	}
	return t.Nano() / 1000
}
