package engine

import "golang.org/x/sys/unix"

// writeVectors hands bs to the socket fd and returns how much it took, 0 on any error.
func writeVectors(fd int, bs [][]byte) int {
	for {
		n, err := unix.Writev(fd, bs)
		if err == nil {
			return n
		}
		if err != unix.EINTR {
			return 0
		}
	}
}
