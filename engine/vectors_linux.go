package engine

import "golang.org/x/sys/unix"

// writeVectors hands bs to the socket fd and returns how much it took, 0 on any error.
func writeVectors(fd int, bs [][]byte) int {
	return transferred(func() (int, error) { return unix.Writev(fd, bs) })
}
