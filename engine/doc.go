// Package engine is the reactor: the sockets of the broker, the goroutines that
// serve them, the clock and the shutdown. Everything that is decided about MQTT is
// decided in engine/broker and below, where there are none of these things; this
// package moves bytes to it and from it, and tells it the time.
//
// It is not where packets are parsed, clients are known or messages are routed, and
// it opens no file. It imports engine/broker (and engine/session for the policies of
// listeners) and is the only package that imports gnet, in gnet.go alone. A program
// that embeds the broker imports this package: New, then Run.
//
// # A turn
//
// A connection belongs to one event loop for life, and only that loop's goroutine
// touches it. What arrives goes to broker.Loop.Data while it still lies in the read
// buffer of the loop. Nothing is sent there. When nothing else is readable, or after
// 128 callbacks, comes the turn: broker.Loop.Turn hands messages to other loops, one
// batch and one wake-up for each, takes those handed to this one, and writes to each
// connection once. Then the connections that the broker has closed are closed, and
// the broker hears of it (Closed). loop.go has the rule and why no turn is lost;
// peek_linux.go how "nothing else is readable" is found out with one system call.
//
// # A connection
//
// An acceptor takes it from the kernel, when the rate allows it; the gate has a place
// for it or it is closed; the reactor duplicates its descriptor for the event loop
// with the fewest connections (so it needs two for a moment); the loop calls Open.
// When the broker closes it, data stops at once, Closed follows at the end of the
// turn, and the socket gets two seconds, without the broker, to send what it holds.
// When the socket breaks, Closed follows at once, even inside a Write.
//
// # Goroutines
//
//	goroutine       number            ends when                     joined by
//	event loop      Options.Loops     reactor.stop                  reactor.stop
//	acceptor        4 a listener      its listener is closed        Run
//	ticker          1                 Run has drained the loops     Run
//	retry timer     short, 0-1/loop   its wake-up is queued         loop.silence
//	                of a blocked loop
//
// gnet adds two goroutines of its worker pool, which belong to the process and do
// nothing here. Nothing else is started; Run itself waits and then tidies up in this
// order: listeners, acceptors, connections, ticker, wake-ups, event loops. After the
// event loops have ended, Run owns what they owned and gives each core a last turn.
//
// # Bounds
//
//	bound                      default               reaction                   counter
//	Options.MaxConnections     descriptors - 600     accepted and closed        RefusedFull
//	descriptors of process     the system's          accepted and closed, with  RefusedStarved,
//	                                                 one kept in reserve        AcceptErrors, AdoptErrors
//	Options.MaxAcceptRate      none                  waits in the backlog       -
//	callbacks before a turn    128                   the turn runs              -
//	a closed socket's time     2 s                   the rest is dropped        -
//	Options.ShutdownTimeout    5 s                   the rest is dropped        one line in the log
//
// What waits in a connection for a client that does not read is bounded by the
// broker, which sees it in Transport.Buffered.
package engine
