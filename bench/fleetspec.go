package bench

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// fleetSpec describes groups of clients and what they do, phase by phase. It is made by
// the catalog of gannet bench run, or read from a file.
type fleetSpec struct {
	groups []groupSpec
	phases []phaseSpec // at least one
}

// groupSpec describes clients that are alike.
type groupSpec struct {
	name      string
	count     int
	durable   bool
	keepAlive int // seconds; 0: none
	will      *will

	subscribe []string // templates of filters
	filters   int      // how often all of them are subscribed to, {k} counting; 0: once
	qos       codec.QoS
	readRate  int // bytes a second that one of them reads; 0: whatever comes. What it misses is no loss.

	publish *publishSpec // nil: they do not publish
}

// publishSpec describes what one client publishes.
type publishSpec struct {
	topic    string // a template
	qos      codec.QoS
	retain   bool
	size     int     // bytes of a payload
	window   int     // messages that it may have under way
	rate     float64 // messages a second by the clock; 0: as the window allows
	arrivals spacing
}

// spacing is how the times of sending are spread.
type spacing byte

const (
	uniform spacing = iota // one gap after the other, all alike
	poisson                // independent of each other: exponential gaps
)

var spacingNames = [...]string{"uniform", "poisson"}

func (p spacing) String() string { return spacingNames[p] }

// phaseSpec is a stretch of a run.
type phaseSpec struct {
	name    string
	length  time.Duration
	factor  float64 // of the rates of all groups
	unheard bool    // nothing of it is reported: it is there to warm up
}

// The bounds of a fleet. What exceeds them is refused before anything is connected.
const (
	clientsMax        = 1_000_000
	filtersMax        = 1_000_000 // of all clients
	groupsMax         = 1000
	phasesMax         = 1000
	payloadMax        = 1 << 20 // bytes
	payloadMin        = fleetStampSize
	willMax           = 65535 // bytes
	windowMax         = 65535
	rateMax           = 10_000_000 // messages a second, of all clients
	runMax            = 24 * time.Hour
	streamsMax        = 50_000_000 // pairs of a publisher and a client that hears it
	defaultWindow     = 100
	defaultWindowOpen = 4096 // of a publisher by the clock
)

// validate returns what makes no sense in s.
func (s *fleetSpec) validate() error { return s.validateAll(true) }

// validateAll is validate, with the phases or without.
func (s *fleetSpec) validateAll(phases bool) error {
	clients, filters, rate := 0, 0, 0.0
	publishing := false
	for i := range s.groups {
		g := &s.groups[i]
		if err := g.validate(); err != nil {
			return fmt.Errorf("group %s: %w", g.name, err)
		}
		clients += g.count
		filters += g.count * len(g.subscribe) * max(1, g.filters)
		if p := g.publish; p != nil {
			publishing = true
			rate += p.rate * float64(g.count)
		}
	}
	switch {
	case len(s.groups) == 0:
		return errors.New("groups: there are none")
	case len(s.groups) > groupsMax:
		return fmt.Errorf("groups: more than %d", groupsMax)
	case clients > clientsMax:
		return fmt.Errorf("groups: %d clients, more than %d", clients, clientsMax)
	case filters > filtersMax:
		return fmt.Errorf("groups: %d filters, more than %d", filters, filtersMax)
	case rate > rateMax:
		return fmt.Errorf("groups: %.0f messages a second, more than %d", rate, rateMax)
	case !publishing:
		return errors.New("groups: nobody publishes")
	case !phases:
		return nil
	}
	return validatePhases(s.phases)
}

func validatePhases(phases []phaseSpec) error {
	if len(phases) == 0 || len(phases) > phasesMax {
		return fmt.Errorf("phases: %d, not 1 to %d", len(phases), phasesMax)
	}
	var length time.Duration
	for _, p := range phases {
		switch {
		case p.length <= 0 || p.length > runMax:
			return fmt.Errorf("seconds: phase %q does not last above 0 and up to %v", p.name, runMax)
		case !(p.factor >= 0 && p.factor <= 1e6):
			return fmt.Errorf("rate: %v of phase %q is not from 0 to 1000000", p.factor, p.name)
		}
		length += p.length
	}
	if length > runMax {
		return fmt.Errorf("phases: %v in all, more than %v", length, runMax)
	}
	return nil
}

func (g *groupSpec) validate() error {
	switch {
	case g.count < 1 || g.count > clientsMax:
		return fmt.Errorf("count: %d is not from 1 to %d", g.count, clientsMax)
	case g.keepAlive < 0 || g.keepAlive > 65535:
		return fmt.Errorf("keepalive: %d is not from 0 to 65535", g.keepAlive)
	case g.filters < 0 || g.filters > filtersMax:
		return fmt.Errorf("filters: %d is not from 0 to %d", g.filters, filtersMax)
	case g.readRate < 0 || g.readRate > 1<<30:
		return fmt.Errorf("read: %d bytes a second is not from 0 to 1 GiB", g.readRate)
	case g.readRate > 0 && len(g.subscribe) == 0:
		return errors.New("read: it subscribes to nothing")
	case g.qos > codec.QoS2:
		return fmt.Errorf("qos: %d is not 0, 1 or 2", g.qos)
	}
	for _, filter := range g.subscribe {
		text, err := expand(filter, "prefix", 0, 0)
		if err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		_, rest, shared, ok := codec.SplitShare([]byte(text))
		if shared && !ok || !shared && !codec.ValidTopicFilter([]byte(text)) || shared && !codec.ValidTopicFilter(rest) {
			return fmt.Errorf("subscribe: %q is not a topic filter", filter)
		}
	}
	if w := g.will; w != nil {
		if err := w.validate(); err != nil {
			return fmt.Errorf("will: %w", err)
		}
	}
	if g.publish == nil {
		return nil
	}
	return g.publish.validate()
}

func (w *will) validate() error {
	topic, err := expand(w.topic, "prefix", 0, 0)
	switch {
	case err != nil:
		return err
	case !codec.ValidTopicName([]byte(topic)):
		return fmt.Errorf("%q is not a topic name", w.topic)
	case w.qos > codec.QoS2:
		return fmt.Errorf("QoS %d is not 0, 1 or 2", w.qos)
	case len(w.payload) > willMax:
		return fmt.Errorf("payload of %d bytes, more than %d", len(w.payload), willMax)
	}
	return nil
}

func (p *publishSpec) validate() error {
	text, err := expand(p.topic, "prefix", 0, 0)
	switch {
	case err != nil:
		return fmt.Errorf("topic: %w", err)
	case !codec.ValidTopicName([]byte(text)):
		return fmt.Errorf("topic: %q is not a topic name", p.topic)
	case strings.Contains(p.topic, "{k}"):
		return fmt.Errorf("topic: %q: {k} counts filters, and there are none here", p.topic)
	case p.qos > codec.QoS2:
		return fmt.Errorf("qos: %d is not 0, 1 or 2", p.qos)
	case p.size < payloadMin || p.size > payloadMax:
		return fmt.Errorf("size: %d bytes are not from %d to %d: a payload says who sent it, which it is, and when", p.size, payloadMin, payloadMax)
	case p.window < 1 || p.window > windowMax:
		return fmt.Errorf("window: %d is not from 1 to %d", p.window, windowMax)
	case !(p.rate >= 0 && p.rate <= rateMax):
		return fmt.Errorf("rate: %v is not from 0 to %d", p.rate, rateMax)
	}
	return nil
}

// clients returns the number of clients of all groups.
func (s *fleetSpec) clients() (n int) {
	for i := range s.groups {
		n += s.groups[i].count
	}
	return n
}
