package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// smallFleet is one publisher to a topic and the clients that subscribe to filters.
func smallFleet(p publishSpec, filters ...string) *fleetSpec {
	s := &fleetSpec{phases: []phaseSpec{{name: "load", length: time.Second, factor: 1}}}
	for i, filter := range filters {
		s.groups = append(s.groups, groupSpec{name: fmt.Sprint("sub", i), count: 1, subscribe: []string{filter}, qos: p.qos})
	}
	s.groups = append(s.groups, groupSpec{name: "pub", count: 1, publish: &p})
	return s
}

func plainPublish() publishSpec { return publishSpec{topic: "a", size: 16, window: 100} }

// idleFleet is a fleet whose clients have no sockets.
func idleFleet(t testing.TB, s *fleetSpec, v codec.Version) *fleet {
	t.Helper()
	if err := s.validate(); err != nil {
		t.Fatal(err)
	}
	x, err := newFleet(s, "p", v, 1)
	if err != nil {
		t.Fatal(err)
	}
	l := &loop{scenario: x, base: time.Now(), version: v}
	x.open(l)
	return x
}

// carry hands the packets that a publisher has written to a client, n times each.
func (x *fleet) carry(t testing.TB, from, to int, n int) {
	t.Helper()
	out := slices.Clone(x.members[from].client.out)
	x.members[from].client.out = x.members[from].client.out[:0]
	for len(out) > 0 {
		f, _, err := codec.Next(out, 0)
		if err != nil || f.Size == 0 {
			t.Fatalf("%d bytes left, %v", len(out), err)
		}
		for range n {
			if err := x.packet(x.members[to].client, f); err != nil {
				t.Fatal(err)
			}
		}
		out = out[f.Size:]
	}
}

func TestLatencyCountsFromTheIntendedTime(t *testing.T) {
	p := plainPublish()
	p.window, p.rate = 1, 100
	x := idleFleet(t, smallFleet(p, "a"), codec.V311)
	x.start(1, time.Hour)
	// The broker pauses for a second: the clock goes on, the window is full after the
	// first message, and the hundred that are due meanwhile leave afterwards, one by one,
	// each delivered as soon as it is sent.
	x.pace()
	x.loop.base = x.loop.base.Add(-time.Second)
	x.pace()
	for range 90 {
		x.loop.clock()
		x.carry(t, 1, 0, 1)
		x.fill(x.members[1].client)
	}
	h := &x.latency[0]
	if h.total() != 90 {
		t.Fatalf("%d of 90 messages measured", h.total())
	}
	// Message n was due n times 10 ms after the first.
	if got := h.quantile(0.5); got < 500*time.Millisecond {
		t.Errorf("median %v: the time for which messages could not leave is missing", got)
	}
	if x.behind < 900*time.Millisecond {
		t.Errorf("at most %v behind", x.behind)
	}
}

func TestArrivalsKeepTheirRateAndRepeat(t *testing.T) {
	for _, tt := range []struct {
		arrivals spacing
		deviate  float64 // relative standard deviation of the gaps
	}{{uniform, 0}, {poisson, 1}} {
		p := plainPublish()
		p.rate, p.arrivals = 1000, tt.arrivals
		gaps := func() (all []float64) {
			x := idleFleet(t, smallFleet(p, "a"), codec.V311)
			for range 20_000 {
				all = append(all, x.sources[0].wait(2).Seconds())
			}
			return all
		}
		first := gaps()
		if !slices.Equal(first, gaps()) {
			t.Errorf("%v: the same seed gives other times", tt.arrivals)
		}
		mean, square := 0.0, 0.0
		for _, gap := range first {
			mean += gap / float64(len(first))
		}
		for _, gap := range first {
			square += (gap - mean) * (gap - mean) / float64(len(first))
		}
		if math.Abs(mean-0.0005) > 0.00002 || math.Abs(math.Sqrt(square)/mean-tt.deviate) > 0.05 {
			t.Errorf("%v: mean gap %v, deviation %v", tt.arrivals, mean, math.Sqrt(square))
		}
	}
}

func TestDueQueueHasTheEarliestFirst(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var q dueQueue
	for range 1000 {
		q.push(&source{due: time.Duration(random.Int64N(500))})
	}
	for range 2000 {
		q[0].due += time.Duration(random.Int64N(500))
		q.sink()
	}
	last := time.Duration(0)
	for range 1000 {
		if q[0].due < last {
			t.Fatalf("%v after %v", q[0].due, last)
		}
		last = q[0].due
		q.pop()
	}
	if len(q) != 0 {
		t.Errorf("%d left", len(q))
	}
}

