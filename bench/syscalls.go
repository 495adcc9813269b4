package bench

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// syscallNames are the system calls that are counted by name: what a broker makes for
// messages, and for the scheduling and the storage behind them. Every name more costs the
// kernel something each time that it switches to a thread of the broker.
var syscallNames = [...]string{
	"read", "write", "readv", "writev", "recvfrom", "sendto", "recvmsg", "sendmsg",
	"epoll_wait", "epoll_pwait", "epoll_ctl", "poll", "futex", "nanosleep", "clock_nanosleep", "sched_yield",
	"accept4", "close", "pwrite64", "fdatasync",
}

var errNoProcess = errors.New("syscalls: the broker's process is not known: write --pid PID, of a broker on this machine")

// syscallCost is what a phase cost in system calls, for each message in or out, connection
// or cycle.
type syscallCost struct {
	All    float64        `json:"all"`
	ByName []syscallShare `json:"by_name"` // the most frequent first; not all have a name here
}

type syscallShare struct {
	Name string  `json:"name"`
	Each float64 `json:"each"`
}

// syscallsBetween returns what two readings of a counter say about the units between them.
// names belong to the readings; the first is that of all calls together.
func syscallsBetween(names []string, from, to []uint64, each func(float64) float64) *syscallCost {
	x := &syscallCost{All: each(float64(to[0] - min(from[0], to[0])))}
	for i := 1; i < len(names); i++ {
		if n := to[i] - min(from[i], to[i]); n > 0 {
			x.ByName = append(x.ByName, syscallShare{names[i], each(float64(n))})
		}
	}
	slices.SortStableFunc(x.ByName, func(a, b syscallShare) int { return cmp.Compare(b.Each, a.Each) })
	return x
}

// times returns x with every figure multiplied; nil of nil.
func (x *syscallCost) times(factor float64) *syscallCost {
	if x == nil {
		return nil
	}
	y := &syscallCost{All: x.All * factor}
	for _, s := range x.ByName {
		y.ByName = append(y.ByName, syscallShare{s.Name, s.Each * factor})
	}
	return y
}

// syscallsShown is how many names the report for people has, of those that are a hundredth
// of all or more.
const syscallsShown = 5

// writeSyscalls prints what --syscalls has counted, if it was given.
func writeSyscalls(w io.Writer, x *runResult) {
	found := false
	for i := range x.Phases {
		b := x.Phases[i].Broker
		if b == nil || b.Syscalls == nil {
			continue
		}
		found = true
		var parts []string
		others := b.Syscalls.All
		least := others / 100
		for _, s := range b.Syscalls.ByName[:min(syscallsShown, len(b.Syscalls.ByName))] {
			if s.Each >= least {
				parts = append(parts, number(s.Each)+" "+s.Name)
				others -= s.Each
			}
		}
		if others >= least {
			parts = append(parts, number(others)+" others")
		}
		fmt.Fprintf(w, "System calls of the broker in phase %s, for each %s: %s: %s.\n",
			x.Phases[i].Name, x.Phases[i].Unit, number(b.Syscalls.All), strings.Join(parts, ", "))
	}
	if found {
		fmt.Fprintln(w, "Counting them slows the broker: where there are several for each message, a fifth of its processor time may be due to that.")
		fmt.Fprintln(w)
	}
}
