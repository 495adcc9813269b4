package engine

import (
	"net"
	"net/netip"
	"os"
	"syscall"
)

// bareConn is the net.Conn of a socket that an event loop has accepted and that must be
// greeted. It makes no system calls that net.FileConn makes: no duplicate, and no options
// that differ from those the socket has from its listener.
type bareConn struct {
	*os.File // of a socket that does not block; the runtime's poller watches it
	peer     netip.AddrPort
}

func newBareConn(fd int, peer netip.AddrPort) *bareConn {
	return &bareConn{os.NewFile(uintptr(fd), "connection"), peer}
}

// RemoteAddr implements net.Conn.
func (c *bareConn) RemoteAddr() net.Addr {
	if !c.peer.IsValid() {
		return &net.UnixAddr{Name: addressText(c.peer), Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(c.peer)
}

// LocalAddr implements net.Conn.
func (c *bareConn) LocalAddr() net.Addr {
	var sa syscall.Sockaddr
	rc, err := c.SyscallConn()
	if err == nil {
		err = control(rc, func(fd int) error { sa, err = syscall.Getsockname(fd); return err })
	}
	if err != nil {
		return nil
	}
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *syscall.SockaddrInet6:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *syscall.SockaddrUnix:
		return &net.UnixAddr{Name: sa.Name, Net: "unix"}
	}
	return nil
}
