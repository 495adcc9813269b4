package bench

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/broker"
	"github.com/gannetmq/gannet/engine/fake"
	"github.com/gannetmq/gannet/engine/session"
)

// population is a broker in this process and its clients, without a network between them: loops that are turned by hand, and
// far ends that swallow what is written to them. What the operating system adds to a connection is not here, and
// neither is what other cores do at the same time. Not safe for concurrent use.
type population struct {
	rig *fake.Rig[*broker.Loop]
	b   *broker.Broker
	lst *broker.Listener
	far []far
}

// far is the far end of one connection, as small as can be.
type far struct {
	fake.Sink
	conn *broker.Conn
}

// What a broker answers to MQTT 3.1.1 clients.
const (
	connackSize = 4
	subackSize  = 5
	pubackSize  = 4
)

// crowdBatch is how many clients act before the loops have a turn.
const crowdBatch = 64

// crowdEpoch is when a population begins, in milliseconds. Its time stands still unless something is said to take time.
const crowdEpoch session.Time = 1_700_000_000_000

func newPopulation(loops, clients int) *population {
	b := broker.New(broker.DefaultOptions(), nil, slog.New(slog.DiscardHandler))
	return &population{
		rig: fake.NewRig(loops, crowdEpoch, b.NewLoop),
		b:   b,
		lst: &broker.Listener{Name: "fake", Policy: session.Policy{AllowAnonymous: true, NewClientID: broker.NewClientID}},
		far: make([]far, clients),
	}
}

func (f *population) loop(i int) *broker.Loop { return f.rig.Loops[i%len(f.rig.Loops)] }

// everyone calls visit with the index of each client in turn, and lets the loops turn in between.
func (f *population) everyone(ctx context.Context, visit func(i int) error) error {
	for i := range f.far {
		if err := visit(i); err != nil {
			return err
		}
		if i%crowdBatch == 0 {
			f.rig.Settle()
			if err := context.Cause(ctx); err != nil {
				return err
			}
		}
	}
	f.rig.Settle()
	return nil
}

// arrive has every client connect, with a Session that outlives the connection, and subscribe to a filter.
func (f *population) arrive(ctx context.Context, qos codec.QoS, filter func(dst []byte, i int) []byte) error {
	var hello, wish, name, topic []byte
	err := f.everyone(ctx, func(i int) error {
		name, topic = appendDevice(name[:0], i), filter(topic[:0], i)
		hello = (&codec.Connect{Version: codec.V311, ClientID: name, KeepAlive: 60}).Append(hello[:0], codec.V311)
		s := codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{{Filter: topic, QoS: qos}}}
		wish = s.Append(wish[:0], codec.V311)
		x, l := &f.far[i], f.loop(i)
		x.conn = l.Open(x, f.lst, f.rig.Now)
		l.Data(x.conn, hello, f.rig.Now)
		l.Data(x.conn, wish, f.rig.Now)
		return nil
	})
	if err != nil {
		return err
	}
	return f.heard(connackSize + subackSize)
}

// heard fails unless every client is connected and was written so many bytes.
func (f *population) heard(bytes uint64) error {
	for i := range f.far {
		if x := &f.far[i]; x.Closed || x.Bytes != bytes {
			return fmt.Errorf("client %d: %d bytes written, closed %t; want %d bytes and an open connection", i, x.Bytes, x.Closed, bytes)
		}
	}
	return nil
}

// park cuts every connection.
func (f *population) park(ctx context.Context) error {
	return f.everyone(ctx, func(i int) error {
		f.loop(i).Closed(f.far[i].conn, nil, f.rig.Now)
		f.far[i].conn = nil
		return nil
	})
}

// takeOver has every client connect anew, to another loop if there are several, while its old connection is still
// there. The broker must close the old one and hand its Session to the new one [MQTT-3.1.4-3].
func (f *population) takeOver(ctx context.Context) error {
	old, sessions := f.far, f.b.Sessions()
	f.far = make([]far, len(old))
	var hello, name []byte
	done := 0
	end := func(upTo int) error {
		f.rig.Settle()
		for ; done < upTo; done++ {
			if !old[done].Closed {
				return fmt.Errorf("client %d: its old connection is still open", done)
			}
			f.loop(done).Closed(old[done].conn, nil, f.rig.Now)
		}
		return nil
	}
	err := f.everyone(ctx, func(i int) error {
		name = appendDevice(name[:0], i)
		hello = (&codec.Connect{Version: codec.V311, ClientID: name, KeepAlive: 60}).Append(hello[:0], codec.V311)
		x, l := &f.far[i], f.loop(i+1)
		x.conn = l.Open(x, f.lst, f.rig.Now)
		l.Data(x.conn, hello, f.rig.Now)
		if i%crowdBatch == crowdBatch-1 {
			return end(i + 1)
		}
		return nil
	})
	if err == nil {
		err = end(len(old))
	}
	if err == nil && f.b.Sessions() != sessions {
		err = fmt.Errorf("%d sessions before, %d after", sessions, f.b.Sessions())
	}
	if err != nil {
		return err
	}
	return f.heard(connackSize)
}

