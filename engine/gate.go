package engine

import (
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// gate counts the connections of a server and refuses those above its bound. Safe
// for concurrent use.
type gate struct {
	max  atomic.Int64
	open atomic.Int64

	draining atomic.Bool
	empty    chan struct{} // closed when the last connection leaves a draining gate
	closed   atomic.Bool
}

func newGate(maxConnections int) *gate {
	g := &gate{empty: make(chan struct{})}
	g.max.Store(int64(maxConnections))
	return g
}

// enter takes a place for one connection; false if all are taken.
func (g *gate) enter() bool {
	if g.open.Add(1) <= g.max.Load() {
		return true
	}
	g.leave()
	return false
}

// leave gives the place back.
func (g *gate) leave() {
	if g.open.Add(-1) == 0 && g.draining.Load() {
		g.announce()
	}
}

// drain announces on empty when nobody is left. Nobody may enter any more.
func (g *gate) drain() {
	g.draining.Store(true)
	if g.open.Load() == 0 {
		g.announce()
	}
}

func (g *gate) announce() {
	if g.closed.CompareAndSwap(false, true) {
		close(g.empty)
	}
}

// descriptorReserve is how many file descriptors are left to the store, to the
// listeners and to connections that come out of a greeting (each needs two for a
// moment), when the bound of the connections is derived from the limit.
const descriptorReserve = 600

// tableMost bounds the descriptors for which a server has the table made large enough at once: its bound of connections is
// mostly the limit of the system, which may be a thousand million.
const tableMost = 64 << 10

// PrepareDescriptors has the kernel make the table of descriptors of this process large enough for n of them, or for as many
// as the process may have. It costs the kernel 8 bytes for each. The table grows by doubling otherwise, and when a process has
// several threads, each time whoever needs a descriptor waits until every processor has passed through the scheduler: 10 to
// 20 ms in which nobody is accepted, or gets through. A process with one thread is spared. Failing costs time only. Safe for
// concurrent use.
func PrepareDescriptors(n int) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	last := min(uint64(max(n, 1)), DescriptorLimit()) - 1
	if fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, int(last)); err == nil {
		_ = syscall.Close(fd)
	}
}

// connectionsFor returns how many connections fit into the descriptors that this
// process may have. The Go runtime has raised the soft limit to the hard one.
func connectionsFor(descriptors uint64) int {
	const most = 1 << 30 // also what "unlimited" means here
	reserve := min(descriptorReserve, descriptors/4)
	return int(min(descriptors-reserve, most))
}

// DescriptorLimit returns the limit of open file descriptors of this process: what
// connections, and a store beside them, have to share.
func DescriptorLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return uint64(limit.Cur) // FreeBSD has it signed
}
