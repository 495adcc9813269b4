package engine

import (
	"os"
	"syscall"
)

// bindToInterface confines the socket fd to the network interface called name. Since Linux 5.7 it needs no privilege.
func bindToInterface(fd int, name string) error {
	return os.NewSyscallError("setsockopt", syscall.BindToDevice(fd, name))
}
