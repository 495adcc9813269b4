//go:build linux && !386 && !poll_opt

package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Direct: the way into an event loop of gnet that leads past its client.
//
// gnet's client takes a net.Conn that somebody else has accepted. It duplicates the
// descriptor, has the first one closed, builds three addresses, wakes the loop and waits
// for it; and before that, the runtime's poller has watched the socket, and woken the
// goroutine that accepts. All that costs 10 us of processor time and 176 bytes for each
// connection. A loop that accepts and takes its connections over itself needs
// neither, but gnet has no hook for that. So this is done:
//
// The bell. gnet reads from whatever descriptor an event names, if it is one of its
// connections, and it looks only at the data that the event carries, which is chosen by
// whoever adds a descriptor to an epoll instance. So every loop has one connection more,
// the bell: an eventfd that counts down from 2^63 by one with every read
// (EFD_SEMAPHORE). It is always readable and therefore not watched; but the listening
// sockets are, and their events carry its number. A client that arrives makes gnet read
// the bell and call OnTraffic for it, and there we stand, on the loop, and accept. That
// costs a read of 8 bytes. EPOLLEXCLUSIVE has the kernel wake one of the loops that sleep.
//
// Adoption. newStreamConn and (*eventloop).register0 are what gnet's client ends in.
// They are called by name (go:linkname), with nil for all addresses.
//
// What was checked in gnet v2.10.0, and has to be again before directVersion is changed:
//
//   - newStreamConn stores the addresses and does nothing with them; release only asks
//     for their types; for a stream socket, nobody else uses them.
//   - register0 watches the descriptor, enters the connection into the loop's map and calls
//     OnOpen, all before it returns. When it cannot watch, it closes the descriptor and
//     returns the error. Any other error comes after OnOpen, and there is none unless
//     OnOpen returns bytes or an action.
//   - The loop calls read for an event by the descriptor that the event carries, and read
//     calls OnTraffic if it got anything. Neither minds that a handler registers
//     connections meanwhile.
//   - close asks the poller to delete the descriptor, which fails for the bell, and still
//     closes it; closeConns, which is the only one to close it, drops the error.
//   - Events are added with zero in the other half of their data, or none that matters.
//
// The fence: whether this is the gnet it was checked against is told by the path of the
// source file that the compiler has recorded for either function, which has the version
// in it, also with -trimpath, and in the binaries of tests, which have no list of
// modules. A gnet that was replaced or vendored has another path. Then the bell is
// the rehearsal: if OnOpen is not called for it, there is no direct way. In both cases
// goroutines accept (acceptor.go). What no fence can help against is a gnet that has no
// function of the name: then the program does not link, and needs the build tag poll_opt
// or an older gnet.

// directVersion is the only gnet that is called past its client.
const directVersion = "v2.10.0"

const epollExclusive = 1 << 28 // EPOLLEXCLUSIVE

//go:linkname newStreamConn github.com/panjf2000/gnet/v2.newStreamConn
func newStreamConn(proto string, fd int, eventLoop unsafe.Pointer, remote unix.Sockaddr, localAddr, remoteAddr net.Addr) unsafe.Pointer

//go:linkname register0 github.com/panjf2000/gnet/v2.(*eventloop).register0
func register0(eventLoop, conn unsafe.Pointer) error

// direct is the way into one event loop. Owned by it, but for watch and unwatch.
type direct struct {
	eventLoop unsafe.Pointer // *gnet.eventloop
	epoll     int
	bell      int
}

// newDirect opens the way into l, or tells why there is none. On the loop.
func newDirect(l *gnetLoop) (*direct, error) {
	if err := checkOrigin(directVersion); err != nil {
		return nil, err
	}
	fd, err := unix.Eventfd(0, unix.EFD_SEMAPHORE|unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("event loop: eventfd: %w", err)
	}
	count := binary.NativeEndian.AppendUint64(nil, 1<<63)
	if _, err := syscall.Write(fd, count); err != nil {
		_ = syscall.Close(fd)
		return nil, fmt.Errorf("event loop: eventfd: %w", err)
	}
	d := &direct{eventLoop: reflect.ValueOf(l.events).UnsafePointer(), epoll: l.peeker.epoll, bell: fd}
	b := &bell{loop: l.handler}
	l.direct = d
	err = l.enter(fd, b)
	l.direct = nil
	if err == nil && !b.hung {
		err = errors.New("event loop: no OnOpen for the bell")
	}
	if err != nil {
		return nil, err
	}
	d.unwatch(fd)
	l.peeker.bell = fd
	return d, nil
}

// checkOrigin returns an error if the functions that are called by name do not come from
// the given version of gnet.
func checkOrigin(version string) error {
	for _, f := range []struct {
		function   any
		name, file string
	}{
		{newStreamConn, "newStreamConn", "connection_unix.go"},
		{register0, "(*eventloop).register0", "eventloop_unix.go"},
	} {
		code := runtime.FuncForPC(reflect.ValueOf(f.function).Pointer())
		if code == nil {
			return fmt.Errorf("event loop: %s is unknown", f.name)
		}
		file, _ := code.FileLine(code.Entry())
		const module = "github.com/panjf2000/gnet/v2"
		if code.Name() != module+"."+f.name || !strings.HasSuffix("/"+file, "/"+module+"@"+version+"/"+f.file) {
			return fmt.Errorf("event loop: %s is %s of %s", f.name, code.Name(), file)
		}
	}
	return nil
}

// watch has the bell ring while somebody waits at the listening socket fd.
func (d *direct) watch(fd int) error {
	return d.control(syscall.EPOLL_CTL_ADD, fd, syscall.EPOLLIN|epollExclusive)
}

// unwatch takes fd, if it is watched, out of the epoll instance.
func (d *direct) unwatch(fd int) { _ = d.control(syscall.EPOLL_CTL_DEL, fd, 0) }

func (d *direct) control(op, fd int, events uint32) error {
	ev := syscall.EpollEvent{Events: events, Fd: int32(d.bell)}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(d.epoll), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return fmt.Errorf("epoll_ctl: %w", errno)
	}
	return nil
}

// enroll makes fd a connection of the loop; OnOpen is called before it returns. On an error fd is closed.
func (d *direct) enroll(fd int) error {
	return register0(d.eventLoop, newStreamConn("tcp", fd, d.eventLoop, nil, nil, nil))
}

// accept takes a connection from the backlog of the listening socket fd. It does not wait, so the scheduler need not be told.
func accept(fd int) (conn int, peer netip.AddrPort, err error) {
	for {
		var sa syscall.RawSockaddrAny
		size := uint32(unsafe.Sizeof(sa))
		n, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)),
			uintptr(unsafe.Pointer(&size)), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return int(n), peerIn(&sa), nil
		case syscall.EINTR, syscall.ECONNABORTED:
		default:
			return -1, peer, errno
		}
	}
}

// peerIn returns the address in sa, not valid if that is not one of TCP.
func peerIn(sa *syscall.RawSockaddrAny) netip.AddrPort {
	port := func(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }
	switch sa.Addr.Family {
	case syscall.AF_INET:
		in := (*syscall.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), port(&in.Port))
	case syscall.AF_INET6:
		in := (*syscall.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr).Unmap(), port(&in.Port))
	}
	return netip.AddrPort{}
}
