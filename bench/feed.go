package bench

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// feedSpec describes publishers whose messages nobody receives at once.
type feedSpec struct {
	publishers int
	window     int // PUBLISH packets that one publisher may have unacknowledged
	payload    int // bytes, at least stampSize
	retain     bool
	bare       bool   // without a payload: what was retained is taken back
	total      uint64 // messages of all publishers together; 0: until told to stop
	topic      func(dst []byte, publisher int, seq uint64) []byte
}

// share returns how many messages of the total are those of one publisher: none, if there
// are more publishers than messages.
func (s *feedSpec) share(publisher int) uint64 {
	if s.total == 0 {
		return math.MaxUint64
	}
	n := s.total / uint64(s.publishers)
	if uint64(publisher) < s.total%uint64(s.publishers) {
		n++
	}
	return n
}

// feed is the scenario of a feedSpec: QoS 1, a closed loop around the broker's
// acknowledgement alone.
type feed struct {
	spec       feedSpec
	loop       *loop
	feeders    []feeder
	readyCount int
	sending    bool
	sent       uint64
	acked      uint64
	latency    histogram // from encoding to PUBACK
	faults     faults

	payload, topic []byte // scratch
}

// feeder is one publisher of a feed.
type feeder struct {
	client  *client
	answers flow
	times   []time.Duration // of sending, by sequence number and the flow's mask
	last    uint64          // where its numbers end
}

func newFeed(spec feedSpec) *feed {
	return &feed{spec: spec, payload: make([]byte, spec.payload)}
}

// open adds the publishers to l.
func (x *feed) open(l *loop) {
	x.loop = l
	for i := range x.spec.publishers {
		c := &client{id: fmt.Sprintf("feed-%d", i), index: i}
		answers := newFlow(x.spec.window, 1)
		x.feeders = append(x.feeders, feeder{
			client: c, answers: answers, times: make([]time.Duration, len(answers.lacking)), last: x.spec.share(i),
		})
		l.open(c)
	}
}

// connect returns when all publishers are there.
func (x *feed) connect(ctx context.Context, l *loop, patience time.Duration) error {
	x.open(l)
	p := phase{
		limit: setupLimit, stall: patience,
		done:     func() bool { return x.readyCount == len(x.feeders) },
		progress: func() uint64 { return uint64(x.readyCount) },
	}
	if err := p.run(ctx, l); err != nil {
		return fmt.Errorf("%d of %d publishers ready: %w", x.readyCount, len(x.feeders), err)
	}
	return nil
}

// start lets the publishers go.
func (x *feed) start() {
	x.sending = true
	for i := range x.feeders {
		x.loop.touch(x.feeders[i].client)
	}
}

// settled says whether everything that was sent is acknowledged.
func (x *feed) settled() bool { return x.acked == x.sent }

// finished says whether everything that is to be sent is acknowledged.
func (x *feed) finished() bool { return x.acked == x.spec.total }

func (x *feed) progress() uint64 { return x.acked }

func (x *feed) ready(c *client) error {
	x.readyCount++
	x.feeders[c.index].answers.narrow(c.receives)
	return nil
}

func (x *feed) ended(c *client) error { return fmt.Errorf("client %s left", c.id) }

func (x *feed) packet(c *client, f codec.Frame) error {
	id, refused, err := cutAck(x.loop.version, f)
	if err != nil || f.Type != codec.TypePuback {
		return fmt.Errorf("unexpected %s of %d bytes", f.Type, f.Size)
	}
	if refused {
		x.faults.refused++
	}
	p := &x.feeders[c.index]
	seq := p.answers.numbered(id)
	if !p.answers.receive(seq) {
		x.faults.unasked++
		return nil
	}
	x.acked++
	x.latency.record(x.loop.now - p.times[seq&p.answers.mask])
	x.loop.touch(c)
	return nil
}

// fill sends what the window of c allows. All messages of one call have one time.
func (x *feed) fill(c *client) {
	p := &x.feeders[c.index]
	if !x.sending || !p.mayPublish() {
		return
	}
	now := x.loop.clock()
	for len(c.out) < outSize && p.mayPublish() {
		x.publish(p, now)
	}
}

func (p *feeder) mayPublish() bool {
	return p.answers.open() && p.answers.next < p.last
}

func (x *feed) publish(p *feeder, now time.Duration) {
	c := p.client
	seq := p.answers.send()
	p.times[seq&p.answers.mask] = now
	x.topic = x.spec.topic(x.topic[:0], c.index, seq)
	putStamp(x.payload, c.index, seq)
	d := codec.Delivery{Topic: x.topic, Payload: x.payload, QoS: codec.QoS1, PacketID: packetID(seq), Retain: x.spec.retain}
	if x.spec.bare {
		d.Payload = nil
	}
	c.out = codec.AppendDelivery(c.out, x.loop.version, &d)
	x.sent++
}
