package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// load is messages by the clock: pairs of a publisher and a receiver, or one publisher and
// many receivers. Topics are PREFIX/0, PREFIX/1, one for each publisher; receivers of a
// fan-out subscribe to PREFIX/+.
type load struct {
	address  string
	pid      int // of the broker; 0: unknown
	prefix   string
	fan      bool
	clients  int // pairs, or receivers of the fan-out
	rate     float64
	length   time.Duration
	qos      byte
	payload  int
	patience time.Duration // for what has not come at the end
}

// publisher is a goroutine that publishes when the clock says so.
type publisher struct {
	connection *connection
	number     int
	topic      string
	ticks      chan time.Duration // when a message is due, from the clock; has room for all
	due        []time.Duration    // the same, of what has been published
	written    writings
	tokens     []mqtt.Token
}

// run carries out the load.
func (l *load) run(ctx context.Context) (r *result, err error) {
	messages := dueWithin(l.length, l.rate)
	now := clock{time.Now()}
	talkers := l.clients
	if l.fan {
		talkers = 1
	}
	var all []*connection
	defer func() { leaveAll(all) }()

	publishers := make([]*publisher, talkers)
	for i := range publishers {
		each := messages / talkers // and the first ones have what is left over
		if i < messages%talkers {
			each++
		}
		p := &publisher{number: i, topic: fmt.Sprintf("%s/%d", l.prefix, i), ticks: make(chan time.Duration, each), written: make(writings, each)}
		publishers[i] = p
	}
	books := make([]*book, l.clients)
	for i := range books {
		p := publishers[i%talkers]
		filter := p.topic
		if l.fan {
			filter = l.prefix + "/+"
		}
		b := newBook(now, p.number, l.payload, len(p.written), p.written)
		c, err := connect(now, l.address, fmt.Sprintf("%s-sub-%d", l.prefix, i), role{receives: b.take})
		if err != nil {
			return nil, err
		}
		all, books[i] = append(all, c), b
		if err := c.subscribe(filter, l.qos); err != nil {
			return nil, err
		}
	}
	for i, p := range publishers {
		if p.connection, err = connect(now, l.address, fmt.Sprintf("%s-pub-%d", l.prefix, i), role{writes: l.noting(now, p.written)}); err != nil {
			return nil, err
		}
		all = append(all, p.connection)
	}
	return l.drive(ctx, now, messages, publishers, books)
}

// noting returns what enters the time of each PUBLISH that is written.
func (l *load) noting(now clock, written writings) func(packet []byte) {
	return func(packet []byte) {
		const typePublish = 3
		if packet[0]>>4 == typePublish && len(packet) > l.payload {
			_, seq, _ := readStamp(packet[len(packet)-l.payload:])
			written[seq].Store(int64(now.now()))
		}
	}
}

// drive is the clock of connected clients, and reckons up.
func (l *load) drive(ctx context.Context, now clock, messages int, publishers []*publisher, books []*book) (*result, error) {
	var working sync.WaitGroup
	for _, p := range publishers {
		working.Go(func() { l.publish(p) })
	}
	stop := func() {
		for _, p := range publishers {
			close(p.ticks)
		}
		working.Wait()
	}
	from, err := read(now, l.pid)
	if err != nil {
		stop()
		return nil, err
	}
	start := now.now()
	for k := 0; k < messages && ctx.Err() == nil; k++ {
		due := start + dueAfter(k, l.rate)
		now.sleepUntil(due)
		publishers[k%len(publishers)].ticks <- due
	}
	now.sleepUntil(start + l.length)
	r := &result{DoneInTime: received(books), SentInTime: sent(publishers)}
	to, err := read(now, l.pid)
	stop()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return nil, err
	}
	r.costs(from, to, r.SentInTime+r.DoneInTime)
	l.settle(r, publishers, books)
	return r, nil
}

// publish sends what is due until the clock has stopped.
func (l *load) publish(p *publisher) {
	for due := range p.ticks {
		seq := len(p.tokens)
		p.tokens = append(p.tokens, p.connection.library.Publish(p.topic, l.qos, false, stamp(l.payload, p.number, seq, due)))
		p.due = append(p.due, due)
	}
}

func received(books []*book) (n uint64) {
	for _, b := range books {
		n += b.received()
	}
	return n
}

// sent returns how many messages have been written.
func sent(publishers []*publisher) (n uint64) {
	for _, p := range publishers {
		for i := range p.written {
			if p.written[i].Load() != 0 {
				n++
			}
		}
	}
	return n
}

// complete says whether a message was written, with QoS 0, or acknowledged.
func complete(token mqtt.Token) bool {
	select {
	case <-token.Done():
		return token.Error() == nil
	default:
		return false
	}
}

// settle waits for what is under way, and closes the books.
func (l *load) settle(r *result, publishers []*publisher, books []*book) {
	late, cancel := context.WithTimeout(context.Background(), l.patience)
	defer cancel()
	var latency, wire, lag [][]time.Duration
	for _, p := range publishers {
		for seq, token := range p.tokens {
			select {
			case <-token.Done():
			case <-late.Done():
			}
			if !complete(token) {
				r.Faults.Unacknowledged++
			}
			p.due[seq] = time.Duration(p.written[seq].Load()) - p.due[seq]
		}
		lag = append(lag, p.due)
	}
	for _, b := range books {
		select {
		case <-b.whole:
		case <-late.Done():
		}
		took, onWire := b.close(r)
		latency, wire = append(latency, took), append(wire, onWire)
	}
	r.Sent = sent(publishers)
	r.Latency, r.Wire, r.Late = spreadOf(latency...), spreadOf(wire...), spreadOf(lag...)
}
