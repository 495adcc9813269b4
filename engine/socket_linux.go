package engine

import (
	"os"
	"syscall"
)

// bindToInterface confines the socket fd to the network interface called name. Since Linux 5.7 it needs no privilege.
func bindToInterface(fd int, name string) error {
	return os.NewSyscallError("setsockopt", syscall.BindToDevice(fd, name))
}

// quickAck sends the acknowledgement that the TCP socket fd puts off.
func quickAck(fd int) error {
	return os.NewSyscallError("setsockopt", syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1))
}
