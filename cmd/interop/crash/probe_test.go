package crash

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// probe asks for the retained messages as a newcomer. For each stream the message must be
// the last acknowledged one or a later one. A broker that is ended meanwhile ends the
// probe too; the next start brings another.
func (r *round) probe(ctx context.Context) {
	expected := r.ledger.lastAcked(retainedSuffix)
	if len(expected) == 0 {
		return
	}
	w, _, err := openWire(ctx, r.broker, "probe", false)
	if err != nil {
		return
	}
	defer w.close()
	if err := w.subscribe(1, "crash/+"+retainedSuffix); err != nil {
		return
	}
	for len(expected) > 0 {
		m, err := w.nextWithin(r.quiet)
		switch {
		case timedOut(err):
			r.ledger.fault(&r.ledger.retained, "no retained message for %v", expected)
			return
		case err != nil:
			return
		case !m.Retain:
			continue
		}
		if got := numberOf(m.Payload); got < expected[m.Topic] {
			r.ledger.fault(&r.ledger.retained, "%s is %d, after %d was acknowledged", m.Topic, got, expected[m.Topic])
		}
		delete(expected, m.Topic)
	}
}

// nextWithin is next with a bound on the wait.
func (w *wire) nextWithin(d time.Duration) (*packets.Publish, error) {
	if err := w.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		return nil, err
	}
	defer w.conn.SetReadDeadline(time.Time{})
	return w.next()
}

func timedOut(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// churn makes sessions, subscriptions and retained messages, ends some of them, and
// remembers what the broker acknowledged.
type churn struct {
	round *round
	made  []*changes
}

// changes is what one client asked for and what it was told.
type changes struct {
	clientID                   string
	topic                      string
	connected                  bool // CONNACK seen
	subscribed                 bool // SUBACK seen, for both topics
	unsubscribing              bool // UNSUBSCRIBE sent for the second one
	unsubscribed               bool // UNSUBACK seen
	retained, cleared, cleaned bool // PUBACK for a retained message; clearing sent; PUBACK for it
}

func newChurn(r *round) *churn { return &churn{round: r} }

// run makes one client after the other, at the publishers' pace, until they are through.
func (c *churn) run(ctx context.Context) {
	for ctx.Err() == nil && !c.round.published.Load() {
		s := &changes{clientID: fmt.Sprintf("churn-%d", len(c.made)), topic: fmt.Sprintf("churn/%d", len(c.made))}
		c.made = append(c.made, s)
		// What fails here does so because the broker was ended.
		_ = s.make(ctx, c.round.broker)
		if c.round.count(ctx, acked, c.round.ledger.count(acked)+20) != nil {
			return
		}
	}
}

func (s *changes) make(ctx context.Context, b *broker) error {
	w, _, err := openWire(ctx, b, s.clientID, true)
	if err != nil {
		return err
	}
	defer w.close()
	s.connected = true
	if err := w.subscribe(1, s.topic+"/kept", s.topic+"/ended"); err != nil {
		return err
	}
	s.subscribed, s.unsubscribing = true, true
	if err := w.unsubscribe(s.topic + "/ended"); err != nil {
		return err
	}
	s.unsubscribed = true
	if err := w.publish(s.topic+"/cleared", 1, true, []byte("gone soon")); err != nil {
		return err
	}
	s.retained, s.cleared = true, true
	if err := w.publish(s.topic+"/cleared", 1, true, nil); err != nil {
		return err
	}
	s.cleaned = true
	return nil
}

// verify looks at the end whether everything is as it was acknowledged.
func (c *churn) verify(ctx context.Context) error {
	for _, s := range c.made {
		if err := s.verify(ctx, c.round); err != nil {
			return fmt.Errorf("%s: %w", s.clientID, err)
		}
	}
	return nil
}

func (s *changes) verify(ctx context.Context, r *round) error {
	w, connack, err := openWire(ctx, r.broker, s.clientID, true)
	if err != nil {
		return err
	}
	defer w.close()
	if s.connected && !connack.SessionPresent {
		r.ledger.fault(&r.ledger.sessions, "%s: the session is gone", s.clientID)
		return nil
	}
	if err := w.subscribe(1, s.topic+"/end", s.topic+"/cleared"); err != nil {
		return err
	}
	for _, part := range []string{"/kept", "/ended", "/end"} {
		if err := w.publish(s.topic+part, 1, false, []byte(part)); err != nil {
			return err
		}
	}
	got := map[string]bool{}
	for !got["/end"] {
		m, err := w.nextWithin(r.quiet)
		if err != nil {
			return err
		}
		got[strings.TrimPrefix(m.Topic, s.topic)] = true
	}
	l := r.ledger
	if s.subscribed && !got["/kept"] {
		l.fault(&l.subs, "%s: an acknowledged subscription is gone", s.clientID)
	}
	if s.subscribed && !s.unsubscribing && !got["/ended"] {
		l.fault(&l.subs, "%s: an acknowledged subscription is gone", s.clientID)
	}
	if s.unsubscribed && got["/ended"] {
		l.fault(&l.subs, "%s: an ended subscription is back", s.clientID)
	}
	if s.cleaned && got["/cleared"] {
		l.fault(&l.retained, "%s: a cleared retained message is back", s.clientID)
	}
	if s.retained && !s.cleared && !got["/cleared"] {
		l.fault(&l.retained, "%s: an acknowledged retained message is gone", s.clientID)
	}
	return nil
}
