package bench

import (
	"fmt"
	"slices"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/router"
)

// ear is the listening half of a client.
type ear struct {
	group   int // of the client, and of the histogram that what it hears goes to
	qos     codec.QoS
	slow    bool     // it reads at a rate, and what it misses is no loss
	heard   []uint32 // publishers, in order
	shared  []bool   // as heard: through a shared subscription
	streams []stream // as heard
}

// place returns where a publisher is in heard; -1: it is not meant for this client.
// Mostly the numbers are without gaps.
func (e *ear) place(publisher uint32) int {
	if len(e.heard) == 0 {
		return -1
	}
	if at := publisher - e.heard[0]; at < uint32(len(e.heard)) && e.heard[at] == publisher {
		return int(at)
	}
	if at, found := slices.BinarySearch(e.heard, publisher); found {
		return at
	}
	return -1
}

// assembly finds out who hears whom before a run, so that afterwards every delivery
// is known to be owed or not. It matches topics with the router of the broker in this
// tree; a broker that matches differently has losses or strays, which is what it should
// have.
type assembly struct {
	router *router.Router[int32] // by number of the client
	ears   []ear                 // by number of the client
	pairs  int
}

func newAssembly(clients int) *assembly {
	return &assembly{router: router.New[int32](router.Config{}), ears: make([]ear, clients)}
}

// subscribe adds the filter of a client.
func (a *assembly) subscribe(client int, filter string) error {
	group := ""
	if name, rest, shared, ok := codec.SplitShare([]byte(filter)); shared && ok {
		group, filter = string(name), string(rest)
	}
	_, err := a.router.Subscribe(group, filter, int32(client), router.Options{})
	return err
}

// publish returns how many deliveries one message of a publisher to a topic makes, and
// has them known to those who hear it. Publishers are added in order.
func (a *assembly) publish(publisher int, topic string, m *router.Matches[int32]) (deliveries int, err error) {
	a.router.Match([]byte(topic), m)
	for _, s := range m.Subs {
		if err := a.hears(int(s.Subscriber), publisher, topic, false); err != nil {
			return 0, err
		}
		if !a.ears[s.Subscriber].slow {
			deliveries++
		}
	}
	for _, g := range m.Groups {
		owed := true
		for _, s := range g.Members(nil) {
			if err := a.hears(int(s.Subscriber), publisher, topic, true); err != nil {
				return 0, err
			}
			owed = owed && !a.ears[s.Subscriber].slow
		}
		if owed {
			deliveries++
		}
	}
	if a.pairs > streamsMax {
		return 0, fmt.Errorf("more than %d pairs of a publisher and a client that hears it", streamsMax)
	}
	return deliveries, nil
}

func (a *assembly) hears(client, publisher int, topic string, shared bool) error {
	e := &a.ears[client]
	if n := len(e.heard); n > 0 && e.heard[n-1] == uint32(publisher) {
		return fmt.Errorf("client %d hears %q through two filters, and a broker is free to deliver once or twice [MQTT-3.3.4-2]", client, topic)
	}
	e.heard, e.shared = append(e.heard, uint32(publisher)), append(e.shared, shared)
	a.pairs++
	return nil
}

// done returns the ears, ready to hear.
func (a *assembly) done() []ear {
	for i := range a.ears {
		a.ears[i].streams = make([]stream, len(a.ears[i].heard))
	}
	return a.ears
}

// lowerQoS is what a delivery has [MQTT-3.8.4-8].
func lowerQoS(published, granted codec.QoS) codec.QoS { return min(published, granted) }
