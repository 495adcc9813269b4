package engine

import (
	"os"
	"runtime"
)

// TuneRuntime prepares the Go scheduler of this process for a server with so many
// event loops: it runs as many goroutines at a time as there are loops, but not
// fewer than two. It is for a program that is the broker and little else, called
// before New; an embedding program decides for itself. The environment variable
// GOMAXPROCS, if set, is left in force.
//
// The reason is what a loop does before it sleeps. gnet yields to the scheduler
// there, and the scheduler, if it has a processor to spare, wakes a thread to look
// for work that does not exist; often enough that thread takes the loop itself away
// to another core. Two loops that echo 5000 small messages a second cost 19 us of
// processor time for each with two processors, and no futex call at all; 36 us and
// 0.6 futex calls with three; 29 us and 0.9 with four (at 20000 a second: 10 us and
// none with two, 18 us and 0.7 with three). Below 1000 a second there is no difference. A store
// that syncs wants a processor when all loops are asleep and gets it a little later
// this way: 0.55 ms instead of 0.40 in the middle for an answer that waits for the
// disk, at the same cost.
func TuneRuntime(loops int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(loops, 2))
	}
}
