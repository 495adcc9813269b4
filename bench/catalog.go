package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// entry is a scenario by name, as --scenarios and the report know it.
type entry struct {
	name  string
	about string
	unit  string // what its rate and its processor time count
	run   func(ctx context.Context, t target, b budget) (outcome, error)
}

// budget says how much of a load a run gets.
type budget struct {
	warm        time.Duration // before measuring
	length      time.Duration // measured
	connections int           // of the connect scenario, which takes the time it takes
	patience    time.Duration // without any progress, after which a run has failed, or what is under way is lost
}

const (
	unitMessage    = "message"
	unitConnection = "connection"
	unitCycle      = "cycle"
)

// churnPlaces is how many clients come and go at the same time.
const churnPlaces = 50

// catalog returns the scenarios in the order of the report.
//
// The windows are chosen so that every broker has enough to do: 5,000 messages under
// way for QoS 0 point to point, the 20 in flight of common client libraries for QoS 1
// and 2, about 12,800 and 16,000 deliveries for fan-out.
func catalog() []entry {
	closed := func(publishers, subscribers, qos, window int) sizes {
		return sizes{publishers: publishers, subscribers: subscribers, payload: payloadSize, qos: qos, window: window}
	}
	paced := sizes{publishers: 20, subscribers: 20, payload: payloadSize, window: defaultWindowOpen, rate: 5000, arrivals: "uniform"}
	return []entry{
		messages("p2p-qos0", "50 pairs, QoS 0, 100 under way for each", pairsFleet, closed(50, 50, 0, 100)),
		messages("p2p-qos1", "50 pairs, QoS 1, 20 in flight for each", pairsFleet, closed(50, 50, 1, 20)),
		messages("p2p-qos2", "50 pairs, QoS 2, 20 in flight for each", pairsFleet, closed(50, 50, 2, 20)),
		messages("single-qos0", "50 pairs, QoS 0, one message at a time for each", pairsFleet, closed(50, 50, 0, 1)),
		messages("single-qos1", "50 pairs, QoS 1, one message at a time for each", pairsFleet, closed(50, 50, 1, 1)),
		messages("single-qos2", "50 pairs, QoS 2, one message at a time for each", pairsFleet, closed(50, 50, 2, 1)),
		messages("fanout-100", "1 publisher, 100 receivers, QoS 0, 128 under way", oneTopicFleet, closed(1, 100, 0, 128)),
		messages("fanout-1000", "1 publisher, 1000 receivers, QoS 0, 128 under way", oneTopicFleet, closed(1, 1000, 0, 128)),
		messages("fanin-100", "100 publishers, 1 receiver, QoS 1, 20 in flight for each publisher", fanOutFleet, closed(100, 1, 1, 20)),
		messages("shared-20x4", "20 publishers, a shared group of 4, QoS 1, 20 in flight for each publisher", sharedFleet, closed(20, 4, 1, 20)),
		messages("paced-5k", "20 pairs, QoS 0, 5,000 messages/s by the clock, one at a time", pairsFleet, paced),
		{"connect", "clients connect and subscribe to a topic each, 64 at a time", unitConnection,
			func(ctx context.Context, t target, b budget) (outcome, error) {
				return measureArrivals(ctx, t, b)
			}},
		{"churn", "50 clients at a time: connect, subscribe, publish, receive, leave", unitCycle,
			func(ctx context.Context, t target, b budget) (outcome, error) {
				return measureChurn(ctx, t, newChurn(churnPlaces), b)
			}},
	}
}

// messages is an entry that measures a fleet of certain sizes.
func messages(name, about string, fleet func(*sizes) []groupSpec, s sizes) entry {
	return entry{name, about, unitMessage, func(ctx context.Context, t target, b budget) (outcome, error) {
		return measureFleet(ctx, t, fleet(&s), b)
	}}
}

// choose returns the entries that a comma-separated list names, in the order of the
// catalog; "all" names every one.
func choose(flagName string, catalog []entry, list string) ([]entry, error) {
	if list == "all" {
		return catalog, nil
	}
	names := strings.Split(list, ",")
	var chosen []entry
	for _, e := range catalog {
		if i := slices.Index(names, e.name); i >= 0 {
			chosen = append(chosen, e)
			names = slices.DeleteFunc(names, func(n string) bool { return n == e.name })
		}
	}
	if len(names) > 0 {
		return nil, fmt.Errorf("%s: there is no %q: write all, or some of %s", flagName, names[0], strings.Join(namesOf(catalog), ", "))
	}
	return chosen, nil
}

func namesOf(catalog []entry) (names []string) {
	for _, e := range catalog {
		names = append(names, e.name)
	}
	return names
}
