// Package engine is the reactor: the sockets of the broker, the goroutines that
// serve them, the clock and the shutdown. Everything that is decided about MQTT is
// decided in engine/broker and below, where there are none of these things; this
// package moves bytes to it and from it, and tells it the time.
//
// It is not where packets are parsed, clients are known or messages are routed, and
// it opens no file. It imports engine/broker, engine/session for the policies of
// listeners, and engine/proxy and engine/websocket for what is spoken below MQTT, and
// is the only package that imports gnet, in gnet.go and direct_linux.go alone. A program that embeds the
// broker imports this package: New, then Run. Certificates come as a *tls.Config, and
// who may connect is asked of Options.Admit: where they come from is none of its business.
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
// An event loop takes it from the kernel, when the rate allows it; Options.Admit, the
// listener's bound and the gate let it in or it is closed; the loop keeps it, or hands it
// to another that has clearly fewer, and calls Open. intake.go has how that goes on
// without ever waiting, door.go who may come in, and what happens when descriptors run
// out. Loops accept on Linux, by the private parts of one version of gnet
// (direct_linux.go); elsewhere goroutines do, which hand the connection to gnet
// (acceptor.go). Nothing but the cost tells the two apart.
//
// When the broker closes it, data stops at once, Closed follows at the end of the
// turn, and the socket gets two seconds, without the broker, to send what it holds.
// When the socket breaks, Closed follows at once, even inside a Write.
//
// # Layers
//
// What a listener has besides MQTT comes between accepting and the broker:
//
//	listener   greeting (its own goroutine)    event loop
//	mqtt unix  -                               socket -> broker
//	ws         -                               socket -> request, frames -> broker
//	mqtts      handshake                       socket -> TLS -> broker
//	wss        handshake                       socket -> TLS -> request, frames -> broker
//	any, with  header, then as above           as above
//	PROXY
//
// Only what has to wait for its client inside of somebody else's code is greeted, and a
// connection without any of it does not know that there is such a thing: it pays one
// pointer, to the origin it shares with all others of its listener. layers.go has how TLS
// is read on a loop without waiting, tlsinside.go why an idle TLS connection has no
// buffer, greeting.go what a storm of handshakes can and cannot do. wire.go is how another
// loop writes a frame to a WebSocket. With TLS it may not: records are numbered.
//
// The roads not taken: TLS on a goroutine for each connection costs four times the memory.
// A handshake on the loop would have to be a state machine of our own: crypto/tls cannot be
// interrupted before it has ended. A library that copies crypto/tls to change that is late
// with every fix.
//
// # Changes while it runs
//
// A listener is a socket and a counter; what it asks of those who connect is its setup, which
// is immutable and swapped as a whole by Server.Apply. A connection keeps the setup that it
// came by. So certificates, policies, bounds, proxies, and even the transport of a port change
// without closing anything.
//
// # Goroutines
//
//	goroutine       number            ends when                     joined by
//	event loop      Options.Loops     reactor.stop                  reactor.stop
//	acceptor        4 a listener, if  its listener is closed        Run
//	                loops do not
//	greeting        up to             it fails, a loop has its      greetings.stop
//	                MaxHandshakes     connection, or time is up
//	ticker          1                 Run has drained the loops     Run
//	retry timer     short, 0-1/loop   its wake-up is queued         loop.silence
//	                of a blocked loop
//	pause timer     short, 0-1/loop   its wake-up is queued         loop.silence
//	                and listener
//
// gnet adds two goroutines of its worker pool, which belong to the process and do
// nothing here. Nothing else is started; Run itself waits and then tidies up in this
// order: listeners, whoever accepts, greetings, connections, ticker, wake-ups, event loops. After the
// event loops have ended, Run owns what they owned and gives each core a last turn.
//
// # Bounds
//
//	bound                      default               reaction                   counter
//	Options.MaxConnections     descriptors - 600     accepted and closed        RefusedFull
//	descriptors of process     the system's          accepted and closed, with  RefusedStarved,
//	                                                 one kept in reserve        AcceptErrors, AdoptErrors
//	ListenerOptions.           none                  accepted and closed        RefusedFull
//	MaxConnections
//	Options.MaxAcceptRate      none                  waits in the backlog       -
//	Options.MaxHandshakes      1024                  the slowest is closed      HandshakesEvicted
//	Options.HandshakeTimeout   10 s                  closed                     HandshakesTimedOut
//	greetings that compute     half of the loops     wait for a slot            -
//	HTTP request               8 KiB                 431                        RefusedUpgrade
//	pongs and key updates      64 KiB unread, what   closed                     TransportErrors
//	                           the broker has to
//	                           say not counted
//	accepted in one go         16 a listener         the loop goes on first     -
//	handed to one loop         1024 that wait        closed                     AdoptErrors
//	callbacks before a turn    128                   the turn runs              -
//	a closed socket's time     2 s                   the rest is dropped        -
//	Options.ShutdownTimeout    5 s                   the rest is dropped        one line in the log
//
// What waits in a connection for a client that does not read is bounded by the
// broker, which sees it in Transport.Buffered.
package engine
