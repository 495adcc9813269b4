package config

import (
	"fmt"
	"slices"
)

// Change is one difference between two configurations.
type Change struct {
	Key      string // the setting; "listener" for one that comes or goes
	Listener string // whose it is; empty: the broker's
	Old, New string // values for people, secrets hidden; empty: it was, or will be, not there
	Live     bool   // a running broker can take it on; otherwise it takes effect at the next start
}

// String is the change on one line.
func (c Change) String() string {
	what := c.Key
	if c.Listener != "" && c.Key != keyListener {
		what = c.Listener + ": " + c.Key
	}
	switch {
	case c.Old == "":
		what = fmt.Sprintf("%s %s added", what, c.New)
	case c.New == "":
		what = fmt.Sprintf("%s %s removed", what, c.Old)
	default:
		what = fmt.Sprintf("%s: %s -> %s", what, c.Old, c.New)
	}
	if !c.Live {
		what += " (at the next start)"
	}
	return what
}

// keyListener is the Key of a listener that comes or goes.
const keyListener = "listener"

// startSettings are those of the whole broker that only a start takes on: what the store, the event loops and the acceptors are made
// with, and the process itself. The broker takes its other limits on while it runs.
func startSettings() []string {
	return []string{
		"data-dir", "durability", "max-store-bytes", "max-pending-bytes", "store-memtable", "store-cache",
		"max-accept-rate", "max-handshakes", "handshake-timeout", "max-topic-length", "max-topic-levels", "loops",
		"shutdown-timeout", "gogc", "memory-limit", "sys-interval", "http-listen", "http-dir", "user", "pid-file",
		"log-dest", "log-facility", "log-format", "log-timestamp", "log-timestamp-format",
	}
}

// Diff lists what is different in next, in the order of --help, listeners last. Listeners are the same if they are at the same place:
// their other settings change while they are open, but for the transport, which has them closed and opened. The contents of files
// are not compared.
func Diff(old, next *Config) []Change {
	var out []Change
	for _, s := range settings() {
		if s.name == "listen" || s.name == "in-memory" {
			continue
		}
		out = append(out, s.changes(old, next, "", !slices.Contains(startSettings(), s.name))...)
	}
	for i := range old.Listen {
		before := &old.Listen[i]
		after := at(next.Listen, before)
		if after == nil {
			out = append(out, Change{Key: keyListener, Listener: before.String(), Old: before.String(), Live: true})
			continue
		}
		for _, s := range listenerSettings() {
			out = append(out, s.changes(before, after, before.DisplayName(), true)...)
		}
		if before.Access != nil || after.Access != nil {
			for _, s := range accessSettings() {
				out = append(out, s.changes(old.AccessOf(before), next.AccessOf(after), before.DisplayName(), true)...)
			}
		}
	}
	for i := range next.Listen {
		if l := &next.Listen[i]; at(old.Listen, l) == nil {
			out = append(out, Change{Key: keyListener, Listener: l.String(), New: l.String(), Live: true})
		}
	}
	return out
}

// at finds the listener at the place of l.
func at(list []Listener, l *Listener) *Listener {
	for i := range list {
		if list[i].String() == l.String() && list[i].Interface == l.Interface && list[i].Family == l.Family {
			return &list[i]
		}
	}
	return nil
}

// changes is the difference in one setting, if there is one.
func (s *setting[T]) changes(old, next *T, listener string, live bool) []Change {
	if slices.Equal(s.value.texts(old), s.value.texts(next)) {
		return nil
	}
	return []Change{{Key: s.name, Listener: listener, Old: s.shown(old), New: s.shown(next), Live: live}}
}
