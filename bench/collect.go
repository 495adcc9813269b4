package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// collection is the scenario in which receivers take, with QoS 1, what a broker has
// kept for them, and keep exact books of it.
type collection struct {
	loop       *loop
	expected   uint64 // deliveries in all
	publishers int
	books      []tally // by receiver, then by publisher
	unordered  bool    // no order was promised
	// belongs says whether a message is what the receiver should get, as its PUBLISH
	// says it. It borrows topic. nil: all is.
	belongs func(receiver int, retain bool, topic []byte, publisher int, seq uint64) bool

	readyCount int
	received   uint64        // different ones
	last       time.Duration // when the last of them came, or its acknowledgement was seen to be read
	answered   int           // clients whose PINGREQ was
	aside      uint64        // QoS 0 messages, which are not counted
	absent     int           // durable clients whose Session was gone
	faults     faults
}

func newCollection(receivers, publishers int, expected uint64) *collection {
	return &collection{expected: expected, publishers: publishers, books: make([]tally, receivers*publishers)}
}

// collect connects the clients and returns when everything has come, and the broker
// has read every acknowledgement: it answers a PINGREQ that was sent after them. Or
// it returns when nothing has come any more for as long as patience, which is no
// error: close books the losses.
func (x *collection) collect(ctx context.Context, l *loop, clients []*client, patience time.Duration) error {
	x.loop = l
	x.last = l.clock()
	for i, c := range clients {
		c.index = i
		l.open(c)
	}
	p := phase{
		limit: storeLimit, stall: patience,
		done:     func() bool { return x.received >= x.expected && x.readyCount == len(clients) },
		progress: func() uint64 { return x.received + uint64(x.readyCount) },
	}
	err := p.run(ctx, l)
	if errors.Is(err, errStalled) && x.readyCount == len(clients) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("after %d of %d messages collected: %w", x.received, x.expected, err)
	}
	return x.ping(ctx, l, clients, patience)
}

func (x *collection) ping(ctx context.Context, l *loop, clients []*client, patience time.Duration) error {
	for _, c := range clients {
		c.out = codec.AppendPingreq(c.out)
		l.touch(c)
	}
	p := phase{
		limit: storeLimit, stall: patience,
		done:     func() bool { return x.answered == len(clients) },
		progress: func() uint64 { return uint64(x.answered) },
	}
	if err := p.run(ctx, l); err != nil {
		return fmt.Errorf("%d of %d clients have PINGREQ answered: %w", x.answered, len(clients), err)
	}
	x.last = l.now
	return nil
}

// linger takes what still comes for a time, for there should be nothing.
func (x *collection) linger(ctx context.Context, l *loop, d time.Duration) error {
	return phase{limit: d, stall: d + time.Second, progress: func() uint64 { return 0 }}.run(ctx, l)
}

// close books what is missing as lost.
func (x *collection) close() { x.faults.lost = x.expected - min(x.received, x.expected) }

func (x *collection) ready(c *client) error {
	x.readyCount++
	if c.durable && !c.present {
		x.absent++
	}
	return nil
}

func (x *collection) fill(*client)          {}
func (x *collection) ended(c *client) error { return fmt.Errorf("client %s left", c.id) }

func (x *collection) packet(c *client, f codec.Frame) error {
	if f.Type == codec.TypePingresp {
		x.answered++
		return nil
	}
	if f.Type != codec.TypePublish {
		return fmt.Errorf("unexpected %s", f.Type)
	}
	qos, retain := codec.QoS(f.Flags>>1&3), f.Flags&1 != 0
	if qos == codec.QoS0 {
		x.aside++
		return nil
	}
	topic, id, payload, err := cutPublish(x.loop.version, f)
	if err != nil {
		return err
	}
	if qos == codec.QoS1 {
		c.out = codec.AppendPubackShort(c.out, codec.TypePuback, id)
		x.loop.touch(c)
	}
	publisher, seq, ok := readStamp(payload)
	if !ok || qos != codec.QoS1 || publisher >= x.publishers || seq >= tallyMax ||
		x.belongs != nil && !x.belongs(c.index, retain, topic, publisher, seq) {
		x.faults.stray++
		return nil
	}
	switch v := x.books[c.index*x.publishers+publisher].receive(seq); {
	case v == again:
		x.faults.duplicate++
		return nil
	case v == late && !x.unordered:
		x.faults.reordered++
	}
	x.received++
	x.last = x.loop.now
	return nil
}
