package engine

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"syscall"
)

// errEnded is what Apply returns when there is nothing to be applied to.
var errEnded = errors.New("apply listeners: the server has ended")

// Apply makes the server listen on these addresses and no others. A listener whose address, family and interface were
// there before keeps its socket, its counters and whoever waits in its backlog; what else its options say is met by the
// connections that are accepted from now on, even if that is another transport. A socket that is no longer wanted is
// closed. No connection is closed: those of a listener that is gone go on as they were, and under the policy they came by.
//
// All or nothing: if a listener is impossible or cannot be opened, the error says so and nothing has changed. On Linux an
// address may overlap one that this very call closes, as 127.0.0.1 does 0.0.0.0, as long as the process is the user it was
// when it opened that one. Elsewhere such an address is in use, and has to be applied in two steps.
//
// The connections of a removed listener count in Stats, but no longer in ListenerStats. Safe for concurrent use, before Run
// as well.
func (s *Server) Apply(options []ListenerOptions) error { return s.ApplyWith(options, func() {}) }

// ApplyWith is Apply for who has more to change than listeners, all or nothing. ready is called once nothing can fail any more, and
// before any connection meets the options: new rules are in force when the first client comes under a new policy. It must not call
// the Server, and is not called when there is an error.
func (s *Server) ApplyWith(options []ListenerOptions, ready func()) error {
	if err := validateListeners(options); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errEnded
	}
	next, gone := s.keep(options)
	var fresh []*listener
	giveUp := func() {
		closeAll(fresh)
		share(gone, false)
	}
	for i := range options {
		if next[i] != nil {
			continue
		}
		l, err := s.open(&options[i], gone)
		if err != nil {
			giveUp()
			return err
		}
		next[i], fresh = l, append(fresh, l)
	}
	if err := setModes(options); err != nil {
		giveUp()
		return err
	}
	ready()
	for i, l := range next {
		l.configure(options[i])
	}
	closeAll(gone)
	if s.running != nil {
		for _, l := range fresh {
			s.door.start(s.running, l)
		}
	}
	s.listeners = next
	return nil
}

// keep finds the listeners that have the sockets of options, nil where there is none, and those that none of these wants.
func (s *Server) keep(options []ListenerOptions) (next, gone []*listener) {
	there := map[string][]*listener{}
	for _, l := range s.listeners {
		there[l.key] = append(there[l.key], l)
	}
	next = make([]*listener, len(options))
	for i := range options {
		key := options[i].key()
		if same := there[key]; len(same) > 0 {
			next[i], there[key] = same[0], same[1:]
		}
	}
	for _, left := range there {
		gone = append(gone, left...)
	}
	return next, gone
}

// open opens the socket of o. Where a listener of gone is in its way, the two have the address together until that one is
// closed, so that at no time nobody listens, and nothing has to be opened again if the call fails.
func (s *Server) open(o *ListenerOptions, gone []*listener) (*listener, error) {
	l, err := listen(*o, &s.tally, false)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	a, _ := parseAddress(o.URL)
	inTheWay := func(l *listener) bool {
		_, port, _ := net.SplitHostPort(a.addr)
		tcp, ok := l.Addr().(*net.TCPAddr)
		return ok && a.network == "tcp" && strconv.Itoa(tcp.Port) == port
	}
	old := slices.DeleteFunc(slices.Clone(gone), func(l *listener) bool { return !inTheWay(l) })
	if share(old, true) {
		if l, err := listen(*o, &s.tally, true); err == nil {
			share([]*listener{l}, false)
			return l, nil
		}
	}
	if len(old) > 0 {
		return nil, fmt.Errorf("%w by listener %s of this server, which would not be closed before the new one is open: apply it without both first, or start the server again", err, old[0].name())
	}
	if i := slices.IndexFunc(s.listeners, inTheWay); i >= 0 {
		return nil, fmt.Errorf("%w by listener %s of this server, which stays", err, s.listeners[i].name())
	}
	return nil, err
}

// share lets others listen where these do, or no longer. False: it did so for none.
func share(listeners []*listener, on bool) (any bool) {
	for _, l := range listeners {
		err := l.control(func(fd int) error { return shareAddress(fd, on) })
		any = any || err == nil
	}
	return any
}

// setModes gives Unix sockets their permissions, which can fail.
func setModes(options []ListenerOptions) error {
	for i := range options {
		a, _ := parseAddress(options[i].URL)
		if err := setMode(&options[i], a); err != nil {
			return fmt.Errorf("listen %s: %w", options[i].URL, err)
		}
	}
	return nil
}
