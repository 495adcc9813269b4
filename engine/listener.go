package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/gannetmq/gannet/engine/broker"
	"github.com/gannetmq/gannet/engine/session"
)

// TCP keep-alive finds out clients that vanished without a word and asked for no
// MQTT keep alive. It gives up after two minutes.
const (
	keepAliveIdleSeconds     = 60
	keepAliveIntervalSeconds = 15
	keepAliveProbes          = 4
)

// address is where a listener listens, in the terms of package net.
type address struct{ network, addr string }

// parseAddress understands the URL of ListenerOptions.
func parseAddress(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil {
		return address{}, fmt.Errorf("listener: %w", err)
	}
	switch u.Scheme {
	case "mqtt", "tcp":
		if strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return address{}, fmt.Errorf("listener %q: more than a host and a port", text)
		}
		port := u.Port()
		if port == "" {
			port = "1883"
		}
		return address{"tcp", net.JoinHostPort(u.Hostname(), port)}, nil
	case "unix":
		if u.Path == "" || u.Host != "" {
			return address{}, fmt.Errorf("listener %q: not of the form unix:///path", text)
		}
		return address{"unix", u.Path}, nil
	default:
		return address{}, fmt.Errorf("listener %q: scheme is not mqtt, tcp or unix", text)
	}
}

// listener is an open socket and what the broker knows it as.
type listener struct {
	net.Listener
	broker *broker.Listener
}

// listenAll opens all listeners or none.
func listenAll(options []ListenerOptions) (open []*listener, err error) {
	for _, o := range options {
		l, err := listen(o)
		if err != nil {
			closeAll(open)
			return nil, fmt.Errorf("listen %s: %w", o.URL, plain(err))
		}
		open = append(open, l)
	}
	return open, nil
}

func closeAll(listeners []*listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}

func listen(o ListenerOptions) (*listener, error) {
	a, err := parseAddress(o.URL)
	if err != nil {
		return nil, err
	}
	config := net.ListenConfig{
		// The kernel hands the options of the listening socket on to those it
		// accepts, which saves net four system calls for each of them.
		KeepAlive: -1,
		Control: func(network, _ string, rc syscall.RawConn) error {
			if network == "unix" {
				return nil
			}
			return control(rc, setKeepAlive)
		},
	}
	nl, err := config.Listen(context.Background(), a.network, a.addr)
	if a.network == "unix" && errors.Is(err, syscall.EADDRINUSE) && removeStale(a.addr) {
		nl, err = config.Listen(context.Background(), a.network, a.addr)
	}
	if err != nil {
		return nil, err
	}
	return &listener{nl, &broker.Listener{Name: o.URL, Policy: session.Policy{
		AllowAnonymous: o.AllowAnonymous, Methods: o.Methods, NewClientID: broker.NewClientID,
	}}}, nil
}

// removeStale removes the socket file of a server that has ended without doing so.
func removeStale(path string) bool {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	nc, err := net.Dial("unix", path)
	if err == nil {
		_ = nc.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED) && os.Remove(path) == nil
}

// plain takes the wrapping that repeats the address off an error of package net.
func plain(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// control calls f with the descriptor of rc and returns the error of either.
func control(rc syscall.RawConn, f func(fd int) error) error {
	var inner error
	if err := rc.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}