func TestFleetBooksWhatABrokerDoes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		filter string
		do     func(x *fleet)
		want   faults
	}{
		{"all is well", "a", func(x *fleet) { x.carry(t, 1, 0, 1) }, faults{}},
		{"twice", "a", func(x *fleet) { x.carry(t, 1, 0, 2) }, faults{duplicate: 3}},
		{"twice to a shared subscription", "$share/g/a", func(x *fleet) { x.carry(t, 1, 0, 2) }, faults{duplicate: 3}},
		{"lost", "a", func(x *fleet) {
			x.members[1].client.out = x.members[1].client.out[:0]
			x.sweep(true)
		}, faults{lost: 3}},
		{"after it was given up", "a", func(x *fleet) {
			x.sweep(true)
			x.carry(t, 1, 0, 1)
		}, faults{lost: 3, tardy: 3}},
		{"reordered", "a", func(x *fleet) {
			out := &x.members[1].client.out
			half := len(*out) / 3
			*out = append(append([]byte(nil), (*out)[half:]...), (*out)[:half]...)
			x.carry(t, 1, 0, 1)
		}, faults{reordered: 1}},
		{"of another run", "a", func(x *fleet) {
			x.mark++
			x.carry(t, 1, 0, 1)
		}, faults{stray: 3}},
		{"to somebody else", "b", func(x *fleet) { x.carry(t, 1, 0, 1) }, faults{stray: 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := plainPublish()
			p.rate = 1 // nobody may hear it
			x := idleFleet(t, smallFleet(p, tt.filter), codec.V311)
			for range 3 {
				x.publish(&x.sources[0], 0)
			}
			tt.do(x)
			if x.faults != tt.want {
				t.Errorf("%v, want %v", x.faults, tt.want)
			}
		})
	}
}

func TestWindowOpensAgainWhenALossIsGivenUp(t *testing.T) {
	p := plainPublish()
	p.window = 4
	x := idleFleet(t, smallFleet(p, "a"), codec.V311)
	x.start(1, time.Hour)
	x.fill(x.members[1].client)
	if x.sent != 4 {
		t.Fatalf("%d sent", x.sent)
	}
	x.members[1].client.out = x.members[1].client.out[:0]
	x.sweep(false) // they may still be on their way
	x.fill(x.members[1].client)
	if x.sent != 4 || x.faults.any() {
		t.Fatalf("%d sent, %v", x.sent, x.faults)
	}
	x.sweep(false)
	x.fill(x.members[1].client)
	if x.sent != 8 || x.faults != (faults{lost: 4}) || x.owed != 4 {
		t.Errorf("%d sent, %v, %d owed", x.sent, x.faults, x.owed)
	}
}

func TestAcknowledgementsOfEveryQoSAndVersion(t *testing.T) {
	for _, v := range []codec.Version{codec.V311, codec.V5} {
		for qos := codec.QoS1; qos <= codec.QoS2; qos++ {
			p := plainPublish()
			p.qos = qos
			x := idleFleet(t, smallFleet(p, "a"), v)
			x.publish(&x.sources[0], 0)
			x.carry(t, 1, 0, 1)
			x.members[0].client.out = nil
			pub := x.members[1].client
			types := []codec.PacketType{codec.TypePuback}
			if qos == codec.QoS2 {
				types = []codec.PacketType{codec.TypePubrec, codec.TypePubcomp}
			}
			for _, kind := range types {
				if x.settled() {
					t.Fatalf("MQTT %d, QoS %d: settled before %s", v, qos, kind)
				}
				if err := x.packet(pub, codec.Frame{Type: kind, Body: []byte{0, 1}}); err != nil {
					t.Fatal(err)
				}
			}
			if !x.settled() || x.faults.any() {
				t.Errorf("MQTT %d, QoS %d: %v, %d owed, %d unanswered", v, qos, x.faults, x.owed, x.unanswered)
			}
		}
	}
}

