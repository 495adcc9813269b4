//go:build linux && !poll_opt

package engine

import (
	"encoding/binary"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// Peeking: is anything else readable?
//
// A turn wants to run when all that has arrived was read, and gnet has no such
// moment to offer: no hook at the end of an iteration, only tasks. A task that the
// loop gives to itself costs an allocation, a write to the loop's eventfd and one
// more trip through epoll_wait, which for a message that arrives alone is as many
// system calls again as reading and answering it.
//
// But epoll can be asked twice. Sockets are watched level-triggered, so a second
// epoll_wait on the same descriptor, with a timeout of zero, lists what is readable
// and takes nothing away from gnet's own. An empty list means that this was the last
// event, and the turn can run where we stand. A list of n sockets means that gnet is
// certain to make at least n more callbacks, because every socket in it is read and
// each read ends in OnTraffic or in OnClose; so the question need not be asked again
// until the n-th. No task, no eventfd, and one cheap system call for up to
// peekEvents events instead of three for every iteration.
//
// Two things make this delicate.
//
// First, the eventfd is watched edge-triggered: whoever sees it in a list has
// consumed the edge, and gnet would sleep on with tasks in its queue. So whenever
// the peek lists the eventfd, it writes to it, which raises the edge again. gnet
// never reads that eventfd in its loop, only when the counter overflows, and a
// spurious wake-up finds an empty queue. The edge cannot be lost between the two,
// because the loop that peeks is the loop that would sleep. (It was lost, in a test
// written to lose it; see TestPeekKeepsTheWakeUp.)
//
// Second, the descriptors are private to gnet. They are read by reflection, once for
// each loop, guarded by field names and kinds, and then checked against what the
// kernel says: one must be an eventpoll that watches the other, which must be an
// eventfd, with EPOLLET, and nothing else. If anything differs, there is no peeker,
// and turns run as tasks. Reading is all that is done; nothing of gnet's is changed.
//
// The gain, for one message there and back at a time: two thirds of the time, and no
// allocation (BenchmarkTurn). A loaded loop saves little, but batches better: its
// turn comes when it has caught up, not one iteration later.
//
// The road not taken: blocking in this second epoll_wait, when the turn has run, so
// that gnet's own polls and its yield to the scheduler are skipped. It was built and
// cost 1.6 times the processor time instead: a goroutine that never yields is what
// the runtime's monitor takes processors away from.

// peekEvents bounds how many events one peek lists. What a longer list would tell
// is not needed: the next peek comes after so many callbacks.
const peekEvents = 64

// peeker looks into the epoll instance of one event loop. Owned by that loop.
type peeker struct {
	epoll  int
	wakeup int // the eventfd
	bell   int // what events of listening sockets carry; -1: there are none
	events [peekEvents]syscall.EpollEvent
}

// newPeeker returns a peeker for a gnet event loop, or an error that says in what
// the loop is not the one that this file knows.
func newPeeker(eventLoop any) (*peeker, error) {
	poller, err := structField(reflect.ValueOf(eventLoop), "poller")
	if err != nil {
		return nil, err
	}
	epoll, err := intField(poller, "fd")
	if err != nil {
		return nil, err
	}
	wakeup, err := intField(poller, "efd")
	if err != nil {
		return nil, err
	}
	if err := checkDescriptors(epoll, wakeup); err != nil {
		return nil, err
	}
	return &peeker{epoll: epoll, wakeup: wakeup, bell: -1}, nil
}

// structField returns the field of the struct that v points to, which must itself
// be a pointer to a struct.
func structField(v reflect.Value, name string) (reflect.Value, error) {
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return v, fmt.Errorf("event loop: %v is not a pointer to a struct", v.Kind())
	}
	f := v.Elem().FieldByName(name)
	if !f.IsValid() || f.Kind() != reflect.Pointer || f.IsNil() || f.Elem().Kind() != reflect.Struct {
		return v, fmt.Errorf("event loop: no field %s that points to a struct", name)
	}
	return f, nil
}

// intField returns the int field of the struct that v points to.
func intField(v reflect.Value, name string) (int, error) {
	f := v.Elem().FieldByName(name)
	if !f.IsValid() || f.Kind() != reflect.Int {
		return 0, fmt.Errorf("event loop: no field %s of type int", name)
	}
	return int(f.Int()), nil
}

// checkDescriptors asks the kernel whether epoll is an epoll instance that watches
// the eventfd wakeup with EPOLLET, and stores the descriptor as the event's data.
func checkDescriptors(epoll, wakeup int) error {
	for fd, want := range map[int]string{
		epoll:  "anon_inode:[eventpoll]",
		wakeup: "anon_inode:[eventfd]",
	} {
		if is, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); err != nil || is != want {
			return fmt.Errorf("event loop: descriptor %d is %q, not %q", fd, is, want)
		}
	}
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(epoll))
	if err != nil {
		return fmt.Errorf("event loop: %w", err)
	}
	for line := range strings.Lines(string(info)) {
		// tfd:        5 events: 80000003 data:         5  pos:0 ino:1 sdev:e
		f := strings.Fields(line)
		if len(f) < 6 || f[0] != "tfd:" || f[1] != strconv.Itoa(wakeup) {
			continue
		}
		events, err := strconv.ParseUint(f[3], 16, 32)
		if err != nil || events&(1<<31) == 0 {
			return fmt.Errorf("event loop: wake-up is watched with events %q", f[3])
		}
		data, err := strconv.ParseUint(f[5], 16, 64)
		if err != nil || int32(data) != int32(wakeup) {
			return fmt.Errorf("event loop: wake-up carries data %q", f[5])
		}
		return nil
	}
	return fmt.Errorf("event loop: %d does not watch %d", epoll, wakeup)
}

// readable returns how many sockets of the loop are readable now, up to peekEvents.
// On the loop only.
func (p *peeker) readable() int {
	// A raw system call, because it cannot block: the scheduler need not be told.
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(p.epoll),
		uintptr(unsafe.Pointer(&p.events[0])), peekEvents, 0, 0, 0)
	if errno != 0 {
		return -1
	}
	sockets := 0
	for i := range p.events[:n] {
		switch e := &p.events[i]; {
		case int(e.Fd) == p.wakeup:
			p.raise()
		case int(e.Fd) == p.bell: // promises nothing: another loop may be faster
		case e.Events&syscall.EPOLLIN != 0:
			sockets++
		}
	}
	return sockets
}

// raise gives back the edge of the eventfd that the peek has taken. EAGAIN means
// that the counter is full; reading it empties it, as gnet does.
func (p *peeker) raise() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	for {
		_, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(p.wakeup),
			uintptr(unsafe.Pointer(&one[0])), 8)
		if errno != syscall.EAGAIN {
			return
		}
		var count [8]byte
		_, _, _ = syscall.RawSyscall(syscall.SYS_READ, uintptr(p.wakeup),
			uintptr(unsafe.Pointer(&count[0])), 8)
	}
}
