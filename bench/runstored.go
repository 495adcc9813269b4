package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/gannetmq/gannet/codec"
)

// fedPublishers and fedWindow are those of the scenarios that fill something.
const (
	fedPublishers = 10
	fedWindow     = 20
)

// runFeed publishes all that a spec says, and returns how much of it the broker took.
func runFeed(ctx context.Context, r *runner, name string, spec feedSpec) (uint64, error) {
	x := newFeed(spec)
	l, err := newLoop(r.target, x)
	if err != nil {
		return 0, err
	}
	defer l.close()
	defer func() { r.book(x.faults) }()
	if err := x.connect(ctx, l, r.o.patience); err != nil {
		return 0, err
	}
	if _, err := r.meet(ctx, l, 0, nil, nil); err != nil {
		return 0, err
	}
	x.start()
	s := &stage{
		name: name, unit: unitMessage,
		phase:   phase{limit: storeLimit, stall: r.o.patience, done: x.finished, progress: x.progress},
		done:    func() uint64 { return x.acked },
		faults:  func() faults { return x.faults },
		latency: []latencySource{{of: "publish to acknowledge", h: &x.latency}},
	}
	err = r.do(ctx, l, s)
	x.sending = false
	rest := phase{limit: setupLimit, stall: r.o.patience, done: x.settled, progress: x.progress}
	if failed := rest.run(context.Background(), l); failed != nil {
		x.faults.unanswered += x.sent - x.acked
	}
	return x.acked - x.faults.refused, err
}

// runCollect has clients take what was kept for them.
func runCollect(ctx context.Context, r *runner, name string, x *collection, clients []*client) error {
	l, err := newLoop(r.target, x)
	if err != nil {
		return err
	}
	defer l.close()
	defer func() { r.book(x.faults) }()
	if _, err := r.meet(ctx, l, 0, nil, nil); err != nil {
		return err
	}
	x.loop = l
	for i, c := range clients {
		c.index = i
		l.open(c)
	}
	err = r.do(ctx, l, &stage{
		name: name, unit: unitMessage,
		phase: phase{
			limit: storeLimit, stall: r.o.patience,
			done:     func() bool { return x.received >= x.expected && x.readyCount == len(clients) },
			progress: func() uint64 { return x.received + uint64(x.readyCount) },
		},
		done: func() uint64 { return x.received }, faults: func() faults { return x.faults },
	})
	if err != nil && !errors.Is(err, errStalled) {
		return err
	}
	if x.absent > 0 {
		return fmt.Errorf("%d of %d sessions are gone", x.absent, len(clients))
	}
	if err := x.linger(context.Background(), l, lingering); err != nil {
		return err
	}
	x.close()
	return nil
}

// runRetained publishes retained messages, one to a topic, has subscribers take them
// all, and takes them back.
func runRetained(ctx context.Context, r *runner, messages, subscribers, size int) error {
	root := r.o.prefix + "/kept/"
	spec := feedSpec{
		publishers: fedPublishers, window: fedWindow, payload: size, total: uint64(messages), retain: true,
		topic: func(dst []byte, publisher int, seq uint64) []byte {
			dst = append(dst, root...)
			dst = strconv.AppendInt(dst, int64(publisher), 10)
			return strconv.AppendUint(append(dst, '/'), seq, 10)
		},
	}
	written, err := runFeed(ctx, r, "write", spec)
	if err == nil {
		x := newCollection(subscribers, fedPublishers, written*uint64(subscribers))
		x.unordered = true
		x.belongs = func(_ int, retain bool, topic []byte, _ int, _ uint64) bool {
			return retain && bytes.HasPrefix(topic, []byte(root))
		}
		var clients []*client
		for i := range subscribers {
			clients = append(clients, &client{id: fmt.Sprintf("sub-%d", i), filter: root + "#", qos: codec.QoS1})
		}
		err = runCollect(ctx, r, "replay", x, clients)
	}
	spec.bare = true
	_, failed := runFeed(context.Background(), r, "take back", spec)
	return errors.Join(err, failed)
}

// runDurable makes Sessions, publishes to them while their clients are away, has the
// clients take what is theirs, and ends the Sessions.
func runDurable(ctx context.Context, r *runner, messages int, spec durableSpec) (err error) {
	root := r.o.prefix + "/parked/"
	session := func(i int) (id, filter string) {
		return "parked-" + strconv.Itoa(i), root + strconv.Itoa(i) + "/+"
	}
	_, err = park(ctx, r.target, spec.sessions, session, r.o.patience, nil)
	if r.result.Interrupted = context.Cause(ctx) != nil; err != nil && !r.result.Interrupted {
		return err
	}
	defer func() { err = errors.Join(err, unpark(r, spec.sessions, session)) }()
	if r.result.Interrupted {
		return errInterrupted
	}
	fed, err := runFeed(ctx, r, "queue", feedSpec{
		publishers: spec.publishers, window: spec.window, payload: spec.payload, total: uint64(messages),
		topic: func(dst []byte, publisher int, _ uint64) []byte {
			dst = strconv.AppendInt(append(dst, root...), int64(publisher%spec.sessions), 10)
			return strconv.AppendInt(append(dst, '/'), int64(publisher), 10)
		},
	})
	if err != nil {
		return err
	}
	x := newCollection(spec.sessions, spec.publishers, fed)
	x.belongs = func(session int, _ bool, _ []byte, publisher int, _ uint64) bool {
		return publisher%spec.sessions == session
	}
	var clients []*client
	for i := range spec.sessions {
		id, _ := session(i)
		clients = append(clients, &client{id: id, durable: true})
	}
	return runCollect(ctx, r, "drain", x, clients)
}

// unpark ends the Sessions of park: a client with a clean one takes the place of each.
func unpark(r *runner, n int, session func(i int) (id, filter string)) error {
	x := &crowd{}
	l, err := newLoop(r.target, x)
	if err != nil {
		return err
	}
	defer l.close()
	x.loop, x.wanted = l, n
	for i := range n {
		id, _ := session(i)
		l.open(&client{id: id})
	}
	p := x.arrive(r, "", n).phase
	if err := p.run(context.Background(), l); err != nil {
		return fmt.Errorf("%d of %d sessions ended: %w", x.present, n, err)
	}
	x.leave(r, l)
	return nil
}