func TestRefusedMessageIsAFault(t *testing.T) {
	p := plainPublish()
	p.qos = codec.QoS2
	x := idleFleet(t, smallFleet(p, "a"), codec.V5)
	x.publish(&x.sources[0], 0)
	x.members[1].client.out = nil
	if err := x.packet(x.members[1].client, codec.Frame{Type: codec.TypePubrec, Body: []byte{0, 1, 0x97}}); err != nil {
		t.Fatal(err)
	}
	if x.faults != (faults{refused: 1}) || x.unanswered != 0 || len(x.members[1].client.out) != 0 {
		t.Errorf("%v, %d unanswered, %d bytes of answer", x.faults, x.unanswered, len(x.members[1].client.out))
	}
}

func TestWhoHearsWhom(t *testing.T) {
	p := plainPublish()
	p.topic, p.rate = "x/{n}/y", 1
	s := &fleetSpec{
		phases: []phaseSpec{{name: "load", length: time.Second, factor: 1}},
		groups: []groupSpec{
			{name: "exact", count: 2, subscribe: []string{"x/{n}/y"}},
			{name: "all", count: 1, subscribe: []string{"x/#"}},
			{name: "shared", count: 3, subscribe: []string{"$share/g/x/+/y"}},
			{name: "slow", count: 1, subscribe: []string{"x/+/y"}, readRate: 100},
			{name: "slowly shared", count: 1, subscribe: []string{"$share/h/x/+/y"}, readRate: 100},
			{name: "other", count: 1, subscribe: []string{"z/#"}},
			{name: "pub", count: 3, publish: &p},
		},
	}
	x := idleFleet(t, s, codec.V311)
	var audience []int
	for i := range x.sources {
		audience = append(audience, x.sources[i].audience)
	}
	if want := []int{3, 3, 2}; !slices.Equal(audience, want) {
		t.Errorf("deliveries %v, want %v", audience, want)
	}
	var heard []int
	for i := range 9 {
		heard = append(heard, len(x.ears[i].heard))
	}
	if want := []int{1, 1, 3, 3, 3, 3, 3, 3, 0}; !slices.Equal(heard, want) {
		t.Errorf("publishers heard %v, want %v", heard, want)
	}
	if at := x.ears[1].place(1); at != 0 || x.ears[1].place(0) != -1 || x.ears[8].place(0) != -1 {
		t.Errorf("places %d, %d, %d", at, x.ears[1].place(0), x.ears[8].place(0))
	}
	gappy := ear{heard: []uint32{3, 7, 8, 100}}
	for at, publisher := range gappy.heard {
		if gappy.place(publisher) != at || gappy.place(publisher+20) != -1 {
			t.Errorf("publisher %d is at %d", publisher, gappy.place(publisher))
		}
	}
}

