//go:build !linux || 386 || poll_opt

package engine

import (
	"errors"
	"net/netip"
	"syscall"
)

// direct exists for epoll only, and where accept4 is a system call of its own; elsewhere goroutines accept.
type direct struct{}

func newDirect(*gnetLoop) (*direct, error) { return nil, errors.ErrUnsupported }

func (*direct) watch(int) error  { return errors.ErrUnsupported }
func (*direct) unwatch(int)      {}
func (*direct) enroll(int) error { return errors.ErrUnsupported }

// accept is for listeners that an event loop watches.
func accept(int) (int, netip.AddrPort, error) { return -1, netip.AddrPort{}, syscall.ENOSYS }
