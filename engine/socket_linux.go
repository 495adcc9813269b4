package engine

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// bindToInterface confines the socket fd to the network interface called name. Since Linux 5.7 it needs no privilege.
func bindToInterface(fd int, name string) error {
	return os.NewSyscallError("setsockopt", syscall.BindToDevice(fd, name))
}

// quickAck sends the acknowledgement that the TCP socket fd puts off.
func quickAck(fd int) error {
	return os.NewSyscallError("setsockopt", syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1))
}

// shareAddress lets the socket fd have its address together with others, or no longer. The kernel wants it of each of them, and
// that all were made by the same user, at the moment when another one binds; what was bound is not looked at again. It remembers
// that they did: later on a program of this user that asks for the same can still join them, but none that does not ask.
func shareAddress(fd int, on bool) error {
	value := 0
	if on {
		value = 1
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, value))
}