func TestFleetsThatMakeNoSense(t *testing.T) {
	p := plainPublish()
	twice := smallFleet(p, "a")
	twice.groups[0].subscribe = []string{"a", "+"}
	unheard := smallFleet(p, "b")
	for _, tt := range []struct {
		name string
		spec *fleetSpec
		want string
	}{
		{"overlap", twice, "through two filters"},
		{"nobody to wait for", unheard, "nobody hears"},
	} {
		if err := tt.spec.validate(); err != nil {
			t.Fatal(err)
		}
		if _, err := newFleet(tt.spec, "p", codec.V311, 1); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestTemplates(t *testing.T) {
	for template, want := range map[string]string{
		"plain": "plain", "": "", "{n}": "7", "a/{n}/b/{k}": "a/7/b/12", "{prefix}/x": "p/x",
		"{n%5}/{n/5}/{k%10}": "2/1/2",
	} {
		if got, err := expand(template, "p", 7, 12); got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", template, got, err, want)
		}
	}
	for _, template := range []string{"{", "a{n", "{m}", "{n%0}", "{n/x}", "{n*2}", "{}"} {
		if got, err := expand(template, "p", 7, 12); err == nil {
			t.Errorf("%q became %q", template, got)
		}
	}
}

func TestCutPublishAgreesWithTheCodec(t *testing.T) {
	for _, v := range []codec.Version{codec.V311, codec.V5} {
		for qos := codec.QoS0; qos <= codec.QoS2; qos++ {
			d := codec.Delivery{Topic: []byte("a/topic"), Payload: []byte("payload"), QoS: qos}
			if qos > 0 {
				d.PacketID = 0x1234
			}
			if v == codec.V5 {
				d.HasExpiry, d.SubscriptionIDs = true, slices.Repeat([]uint32{77}, 100)
			}
			whole := codec.AppendDelivery(nil, v, &d)
			f, _, err := codec.Next(whole, 0)
			if err != nil {
				t.Fatal(err)
			}
			topic, id, payload, err := cutPublish(v, f)
			if err != nil || string(topic) != "a/topic" || string(payload) != "payload" || id != d.PacketID {
				t.Errorf("MQTT %d, QoS %d: %q, %d, %q, %v", v, qos, topic, id, payload, err)
			}
			for end := range len(f.Body) - len(payload) {
				short := f
				short.Body = f.Body[:end]
				if _, _, _, err := cutPublish(v, short); err == nil && (v == codec.V5 || end < 9) {
					t.Errorf("MQTT %d, QoS %d: no error after %d bytes", v, qos, end)
				}
			}
		}
	}
}

func TestPingsComeInHalfTheKeepAlive(t *testing.T) {
	s := smallFleet(plainPublish(), "a")
	s.groups[0].count, s.groups[0].keepAlive = 100, 20
	s.groups[0].subscribe = []string{"a"}
	x := idleFleet(t, s, codec.V311)
	for i := range x.members {
		x.members[i].client.state = stateReady
	}
	for second := range 10 {
		before := 0
		for i := range 100 {
			before += len(x.members[i].client.out)
		}
		x.ping(second)
		after := 0
		for i := range 100 {
			after += len(x.members[i].client.out)
		}
		if after-before != 10*2 {
			t.Errorf("second %d: %d bytes of PINGREQ, want 20", second, after-before)
		}
	}
	if n := len(x.members[100].client.out); n != 0 {
		t.Errorf("a client without Keep Alive sent %d bytes", n)
	}
}

// BenchmarkFleet is one message on its way through the loader alone: sent by the clock,
// taken off the wire and booked, without a socket. A thousand publishers take turns.
func BenchmarkFleet(b *testing.B) {
	s := sizes{publishers: 1000, subscribers: 1000, payload: 16, window: 4096, rate: 1e6, arrivals: "poisson"}
	spec := &fleetSpec{groups: pairsFleet(&s), phases: []phaseSpec{{name: "load", length: time.Second, factor: 1}}}
	x := idleFleet(b, spec, codec.V311)
	x.start(1, time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		p := x.queue[0]
		x.publish(p, p.due)
		p.due += p.wait(1)
		x.queue.sink()
		f, _, err := codec.Next(p.client.out, readSize)
		if err != nil {
			b.Fatal(err)
		}
		if err := x.packet(x.members[p.client.index-1000].client, f); err != nil {
			b.Fatal(err)
		}
		p.client.out = p.client.out[:0]
		x.loop.touched = x.loop.touched[:0]
	}
	if x.received != uint64(b.N) || x.faults.any() {
		b.Fatalf("%d of %d received, faults: %v", x.received, b.N, x.faults)
	}
}

func TestRatesFollowTheFactorOfEachPhase(t *testing.T) {
	for _, arrivals := range []spacing{uniform, poisson} {
		p := plainPublish()
		p.window, p.rate, p.arrivals = 60_000, 1000, arrivals
		x := idleFleet(t, smallFleet(p, "a"), codec.V311)
		for _, tt := range []struct {
			factor     float64
			low, upper uint64 // messages in a second
		}{{0, 0, 0}, {1, 850, 1150}, {0.01, 1, 30}, {0, 0, 0}, {0, 0, 0}, {3, 2700, 3300}, {1, 850, 1150}} {
			x.start(tt.factor, x.loop.clock()+time.Second)
			before := x.sent
			for range 100 {
				x.loop.age(10 * time.Millisecond)
				x.pace()
				x.members[1].client.out = nil
			}
			if n := x.sent - before; n < tt.low || n > tt.upper {
				t.Errorf("%v: %d messages in a second with a factor of %v, want %d to %d", arrivals, n, tt.factor, tt.low, tt.upper)
			}
		}
	}
}

func TestAHaltedFleetSleeps(t *testing.T) {
	p := plainPublish()
	p.rate = 1000
	x := idleFleet(t, smallFleet(p, "a"), codec.V311)
	x.start(0, time.Hour)
	x.loop.age(time.Second)
	if wait := x.pace(); wait != turnLimit || x.sent > 0 {
		t.Errorf("with a factor of 0 it sent %d messages and waits for %v", x.sent, wait)
	}
	if x.overdue() {
		t.Error("something is overdue that must not leave")
	}
}
