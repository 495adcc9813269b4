package engine

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// Acceptors: goroutines that accept, where the event loops cannot do it themselves
// (intake.go has why they should). Each connection costs a detour: the acceptor is
// woken by the poller of the runtime, and wakes the event loop in turn.

// acceptorsPerListener is how many goroutines accept on one listener. Adopting
// waits for the event loop, and they hide that from each other.
const acceptorsPerListener = 4

// accept is the goroutine of one acceptor.
func (d *door) accept(ctx context.Context, l *listener) {
	e := new(entry)
	pause := acceptPauseMin
	for {
		if !sleep(ctx, d.throttle.take(time.Now())) {
			return
		}
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = acceptPauseMin
			d.receive(ctx, nc, l, e)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			if !sleep(ctx, d.starved(l, err, &pause)) {
				return
			}
		}
	}
}

// receive hands nc to the reactor, or to the greetings first, if it may come in.
func (d *door) receive(ctx context.Context, nc net.Conn, l *listener, e *entry) {
	peer := peerOf(nc)
	s := d.admit(l, peer.Addr())
	switch {
	case s == nil:
		_ = nc.Close()
	case !s.greets():
		*e = s.entry(l, peer)
		d.adopt(nc, e)
	case !d.greetings.start(ctx, &greeting{nc: nc, peer: peer, listener: l, setup: s}):
		d.leave(l)
		_ = nc.Close()
	}
}

// peerOf returns the address of the socket at the other end, not valid if it is a Unix socket.
func peerOf(nc net.Conn) netip.AddrPort {
	tcp, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	a := tcp.AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// sleep waits for d and returns true, or false as soon as ctx is done.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
