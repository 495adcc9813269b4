package engine

import (
	"errors"
	"fmt"
	"net"
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
// All or nothing: if a listener is impossible or cannot be opened, the error says so and nothing has changed. An address
// that overlaps one which this very call would close is in use, and has to be applied in two steps.
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
	there := map[string][]*listener{}
	for _, l := range s.listeners {
		there[l.key] = append(there[l.key], l)
	}
	next := make([]*listener, len(options))
	var fresh []*listener
	for i := range options {
		o := &options[i]
		key := o.key()
		if same := there[key]; len(same) > 0 {
			next[i], there[key] = same[0], same[1:]
			continue
		}
		l, err := listen(*o, &s.tally)
		if err != nil {
			closeAll(fresh)
			return s.inTheWay(err, o)
		}
		next[i], fresh = l, append(fresh, l)
	}
	if err := setModes(options); err != nil {
		closeAll(fresh)
		return err
	}
	ready()
	for i, l := range next {
		l.configure(options[i])
	}
	for _, gone := range there {
		closeAll(gone)
	}
	if s.running != nil {
		for _, l := range fresh {
			s.door.start(s.running, l)
		}
	}
	s.listeners = next
	return nil
}

// inTheWay adds to err, met when the socket of o was opened, that a listener of our own has the port, if one has.
func (s *Server) inTheWay(err error, o *ListenerOptions) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	a, _ := parseAddress(o.URL)
	_, port, _ := net.SplitHostPort(a.addr)
	for _, l := range s.listeners {
		if tcp, ok := l.Addr().(*net.TCPAddr); ok && strconv.Itoa(tcp.Port) == port {
			return fmt.Errorf("%w by listener %s of this server, which would not be closed before the new one is open: apply it without both first, or start the server again", err, l.name())
		}
	}
	return err
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
