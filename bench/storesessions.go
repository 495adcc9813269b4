package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// sampled is how many of the Sessions are asked for after a restart.
const sampled = 1000

// storeSessions makes n durable Sessions, ends the broker, and measures how soon it
// serves them again.
func storeSessions(ctx context.Context, s *storeRun) error {
	if err := s.start(ctx); err != nil {
		return err
	}
	empty, _, err := s.memory(ctx, "empty")
	if err != nil {
		return err
	}
	took, err := park(ctx, s.process.target, s.n, storedSession, s.patience,
		func(parked int) { s.say("%d of %d sessions made", parked, s.n) })
	if err != nil {
		return s.explain(err)
	}
	s.figure("sessions made", "%d, %.0f /s", s.n, float64(s.n)/took.Seconds())
	parked, parkedHeap, err := s.memory(ctx, "with all of them parked")
	if err != nil {
		return err
	}
	s.each("parked", parked-empty, parkedHeap)

	began, err := s.restart()
	if err != nil {
		return err
	}
	id, _ := storedSession(s.n / 2)
	present, err := s.answered(ctx, id, true)
	if err != nil {
		return s.explain(err)
	}
	if !present {
		return errGone
	}
	s.figure("exec to the first CONNACK, with session present", "%.3f s", time.Since(began).Seconds())
	if err := s.sampleBack(ctx, began); err != nil {
		return s.explain(err)
	}
	if used, err := processCPU(s.process.pid); err == nil {
		s.figure("processor time until then", "%.2f s", used.Seconds())
	}
	if at := s.journal.startedAfter(); at > 0 {
		s.figure("exec to its word that it has started", "%.3f s", at.Seconds())
	}
	if _, err := s.peak("since exec"); err != nil {
		return err
	}
	loaded, loadedHeap, err := s.memory(ctx, "after the restart")
	if err != nil {
		return err
	}
	s.each("after the restart", loaded-empty, loadedHeap)
	return nil
}

// each prints what a Session adds to the memory. Of the live heap all is divided, for
// an empty broker has not collected anything yet and so has not told its share.
func (s *storeRun) each(when string, growth, heap int64) {
	n := float64(s.n)
	text := fmt.Sprintf("RSS %.0f", float64(growth)/n)
	if heap > 0 {
		text += fmt.Sprintf(", live heap at most %.0f", float64(heap)/n)
	}
	s.figure("bytes for each session "+when, "%s", text)
}

func storedSession(i int) (id, filter string) {
	n := strconv.Itoa(i)
	return "stored-" + n, "bench/stored/" + n
}

// sampleBack resumes Sessions from all over the store, and has each publish to its
// stored subscription and receive that.
func (s *storeRun) sampleBack(ctx context.Context, began time.Time) error {
	count := min(sampled, s.n)
	x := &returns{}
	l, err := newLoop(s.process.target, x)
	if err != nil {
		return err
	}
	defer l.close()
	x.loop = l
	chance := rand.New(rand.NewPCG(1, uint64(s.n)))
	for _, i := range chance.Perm(s.n)[:count] {
		id, topic := storedSession(i)
		l.open(&client{id: id, durable: true, index: len(x.topics)})
		x.topics = append(x.topics, topic)
	}
	p := phase{
		limit: storeLimit, stall: s.patience,
		done:     func() bool { return x.heard == count },
		progress: func() uint64 { return uint64(x.back + x.heard) },
	}
	if err := p.run(ctx, l); err != nil {
		return fmt.Errorf("%d of %d sessions back, %d have their message: %w", x.back, count, x.heard, err)
	}
	s.figure(fmt.Sprintf("exec to a message through each of %d stored sessions", count), "%.3f s", time.Since(began).Seconds())
	return nil
}

// returns is the scenario in which clients resume Sessions and talk to themselves
// through the subscription that is stored.
type returns struct {
	loop   *loop
	topics []string // of each client
	back   int
	heard  int
}

func (x *returns) ready(c *client) error {
	if !c.present {
		return errGone
	}
	x.back++
	d := codec.Delivery{Topic: []byte(x.topics[c.index]), Payload: []byte(c.id)}
	c.out = codec.AppendDelivery(c.out, codec.V311, &d)
	x.loop.touch(c)
	return nil
}

func (x *returns) packet(c *client, f codec.Frame) error {
	var p codec.Publish
	if f.Type != codec.TypePublish {
		return fmt.Errorf("unexpected %s", f.Type)
	}
	if err := p.Parse(codec.V311, f.Flags, f.Body); err != nil {
		return err
	}
	if string(p.Payload) != c.id {
		return errors.New("another session's message")
	}
	x.heard++
	return nil
}

func (x *returns) fill(*client)          {}
func (x *returns) ended(c *client) error { return fmt.Errorf("client %s left", c.id) }
