//go:build !linux || poll_opt

package engine

import "errors"

// peeker exists for epoll only; elsewhere turns run as tasks of the event loop.
type peeker struct{}

func newPeeker(any) (*peeker, error) { return nil, errors.ErrUnsupported }

func (*peeker) readable() int { return -1 }
