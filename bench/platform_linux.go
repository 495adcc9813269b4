package bench

import (
	"fmt"
	"net/netip"
	"os/exec"
	"syscall"
	"time"
	"unsafe"
)

// This file holds the system calls of the loader. They are raw: the Go scheduler is
// not told about them. An ordinary system call that blocks hands its processor to
// the scheduler's background thread, which then looks around every 20 microseconds,
// and takes it back afterwards; at 100,000 calls a second that is a cost of its own
// on a machine that the broker needs too. A raw call keeps the processor while it
// sleeps. Nothing else in this process has work to do then, and if something has,
// the scheduler interrupts the call with a signal after 10 ms: EINTR, an empty turn.
//
// Sockets are non-blocking, so reads and writes never sleep.

// epollPwait2 is the number of epoll_pwait2(2), Linux 5.11, on every architecture
// that Go supports. Unlike its elders it takes a timeout in nanoseconds.
const epollPwait2 = 441

// poller is one epoll set, level-triggered. Used by one goroutine.
type poller struct {
	fd     int
	events [512]syscall.EpollEvent
}

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &poller{fd: fd}, nil
}

// add watches fd for input; ready reports it as token.
func (p *poller) add(fd int, token int32) error {
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: token}
	if err := syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("epoll: add socket: %w", err)
	}
	return nil
}

// modify watches fd for input and for room to write, for errors in any case.
func (p *poller) modify(fd int, token int32, input, output bool) error {
	event := syscall.EpollEvent{Fd: token}
	if input {
		event.Events |= syscall.EPOLLIN
	}
	if output {
		event.Events |= syscall.EPOLLOUT
	}
	if err := syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_MOD, fd, &event); err != nil {
		return fmt.Errorf("epoll: modify socket: %w", err)
	}
	return nil
}

// wait sleeps until something is ready, the timeout is over or a signal came, and
// returns how many answers ready has.
func (p *poller) wait(timeout time.Duration) (int, error) {
	limit := syscall.NsecToTimespec(int64(max(timeout, 0)))
	n, _, errno := syscall.RawSyscall6(epollPwait2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])),
		uintptr(len(p.events)), uintptr(unsafe.Pointer(&limit)), 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case syscall.EINTR:
		return 0, nil
	}
	return 0, fmt.Errorf("epoll: wait: %w", errno)
}

// ready returns answer i of the last wait. Errors and hang-ups count as input, which
// then reports them.
func (p *poller) ready(i int) (token int32, input, output bool) {
	e := &p.events[i]
	return e.Fd, e.Events&^syscall.EPOLLOUT != 0, e.Events&syscall.EPOLLOUT != 0
}

func (p *poller) close() { syscall.Close(p.fd) }

// bindNoPort is IP_BIND_ADDRESS_NO_PORT, Linux 4.2: the port is chosen when the other
// end is known, so that each source address has all ports for each destination.
const bindNoPort = 24

// dialSocket begins a connection, from a source address if one is given, with a receive
// buffer of about a size if that is not 0. It need not be there yet: until then,
// writeSocket wants to be called again.
func dialSocket(addr netip.AddrPort, source netip.Addr, buffer int) (fd int, err error) {
	family := syscall.AF_INET
	if addr.Addr().Is6() {
		family = syscall.AF_INET6
	}
	fd, err = syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		syscall.Close(fd)
		return -1, fmt.Errorf("socket: no delay: %w", err)
	}
	if buffer > 0 {
		// The kernel has a smallest size of its own.
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, buffer)
	}
	if source.IsValid() {
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, bindNoPort, 1) // without it, ports are fewer
		if err := syscall.Bind(fd, socketAddress(netip.AddrPortFrom(source, 0))); err != nil {
			syscall.Close(fd)
			return -1, fmt.Errorf("source address %s: %w", source, err)
		}
	}
	if err := syscall.Connect(fd, socketAddress(addr)); err != nil && err != syscall.EINPROGRESS {
		syscall.Close(fd)
		return -1, fmt.Errorf("connect %s: %w", addr, err)
	}
	return fd, nil
}

func socketAddress(addr netip.AddrPort) syscall.Sockaddr {
	if addr.Addr().Is6() {
		return &syscall.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	}
	return &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
}

// readSocket reads once into b, which is not empty. n is 0 at the end of the stream;
// again means that there is nothing now.
func readSocket(fd int, b []byte) (n int, again bool, err error) {
	r, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return result(r, errno)
}

// writeSocket writes once from b, which is not empty. again means that there is no
// room now.
func writeSocket(fd int, b []byte) (n int, again bool, err error) {
	r, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return result(r, errno)
}

func result(r uintptr, errno syscall.Errno) (n int, again bool, err error) {
	switch errno {
	case 0:
		return int(r), false, nil
	case syscall.EAGAIN, syscall.EINTR:
		return 0, true, nil
	}
	return 0, false, errno
}

func closeSocket(fd int) { syscall.Close(fd) }

// ownCPU returns the processor time that this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// raiseDescriptors lets this process, and every broker that it starts, have as many
// descriptors as the hard limit allows. The Go runtime raises the limit for itself,
// but starts children with the one that it found.
func raiseDescriptors() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return
	}
	limit.Cur = limit.Max
	// Without it, large scenarios fail with a message of their own.
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// descriptorLimit returns how many descriptors this process may have.
func descriptorLimit() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return connectionsMax
	}
	return int(min(limit.Cur, clientsMax))
}

// detach keeps a terminal's Ctrl-C from the broker, which this process ends itself,
// and has the kernel end it should this process die without doing so.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// interruptProcess asks the broker to end, and what it was started by, which detach has
// made a group.
func interruptProcess(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

// killProcess ends both without asking.
func killProcess(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
