//go:build !linux

package engine

import (
	"os"
	"syscall"
)

// setKeepAlive turns TCP keep-alive on for fd, with the intervals of the system.
func setKeepAlive(fd int) error {
	return os.NewSyscallError("setsockopt",
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1))
}
