package engine

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/gannetmq/gannet/engine/broker"
	"github.com/gannetmq/gannet/engine/session"
)

// Options configures a Server. The zero value of every field but Listeners means
// its default; DefaultOptions returns them written out.
type Options struct {
	// Broker configures what is not about sockets.
	Broker broker.Options

	// Store keeps sessions, queues and retained messages beyond this process; nil
	// keeps them in memory only.
	Store broker.Store

	// Listeners are the addresses to accept connections on; at least one.
	Listeners []ListenerOptions

	// Loops is the number of event loops, each of which is served by one goroutine
	// and owns its share of the connections. Default: one for each processor that
	// the process may use. More than 256 is an error.
	Loops int

	// MaxConnections bounds the connections of all listeners together. One more is
	// accepted and closed at once, and counted in Stats.RefusedFull. Default: what
	// the limit of open files allows, less a reserve for the store.
	MaxConnections int

	// MaxAcceptRate bounds how many connections are accepted in a second, after a
	// burst of as many. Further ones wait in the kernel's backlog; none is refused.
	// Default: 0, no bound.
	MaxAcceptRate int

	// ShutdownTimeout bounds the time from the end of Run's context until the last
	// client has taken what was sent to it. Connections that are left then are
	// closed, and what they had not taken is lost. Default: 5 seconds.
	ShutdownTimeout time.Duration
}

// ListenerOptions configures one listener.
type ListenerOptions struct {
	// URL names the transport and the address: mqtt://host:port (tcp:// means the
	// same; the port may be left out and is 1883 then; an empty host means all
	// addresses) or unix:///path/of/socket.
	URL string

	// AllowAnonymous admits clients that present no credentials.
	AllowAnonymous bool

	// Methods are the methods of enhanced authentication on offer, in no order.
	Methods []session.EnhancedMethod
}

const (
	defaultShutdownTimeout = 5 * time.Second
	maxLoops               = 256
)

// DefaultOptions returns the options of a server for this machine only: one
// listener on the loopback address, open to anybody who can reach it.
func DefaultOptions() Options {
	return Options{
		Broker:    broker.DefaultOptions(),
		Listeners: []ListenerOptions{{URL: "mqtt://127.0.0.1:1883", AllowAnonymous: true}},
	}.withDefaults()
}

func (o Options) withDefaults() Options {
	if o.Loops == 0 {
		o.Loops = min(runtime.NumCPU(), maxLoops)
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = connectionsFor(DescriptorLimit())
	}
	if o.ShutdownTimeout == 0 {
		o.ShutdownTimeout = defaultShutdownTimeout
	}
	return o
}

// Validate returns an error that names the first field with an impossible value.
// It does not look at Broker, which the broker itself checks.
func (o Options) Validate() error {
	if len(o.Listeners) == 0 {
		return errors.New("listeners: none configured")
	}
	for _, l := range o.Listeners {
		if _, err := parseAddress(l.URL); err != nil {
			return err
		}
	}
	if o.Loops < 0 || o.Loops > maxLoops {
		return fmt.Errorf("loops: %d is not between 1 and %d", o.Loops, maxLoops)
	}
	if o.MaxConnections < 0 {
		return fmt.Errorf("max connections: %d is negative", o.MaxConnections)
	}
	if o.MaxAcceptRate < 0 {
		return fmt.Errorf("max accept rate: %d is negative", o.MaxAcceptRate)
	}
	if o.ShutdownTimeout < 0 {
		return fmt.Errorf("shutdown timeout: %v is negative", o.ShutdownTimeout)
	}
	return nil
}
