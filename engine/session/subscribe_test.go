package session

import (
	"fmt"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// TestManySubscriptions: beyond a few they are found by a map, and none is lost or mixed up when others go.
func TestManySubscriptions(t *testing.T) {
	const n = 5 * fewSubscriptions
	s, out := plainSession(codec.V5), &Output{}
	filter := func(i int) []byte { return fmt.Appendf(nil, "a/%d", i) }
	subscribe := func(i int, qos codec.QoS) {
		p := codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{{Filter: filter(i), QoS: qos}}}
		out.Reset()
		s.Packet(frameOf(p.Append(nil, codec.V5)), start, out)
		s.check(t, 0)
	}
	for i := range n {
		subscribe(i, codec.QoS1)
	}
	for i := 0; i < n; i += 3 {
		p := codec.Unsubscribe{PacketID: 1, Filters: [][]byte{filter(i), []byte("b")}}
		out.Reset()
		s.Packet(frameOf(p.Append(nil, codec.V5)), start, out)
		s.check(t, 0)
	}
	for i := 1; i < n; i += 3 {
		subscribe(i, codec.QoS2)
	}
	for i := range n {
		sub := s.findSubscription(filter(i))
		if (sub == nil) != (i%3 == 0) || sub != nil && (sub.Filter != string(filter(i)) || sub.Options.QoS != codec.QoS(3-i%3)) {
			t.Errorf("filter %d: %+v", i, sub)
		}
	}
}

// TestRefreshTellsWhatWasDecidedMeanwhile: a change is carried out without the session's lock.
func TestRefreshTellsWhatWasDecidedMeanwhile(t *testing.T) {
	now, before := SubscriptionOptions{QoS: codec.QoS2}, SubscriptionOptions{QoS: codec.QoS1}
	for name, test := range map[string]struct {
		filter  string
		done    Change
		current bool
		want    Change
	}{
		"subscribed, and it stands":      {"a", Change{Filter: "a", Options: now}, true, Change{Filter: "a", Options: now}},
		"subscribed, and replaced":       {"a", Change{Filter: "a", Options: before, Replay: true}, false, Change{Filter: "a", Options: now}},
		"subscribed, and removed":        {"", Change{Filter: "a", Options: before}, false, Change{Remove: true, Filter: "a", Options: before}},
		"removed, and it stands":         {"", Change{Remove: true, Filter: "a"}, true, Change{Remove: true, Filter: "a"}},
		"removed, and subscribed again":  {"a", Change{Remove: true, Filter: "a"}, false, Change{Filter: "a", Options: now}},
		"shared, and it stands":          {"$share/g/a", Change{Group: "g", Filter: "a", Options: now}, true, Change{Group: "g", Filter: "a", Options: now}},
		"shared, and there is a plain":   {"a", Change{Remove: true, Group: "g", Filter: "a"}, true, Change{Remove: true, Group: "g", Filter: "a"}},
		"shared removed, and made again": {"$share/g/a", Change{Remove: true, Group: "g", Filter: "a"}, false, Change{Group: "g", Filter: "a", Options: now}},
	} {
		s := plainSession(codec.V5)
		if test.filter != "" {
			s.addSubscription(test.filter).Options = now
		}
		ch := test.done
		if current := s.Refresh(&ch); current != test.current || ch != test.want {
			t.Errorf("%s: %v, %+v", name, current, ch)
		}
	}
}
