//go:build !linux

package bench

import (
	"errors"
	"fmt"
	"time"
)

// processCPU returns the processor time of another process, on Linux.
func processCPU(int) (time.Duration, error) {
	return 0, fmt.Errorf("processor time: %w", errors.ErrUnsupported)
}