// spread publishes one message to all clients, who have one subscription that matches it, and returns how long it
// took until the last of them was written its copy.
func (f *population) spread(topic string, qos codec.QoS) (time.Duration, error) {
	p, err := f.newPair()
	if err != nil {
		return 0, err
	}
	defer p.leave()
	before := f.far[0].Bytes
	m := (&codec.Publish{Topic: []byte(topic), Payload: make([]byte, payloadSize), QoS: qos, PacketID: 1}).Append(nil, codec.V311)
	started := time.Now()
	p.loop.Data(p.conn, m, f.rig.Now)
	f.rig.Settle()
	took := time.Since(started)
	return took, f.heard(before + uint64(len(m)))
}

// acknowledge has every client acknowledge its first QoS 1 delivery.
func (f *population) acknowledge(ctx context.Context) error {
	ack := codec.AppendPubackShort(nil, codec.TypePuback, 1)
	return f.everyone(ctx, func(i int) error {
		f.loop(i).Data(f.far[i].conn, ack, f.rig.Now)
		return nil
	})
}

// pair is a client beside the population that publishes to itself over two loops: it comes in through one, and its other half,
// which hears it, through another.
type pair struct {
	f     *population
	loop  *broker.Loop
	conn  *broker.Conn
	end   fake.Transport
	heard *broker.Conn
	sub   fake.Transport
	frame []byte
	taken []byte
}

const (
	pairTopic = "bench/beside"
	pairID    = 1 // Packet Identifier of every PUBLISH: each is acknowledged before the next
)

func (f *population) newPair() (*pair, error) {
	p := &pair{f: f, loop: f.loop(0)}
	p.sub.Keep = true
	p.conn = p.loop.Open(&p.end, f.lst, f.rig.Now)
	p.loop.Data(p.conn, (&codec.Connect{Version: codec.V311, CleanStart: true}).Append(nil, codec.V311), f.rig.Now)
	last := p.subLoop()
	p.heard = last.Open(&p.sub, f.lst, f.rig.Now)
	wish := (&codec.Connect{Version: codec.V311, CleanStart: true}).Append(nil, codec.V311)
	s := codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{{Filter: []byte(pairTopic), QoS: codec.QoS1}}}
	last.Data(p.heard, s.Append(wish, codec.V311), f.rig.Now)
	f.rig.Settle()
	if p.end.Closed || p.sub.Closed || p.end.Bytes != connackSize || p.sub.Bytes != connackSize+subackSize {
		return nil, fmt.Errorf("a publisher and a subscriber beside %d clients: not accepted", len(f.far))
	}
	p.sub.In = p.sub.In[:0]
	p.frame = (&codec.Publish{Topic: []byte(pairTopic), Payload: make([]byte, payloadSize), QoS: codec.QoS1, PacketID: pairID}).Append(nil, codec.V311)
	return p, nil
}

func (p *pair) subLoop() *broker.Loop { return p.f.loop(len(p.f.rig.Loops) - 1) }

// leave cuts both connections.
func (p *pair) leave() {
	p.loop.Closed(p.conn, nil, p.f.rig.Now)
	p.subLoop().Closed(p.heard, nil, p.f.rig.Now)
	p.f.rig.Settle()
}

// exchange is one QoS 1 message through the broker, acknowledged on both sides. heard is called when it has come.
func (p *pair) exchange(heard func()) error {
	acked := p.end.Bytes
	p.loop.Data(p.conn, p.frame, p.f.rig.Now)
	p.f.rig.Settle()
	heard()
	in := p.sub.In
	if len(in) != len(p.frame) || p.end.Bytes != acked+pubackSize {
		return fmt.Errorf("one message beside the population: %d bytes came, %d bytes of acknowledgement", len(in), p.end.Bytes-acked)
	}
	at := 2 + 2 + len(pairTopic) // after the fixed header and the topic
	p.taken = codec.AppendPubackShort(p.taken[:0], codec.TypePuback, uint16(in[at])<<8|uint16(in[at+1]))
	p.sub.In = in[:0]
	p.subLoop().Data(p.heard, p.taken, p.f.rig.Now)
	p.f.rig.Settle()
	return nil
}

// beside publishes rate messages a second for a time, by the clock, and returns how late each was with its subscriber.
// Meanwhile the time of the broker goes on, too, and its timers tick. The goroutine waits without sleeping.
func (f *population) beside(ctx context.Context, rate int, length time.Duration) (h *histogram, err error) {
	p, err := f.newPair()
	if err != nil {
		return nil, err
	}
	defer p.leave()
	h = &histogram{}
	const tick = time.Duration(fake.TickMillis) * time.Millisecond
	began, from, nextTick := time.Now(), f.rig.Now, tick
	for i := 0; ; i++ {
		due := time.Duration(i) * time.Second / time.Duration(rate)
		if due >= length {
			return h, nil
		}
		now := time.Since(began)
		for now < due {
			runtime.Gosched()
			now = time.Since(began)
		}
		if now >= nextTick {
			if err := context.Cause(ctx); err != nil {
				return h, err
			}
			f.rig.Now = from + session.Time(now/time.Millisecond)
			f.rig.Tick()
			nextTick += tick
		}
		if err := p.exchange(func() { h.record(time.Since(began) - due) }); err != nil {
			return h, err
		}
	}
}

// appendDevice appends the Client Identifier of client i, and appendCommand the topic of its commands.
func appendDevice(dst []byte, i int) []byte  { return fmt.Appendf(dst, "device-%08d", i) }
func appendCommand(dst []byte, i int) []byte { return fmt.Appendf(dst, "devices/%08d/cmd", i) }
