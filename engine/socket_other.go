//go:build !linux

package engine

import "errors"

// bindToInterface would confine the socket fd to the network interface called name.
func bindToInterface(int, string) error {
	return errors.New("not supported on this system: name the address of the interface instead")
}

// quickAck would send the acknowledgement that the TCP socket fd puts off.
func quickAck(int) error { return nil }

// shareAddress would let the socket fd have its address together with others.
func shareAddress(int, bool) error { return errors.ErrUnsupported }
