package engine

import (
	"net"
	"net/netip"

	"github.com/gannetmq/gannet/engine/broker"
)

// reactor owns sockets: it waits for them on a fixed number of event loops and
// tells the handler what happened, on the loop that owns the socket. There is one
// implementation, in gnet.go; the rest of the package knows only this much of it,
// so that another one needs no change elsewhere.
type reactor interface {
	// start brings up one event loop for every handler and returns when each of
	// them has been joined to its handler with handler.attach.
	start(handlers []*loop) error

	// adopt hands an accepted connection over to the loop with the fewest
	// connections and returns when that loop has called open, or with an error when
	// it never will. The reactor closes nc in either case: it keeps a descriptor of
	// its own. Callable from any goroutine, each with its own entry, until stop.
	adopt(nc net.Conn, e *entry) error

	// accepts tells, once started, whether the event loops can take connections from
	// the kernel themselves: if so, listen, unlisten and adopt of eventLoop may be
	// called, and nobody needs adopt.
	accepts() bool

	// stop ends the event loops and joins their goroutines. What is still connected
	// is closed and reported with closed on its loop first.
	stop() error
}

// entry carries a connection from whoever accepts it through adopt to open. It is used
// for one connection after another.
type entry struct {
	listener *broker.Listener
	origin   *origin
	peer     netip.AddrPort // the other end; not valid: a Unix socket
	early    []byte         // read from the socket already
	opened   bool           // set on the loop, read by the acceptor after reactor.adopt
}

// eventLoop is one event loop of a reactor as its handler sees it.
type eventLoop interface {
	// execute has the loop call handler.run soon, after the callbacks of the
	// iteration it is in. Callable from any goroutine until the reactor is stopped.
	execute() error

	// ahead returns how many callbacks (data or closed) are certain to follow in
	// this or the next iteration, because that many sockets are readable at this
	// moment; 0 when none is; negative when this reactor cannot tell. It may say
	// less than the truth, never more. On the loop only.
	ahead() int

	// close closes the socket at once; closed is called before it returns. On the
	// loop only.
	close(s socket)

	// listen has the loop call handler.ring when a connection waits at the listening
	// socket fd, again and again while it does, unless another loop that listens is
	// woken for it. unlisten ends that, and may be called from any goroutine.
	listen(fd int) error
	unlisten(fd int)

	// adopt takes over the connected socket fd, in any case, and has called open when
	// it returns without an error. On the loop only.
	adopt(fd int, e *entry) error
}

// socket is one stream socket of an event loop. On that loop only, and never after
// closed has been called for it: its descriptor may be somebody else's by then.
type socket interface {
	// Write sends what the kernel takes and copies the rest. On an error the socket
	// is closed, and closed has been called, when it returns.
	Write(b []byte) (int, error)
	// Writev is Write for all of bs. It may change the elements of bs, which are 1024 at most.
	Writev(bs [][]byte) (int, error)
	// OutboundBuffered returns the bytes copied by Write and not yet sent.
	OutboundBuffered() int
}
