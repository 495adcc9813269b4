package engine

import "syscall"

// memoryTotal returns how many bytes of memory this machine has.
func memoryTotal() uint64 {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}
