//go:build !linux

package engine

// memoryTotal is not known here: nothing is assumed.
func memoryTotal() uint64 { return 0 }
