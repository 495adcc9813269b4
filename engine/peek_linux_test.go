//go:build linux && !poll_opt

package engine

import (
	"encoding/binary"
	"syscall"
	"testing"
)

// epollWith returns an epoll instance that watches fds level-triggered, and an
// eventfd edge-triggered, as gnet does.
func epollWith(t *testing.T, fds ...int) (epoll, wakeup int) {
	t.Helper()
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	fd, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	wakeup = int(fd)
	t.Cleanup(func() { _, _ = syscall.Close(wakeup), syscall.Close(epoll) })
	watch(t, epoll, wakeup, syscall.EPOLLIN|syscall.EPOLLPRI|1<<31)
	for _, fd := range fds {
		watch(t, epoll, fd, syscall.EPOLLIN|syscall.EPOLLPRI)
	}
	return epoll, wakeup
}

func watch(t *testing.T, epoll, fd int, events uint32) {
	t.Helper()
	ev := syscall.EpollEvent{Events: events, Fd: int32(fd)}
	if err := syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, fd, &ev); err != nil {
		t.Fatal(err)
	}
}

func pair(t *testing.T) (a, b int) {
	t.Helper()
	p, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = syscall.Close(p[0]), syscall.Close(p[1]) })
	return p[0], p[1]
}

// listed returns the descriptors that the owner of the epoll instance would see.
func listed(t *testing.T, epoll int) (fds []int) {
	t.Helper()
	var events [8]syscall.EpollEvent
	n, err := syscall.EpollWait(epoll, events[:], 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events[:n] {
		fds = append(fds, int(e.Fd))
	}
	return fds
}

func TestPeekCountsReadableSocketsAndLeavesThemReadable(t *testing.T) {
	a, farA := pair(t)
	b, farB := pair(t)
	epoll, wakeup := epollWith(t, a, b)
	p := &peeker{epoll: epoll, wakeup: wakeup}

	if n := p.readable(); n != 0 {
		t.Errorf("nothing sent: %d readable", n)
	}
	for _, fd := range []int{farA, farB} {
		if _, err := syscall.Write(fd, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if n := p.readable(); n != 2 {
			t.Errorf("sent to two: %d readable", n)
		}
	}
	if fds := listed(t, epoll); len(fds) != 2 {
		t.Errorf("after the peeks, epoll lists %v", fds)
	}
}

// The eventfd is watched edge-triggered, so a peek that lists it would swallow the
// wake-up if it did not raise the edge again.
func TestPeekKeepsTheWakeUp(t *testing.T) {
	epoll, wakeup := epollWith(t)
	p := &peeker{epoll: epoll, wakeup: wakeup}
	for _, count := range []uint64{1, 1<<64 - 2} { // the second makes the counter full
		var b [8]byte
		binary.NativeEndian.PutUint64(b[:], count)
		if _, err := syscall.Write(wakeup, b[:]); err != nil && err != syscall.EAGAIN {
			t.Fatal(err)
		}
		for range 3 {
			if n := p.readable(); n != 0 {
				t.Errorf("a wake-up counts as %d sockets", n)
			}
		}
		if fds := listed(t, epoll); len(fds) != 1 || fds[0] != wakeup {
			t.Errorf("after the peeks, epoll lists %v", fds)
		}
		if fds := listed(t, epoll); len(fds) != 0 {
			t.Errorf("the wake-up is not edge-triggered: %v", fds)
		}
		if _, err := syscall.Read(wakeup, b[:]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPeekerRefusesWhatItDoesNotKnow(t *testing.T) {
	type poller struct{ fd, efd int }
	type eventLoop struct{ poller *poller }
	a, _ := pair(t)
	epoll, wakeup := epollWith(t, a)

	if _, err := newPeeker(&eventLoop{&poller{epoll, wakeup}}); err != nil {
		t.Errorf("refused what it knows: %v", err)
	}
	other, _ := epollWith(t)
	level, levelWakeup := epollWith(t)
	if err := syscall.EpollCtl(level, syscall.EPOLL_CTL_MOD, levelWakeup,
		&syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(levelWakeup)}); err != nil {
		t.Fatal(err)
	}
	tagged, taggedWakeup := epollWith(t)
	if err := syscall.EpollCtl(tagged, syscall.EPOLL_CTL_MOD, taggedWakeup,
		&syscall.EpollEvent{Events: syscall.EPOLLIN | 1<<31, Fd: -1}); err != nil {
		t.Fatal(err)
	}
	for name, el := range map[string]any{
		"no pointer":              eventLoop{},
		"nil":                     (*eventLoop)(nil),
		"no poller":               &struct{ loop int }{},
		"poller not a pointer":    &struct{ poller poller }{},
		"no poller yet":           &eventLoop{},
		"descriptors renamed":     &struct{ poller *struct{ epfd, efd int } }{&struct{ epfd, efd int }{epoll, wakeup}},
		"descriptors retyped":     &struct{ poller *struct{ fd, efd uint32 } }{&struct{ fd, efd uint32 }{}},
		"not an epoll instance":   &eventLoop{&poller{a, wakeup}},
		"not an eventfd":          &eventLoop{&poller{epoll, a}},
		"closed descriptor":       &eventLoop{&poller{1 << 20, wakeup}},
		"eventfd of another loop": &eventLoop{&poller{other, wakeup}},
		"level-triggered":         &eventLoop{&poller{level, levelWakeup}},
		"events carry other data": &eventLoop{&poller{tagged, taggedWakeup}},
	} {
		if _, err := newPeeker(el); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestPeekerKnowsTheGnetInUse(t *testing.T) {
	s := serve(t, Options{Loops: 2})
	exchange(t, dial(t, s.Addrs()[0]), "hello")
	s.stop()
	for i, l := range s.loops {
		if l.events.(*gnetLoop).peeker == nil {
			t.Errorf("loop %d has no peeker: its turns run as tasks", i)
		}
	}
}
