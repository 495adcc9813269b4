package engine

import (
	"net"
	"net/netip"
	"syscall"

	"github.com/gannetmq/gannet/engine/broker"
)

// conn joins a socket to the broker's connection; it is the broker.Transport of
// that connection, unless there are layers between the two, which are then. Owned
// by one event loop.
//
// There is one for every client, so it is kept small: the state is told by which of
// the pointers are set.
//
//	state     sock  peer
//	opening   set   nil   core.Open has not returned (loop.opening is this conn)
//	live      set   set   the only state in which data reaches the broker
//	closing   set   nil   Close was called: it waits in loop.closing
//	draining  set   nil   the broker is done with it, the socket still has bytes to send
//	gone      nil   any   the socket is closed
type conn struct {
	sock   socket
	loop   *loop
	peer   *broker.Conn
	origin *origin
	fd     int32    // never changes; for WriteDirect only
	fresh  bool     // nothing was read yet
	parted bool     // the goodbyes of its layers are on their way
	port   uint16   // of the other end, and
	addr   [16]byte // its address; all zero: none, it is a Unix socket
}

// newConn returns a connection of l whose other end is at peer.
func newConn(s socket, l *loop, e *entry, fd int) *conn {
	c := &conn{sock: s, loop: l, origin: e.origin, fd: int32(fd), fresh: true, port: e.peer.Port()}
	if e.peer.IsValid() {
		c.addr = e.peer.Addr().As16()
	}
	return c
}

// origin is where a connection comes from. All connections of a listener about which
// nothing else is known share one, so that it costs them a pointer; the others have
// their own, inside of their layers.
type origin struct {
	listener *listener
	remote   string // address and port of the client, as a proxy told them; empty: those of the socket
	userName string // the name that the client's certificate proves; empty: none
	layers   *layers
}

// transport returns what the broker is to write to.
func (c *conn) transport() broker.Transport {
	switch lay := c.origin.layers; {
	case lay == nil:
		return c
	case lay.tls == nil:
		return webLayers{lay}
	default:
		return lay
	}
}

// Write implements broker.Transport. It takes all of b or returns an error, in
// which case the connection is gone and Closed has been called already. In a
// connection that was closed before, b is dropped and the error is net.ErrClosed.
func (c *conn) Write(b []byte) error {
	if c.sock == nil {
		return net.ErrClosed
	}
	_, err := c.sock.Write(b)
	return err
}

// Writev implements broker.VectorWriter, see Write.
func (c *conn) Writev(bs [][]byte) error {
	if c.sock == nil {
		return net.ErrClosed
	}
	_, err := c.sock.Writev(bs)
	return err
}

// WriteDirect implements broker.DirectWriter. It looks at nothing but the descriptor,
// because the owner may be busy with everything else. gnet closes the descriptor
// after closed was called for the socket, and the broker is done with it then.
func (c *conn) WriteDirect(b []byte) int {
	return transferred(func() (int, error) { return syscall.Write(int(c.fd), b) })
}

// WritevDirect implements broker.DirectVectorWriter, see WriteDirect.
func (c *conn) WritevDirect(bs [][]byte) int { return writeVectors(int(c.fd), bs) }

// Buffered implements broker.Transport.
func (c *conn) Buffered() int {
	if c.sock == nil {
		return 0
	}
	return c.sock.OutboundBuffered()
}

// Close implements broker.Transport. Closed follows at the end of the turn, once,
// and nothing that the client still sends reaches the broker. Calling it again, or
// on a connection that is gone, does nothing.
func (c *conn) Close() {
	c.loop.closeLater(c)
}

// RemoteAddr implements broker.Transport. It knows the address when the connection is
// gone, too.
func (c *conn) RemoteAddr() string {
	if c.origin.remote != "" {
		return c.origin.remote
	}
	return addressText(netip.AddrPortFrom(netip.AddrFrom16(c.addr).Unmap(), c.port))
}

// addressText is what peer is called. A client on a Unix socket has no address, and
// the name that package net gives to those.
func addressText(peer netip.AddrPort) string {
	if !peer.IsValid() || peer.Addr() == netip.IPv6Unspecified() {
		return "@"
	}
	return peer.String()
}

// UserName implements broker.Transport.
func (c *conn) UserName() string { return c.origin.userName }

// transferred returns how many bytes a system call has taken or brought, 0 on any error. A signal is none.
func transferred(call func() (int, error)) int {
	for {
		n, err := call()
		if err == nil {
			return n
		}
		if err != syscall.EINTR {
			return 0
		}
	}
}
