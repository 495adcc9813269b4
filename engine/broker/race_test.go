package broker

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/persist"
	"github.com/gannetmq/gannet/router"
)

// TestLoopsInParallelLeaveNothingBehind runs loops on goroutines of their own, for the race detector, with clients that take each
// other's sessions over, subscribe, publish, read slowly, break and come back. Then everybody behaves, and when nobody has anything
// left to do nothing may be left over: no message that could be sent, no replay, no subscription without its session.
func TestLoopsInParallelLeaveNothingBehind(t *testing.T) {
	for _, stored := range []bool{false, true} {
		for _, judged := range []bool{false, true} {
			for _, spliced := range []bool{false, true} {
				t.Run(fmt.Sprint("stored=", stored, "/judged=", judged, "/spliced=", spliced), func(t *testing.T) {
					r := newRace(t, stored, judged)
					if spliced {
						for _, h := range r.loops {
							h.l.spliceBytes = 1 // every payload counts as a large one
						}
					}
					r.run(2500)
				})
			}
		}
	}
}

const (
	raceLoops = 3
	raceSlots = 8 // connections of a loop at most
	raceIDs   = 10
	raceKept  = 300 // retained messages that replays are made of
)

type race struct {
	t     *testing.T
	b     *Broker
	store *raceStore
	rules *moody // nil: everybody may do everything
	loops []*raceLoop
	now   atomic.Int64
	conns atomic.Int64
}

// raceLoop is what the reactor is for one loop: it owns the loop's goroutine and the connections.
type raceLoop struct {
	r     *race
	l     *Loop
	lst   Listener
	rnd   *rand.Rand
	woken atomic.Bool
	slots [raceSlots]*racer
	ended []*racer // closed by the broker, which is to hear of it after the turn
}

// racer is the far end of one connection.
type racer struct {
	at      *raceLoop
	conn    *Conn
	number  string
	v       codec.Version
	in      []byte
	stuck   int
	blocked bool
	up      bool
	gone    bool
	nextID  uint16
	seq     int
	order   map[string]int
}

// raceStore commits and reads on goroutines of its own, fails one read in some, and refuses new things now and then.
type raceStore struct {
	persist.Memory
	asked, answered atomic.Int64 // reads
	unreliable      atomic.Bool
	readers         sync.WaitGroup
}

func (s *raceStore) Read(q session.QueueRead, done func([]session.Record, error)) {
	fail := s.asked.Add(1)%5 == 0 && s.unreliable.Load()
	once := func(records []session.Record, err error) {
		s.answered.Add(1)
		done(records, err)
	}
	s.readers.Go(func() {
		if fail {
			once(nil, errSimRead)
		} else {
			s.Memory.Read(q, once)
		}
	})
}

// commit is the committer, until stop is closed.
func (s *raceStore) commit(stop chan struct{}) {
	rnd := rand.New(rand.NewSource(1))
	for {
		select {
		case <-stop:
			s.SetUnavailable(false)
			return
		default:
			s.Commit(1 + rnd.Intn(5))
			s.SetUnavailable(rnd.Intn(50) == 0)
		}
	}
}

func newRace(t *testing.T, stored, judged bool) *race {
	r := &race{t: t}
	r.now.Store(1_700_000_000_000)
	o := DefaultOptions()
	o.WideFanout, o.MaxOutboundBytes, o.MaxSessions = 4, 1500, raceIDs-1
	o.Session.MaxInflight, o.Session.MaxQueuedMessages, o.MaxGroupMessages = 4, 30, 50
	o.Session.QueueWindow, o.Session.QueueWindowBytes = 5, 100
	var store Store
	if stored {
		r.store = &raceStore{Memory: persist.Memory{Manual: true}}
		store = r.store
	}
	if judged {
		r.rules = &moody{}
		o.Session.Authorizer = r.rules
	}
	r.b = New(o, store, slog.New(slog.NewTextHandler(io.Discard, nil)))
	for range raceLoops {
		h := &raceLoop{r: r, rnd: rand.New(rand.NewSource(rand.Int63()))}
		h.lst = Listener{Name: "race", Policy: session.Policy{AllowAnonymous: true, NewClientID: NewClientID}}
		h.l = r.b.NewLoop(func() { h.woken.Store(true) })
		r.loops = append(r.loops, h)
	}
	for i := range raceKept {
		r.b.Publish(&session.Message{Topic: fmt.Append(nil, "r/", i), Payload: []byte("0 kept"), Retain: true, QoS: codec.QoS1})
	}
	return r
}

func (r *race) time() Time { return Time(r.now.Load()) }

func (r *race) run(steps int) {
	var loops, committer sync.WaitGroup
	for _, h := range r.loops {
		loops.Go(func() {
			for range steps {
				h.step()
			}
		})
	}
	done := make(chan struct{})
	if r.store != nil {
		r.store.unreliable.Store(true)
		committer.Go(func() { r.store.commit(done) })
	}
	loops.Wait()
	close(done)
	committer.Wait()
	if r.store != nil {
		r.store.unreliable.Store(false)
	}
	r.quiesce()
	r.checkQuiet()
	r.endAll()
}

func (h *raceLoop) step() {
	i := h.rnd.Intn(raceSlots)
	w := h.slots[i]
	switch n := h.rnd.Intn(100); {
	case w == nil || w.gone:
		if n < 30 {
			h.slots[i] = h.dial()
		}
	case !w.up:
		w.read()
	case n < 4:
		w.drop()
	case n < 6:
		d := codec.Disconnect{}
		if w.v == codec.V5 && n == 4 {
			d.Reason = codec.DisconnectWithWill
		}
		w.send(d.Append(nil, w.v))
	case n < 9:
		w.blocked = !w.blocked
		if !w.blocked {
			w.stuck = 0
		}
	case n < 20:
		w.subscribe()
	case n < 24:
		w.unsubscribe()
	case n < 50:
		w.publish()
	default:
		w.read()
	}
	if n := h.rnd.Intn(40); n == 0 {
		h.l.Tick(Time(h.r.now.Add(50)))
	} else if n == 1 {
		h.r.b.Publish((&session.Message{Topic: []byte("t/1"), Payload: []byte("0 within"), QoS: codec.QoS1}).Keep())
	}
	if h.r.rules != nil && h.rnd.Intn(60) == 0 {
		h.r.rules.strict.Store(h.rnd.Intn(2) == 0)
		h.r.b.Reauthorize()
	}
	if h.rnd.Intn(3) == 0 || h.woken.Load() {
		h.turn()
	}
}

func (h *raceLoop) turn() {
	h.woken.Store(false)
	h.l.Turn(h.r.time())
	for i := 0; i < len(h.ended); i++ {
		if w := h.ended[i]; !w.gone {
			w.drop()
		}
	}
	h.ended = h.ended[:0]
}

func (h *raceLoop) dial() *racer {
	w := &racer{at: h, number: strconv.FormatInt(h.r.conns.Add(1), 10), order: map[string]int{}}
	w.v = []codec.Version{codec.V311, codec.V5}[h.rnd.Intn(2)]
	c := codec.Connect{Version: w.v, ClientID: fmt.Append(nil, "id", h.rnd.Intn(raceIDs)), CleanStart: h.rnd.Intn(4) == 0}
	if h.rnd.Intn(2) == 0 {
		c.HasWill, c.WillTopic, c.WillPayload, c.WillQoS = true, []byte("t/2"), []byte("0 will"), codec.QoS1
		c.WillRetain = h.rnd.Intn(2) == 0
	}
	if w.v == codec.V5 {
		c.Properties.SessionExpiryInterval = []uint32{0, 1, 3600}[h.rnd.Intn(3)]
		c.Properties.Set(codec.PropSessionExpiryInterval)
		if c.HasWill {
			c.WillProperties.WillDelayInterval = uint32(h.rnd.Intn(2))
			c.WillProperties.Set(codec.PropWillDelayInterval)
		}
	}
	w.conn = h.l.Open(w, &h.lst, h.r.time())
	w.send(c.Append(nil, w.v))
	return w
}

func (w *racer) Write(b []byte) error {
	if w.gone {
		return io.EOF
	}
	if w.at.rnd.Intn(300) == 0 {
		w.drop()
		return io.EOF
	}
	w.in = append(w.in, b...)
	if w.blocked {
		w.stuck += len(b)
	}
	return nil
}

func (w *racer) Writev(bs [][]byte) error { return w.Write(bytes.Join(bs, nil)) }

func (w *racer) Buffered() int      { return w.stuck }
func (w *racer) Close()             { w.at.ended = append(w.at.ended, w) }
func (w *racer) RemoteAddr() string { return "race" }
func (w *racer) UserName() string   { return "" }

func (w *racer) drop() {
	w.gone = true
	w.at.l.Closed(w.conn, io.EOF, w.at.r.time())
}

func (w *racer) send(b []byte) {
	if w.gone {
		return
	}
	w.at.l.Data(w.conn, b, w.at.r.time())
	clear(b) // the broker must not keep what it borrows
}

func (w *racer) id() uint16 {
	w.nextID = w.nextID%60000 + 1
	return w.nextID
}

var raceFilters = []string{"t/0", "t/1", "t/+", "t/2", "#", "r/#", "r/+", "$share/g/s/#", "$share/g/s/0", "$share/h/s/0", "$share/g/r/+"}

func (w *racer) subscribe() {
	s := codec.Subscribe{PacketID: w.id()}
	for range 1 + w.at.rnd.Intn(2) {
		s.Filters = append(s.Filters, codec.Subscription{Filter: []byte(raceFilters[w.at.rnd.Intn(len(raceFilters))]), QoS: codec.QoS2})
	}
	if w.v == codec.V5 && w.at.rnd.Intn(3) == 0 {
		s.Properties.SubscriptionIdentifiers = []uint32{uint32(1 + w.at.rnd.Intn(3))}
		s.Properties.Set(codec.PropSubscriptionIdentifier)
	}
	w.send(s.Append(nil, w.v))
}

func (w *racer) unsubscribe() {
	u := codec.Unsubscribe{PacketID: w.id(), Filters: [][]byte{[]byte(raceFilters[w.at.rnd.Intn(len(raceFilters))])}}
	w.send(u.Append(nil, w.v))
}

// publish sends a few messages in one piece.
func (w *racer) publish() {
	var b []byte
	rnd := w.at.rnd
	for range 1 + rnd.Intn(3) {
		p := codec.Publish{Topic: []byte([]string{"t/0", "t/1", "t/2", "s/0", "s/1", "r/1"}[rnd.Intn(6)]), QoS: codec.QoS(rnd.Intn(3)), Retain: rnd.Intn(6) == 0}
		w.seq++
		p.Payload = fmt.Append(nil, w.number, " ", w.seq)
		if p.Retain && rnd.Intn(4) == 0 {
			p.Payload = nil
		}
		if p.QoS > 0 {
			p.PacketID = w.id()
		}
		b = p.Append(b, w.v)
	}
	cut := rnd.Intn(len(b) + 1)
	w.send(bytes.Clone(b[:cut]))
	w.send(bytes.Clone(b[cut:]))
}

// read takes what came and answers as a client does. It tells how much came.
func (w *racer) read() (n int) {
	var reply []byte
	for {
		f, _, err := codec.Next(w.in, 0)
		if err != nil {
			w.at.r.t.Errorf("the broker wrote nonsense: %v", err)
			return 0
		}
		if f.Size == 0 {
			break
		}
		n++
		reply = w.take(f, reply)
		w.in = w.in[f.Size:]
	}
	if len(reply) > 0 && !w.gone {
		w.send(reply)
	}
	return n
}

func (w *racer) take(f codec.Frame, reply []byte) []byte {
	answer := func(t codec.PacketType) {
		var a codec.Ack
		if err := a.Parse(f.Type, w.v, f.Flags, f.Body); err != nil {
			w.at.r.t.Errorf("%v: %v", f.Type, err)
		}
		if a.Reason < codec.UnspecifiedError {
			reply = codec.AppendPubackShort(reply, t, a.PacketID)
		}
	}
	switch f.Type {
	case codec.TypeConnack:
		if w.up {
			w.at.r.t.Error("a second CONNACK")
		}
		w.up = f.Body[1] == 0
	case codec.TypePublish:
		var p codec.Publish
		if err := p.Parse(w.v, f.Flags, f.Body); err != nil {
			w.at.r.t.Errorf("PUBLISH: %v", err)
			return reply
		}
		w.checkPayload(p.Payload)
		w.checkOrder(&p)
		switch p.QoS {
		case codec.QoS1:
			reply = codec.AppendPubackShort(reply, codec.TypePuback, p.PacketID)
		case codec.QoS2:
			reply = codec.AppendPubackShort(reply, codec.TypePubrec, p.PacketID)
		}
	case codec.TypePubrec:
		answer(codec.TypePubrel)
	case codec.TypePubrel:
		answer(codec.TypePubcomp)
	}
	return reply
}

// checkPayload looks whether it is one that somebody has published, and not what came to lie in its memory later.
func (w *racer) checkPayload(b []byte) {
	if len(b) == 0 {
		return // it clears a retained message
	}
	from, text, _ := strings.Cut(string(b), " ")
	_, err := strconv.Atoi(text)
	if n, e := strconv.Atoi(from); e != nil || err != nil && (n != 0 || text != "kept" && text != "will" && text != "within") {
		w.at.r.t.Errorf("a payload that nobody has published: %q", b)
	}
}

// checkOrder holds live messages of ordinary subscriptions to the order of their publisher's connection.
func (w *racer) checkOrder(p *codec.Publish) {
	from, text, _ := bytes.Cut(p.Payload, []byte(" "))
	seq, err := strconv.Atoi(string(text))
	if err != nil || p.Dup || p.Retain || p.Topic[0] != 't' {
		return
	}
	key := fmt.Sprint(string(from), string(p.Topic), p.QoS)
	if seq <= w.order[key] {
		w.at.r.t.Errorf("message %d of %s on %s qos %d came after %d", seq, from, p.Topic, p.QoS, w.order[key])
	}
	w.order[key] = seq
}

// quiesce lets everybody read and answer until nobody has anything left to do.
func (r *race) quiesce() {
	for busy := true; busy; {
		busy = false
		if r.store != nil {
			r.store.Commit(1 << 20)
			r.store.readers.Wait()
			busy = r.store.asked.Load() != r.store.answered.Load()
		}
		for _, h := range r.loops {
			for _, w := range h.slots {
				if w == nil || w.gone {
					continue
				}
				busy = w.blocked || busy
				w.blocked, w.stuck = false, 0
				busy = w.read() > 0 || busy
			}
			if len(h.l.failedReads) > 0 {
				h.l.Tick(Time(r.now.Add(50)))
				busy = true
			}
			if h.woken.Load() || h.l.NeedsTurn() || h.l.Blocked() || len(h.ended) > 0 {
				busy = true
				h.turn()
			}
		}
	}
}

// all returns the clients by the identifiers that lead to them.
func (sh *registryShard) all() map[string]*client {
	m := map[string]*client{}
	sh.clients.Each(func(c **client) bool {
		m[(*c).s.ClientID()] = *c
		return true
	})
	return m
}

func (r *race) checkQuiet() {
	t, b := r.t, r.b
	sessions, subscriptions, connected := 0, 0, 0
	groups := map[*router.Group[*client]]bool{}
	for i := range b.registry.shards {
		for id, c := range b.registry.shards[i].all() {
			sessions++
			subscriptions += c.s.Subscriptions()
			sh, hash := b.registry.shard(id)
			if c.s.Ended() || sh.find(hash, id) != c {
				t.Errorf("%s: in the registry, ended %v, found %v", id, c.s.Ended(), sh.find(hash, id) == c)
			}
			if c.outSize() > 0 || c.out != nil || c.dirty || c.s.Connected() != (c.conn != nil) || c.buffered.Load() != 0 {
				t.Errorf("%s: out %v dirty %v connected %v conn %v buffered %d", id, c.out != nil, c.dirty, c.s.Connected(), c.conn != nil, c.buffered.Load())
			}
			if x := c.extra; x != nil {
				for _, g := range x.groups {
					groups[g] = true
				}
			}
			if c.conn == nil {
				continue
			}
			connected++
			if c.conn.client != c || int32(c.conn.owner) != c.owner.Load() || c.parked != nil {
				t.Errorf("%s: connection and session do not agree", id)
			}
			if n, _ := c.s.Queued(); n > 0 || c.s.Inflight() > 0 || c.starved {
				t.Errorf("%s: %d queued, %d in flight, starved %v: stuck", id, n, c.s.Inflight(), c.starved)
			}
			if x := c.extra; x != nil && (len(x.replays) > 0 || x.replaying || x.holding) {
				t.Errorf("%s: %d replays, replaying %v, holding %v: stuck", id, len(x.replays), x.replaying, x.holding)
			}
		}
	}
	if sessions != b.Sessions() {
		t.Errorf("%d sessions, counted %d", sessions, b.Sessions())
	}
	s := b.router.Stats()
	if s.Subscriptions+s.SharedSubscriptions != subscriptions {
		t.Errorf("the router has %d subscriptions, the sessions %d", s.Subscriptions+s.SharedSubscriptions, subscriptions)
	}
	open, up := 0, 0
	for _, h := range r.loops {
		for _, w := range h.slots {
			if w != nil && !w.gone {
				open++
				if w.up {
					up++
				}
				if w.conn.partial != nil || w.conn.blocked {
					t.Errorf("connection %s: partial %v blocked %v", w.number, w.conn.partial != nil, w.conn.blocked)
				}
			}
		}
		if n := h.l.box.fanouts.Load(); n != 0 || h.l.box.waiting.Load() || len(h.l.holding) > 0 {
			t.Errorf("loop %d: %d fan-outs, waiting %v, holding %d", h.l.index, n, h.l.box.waiting.Load(), len(h.l.holding))
		}
		if h.l.joined != 0 || h.l.unacked.conn != nil {
			t.Errorf("loop %d: joined %d, unacked %v", h.l.index, h.l.joined, h.l.unacked)
		}
	}
	if open != b.Connections() || up != connected {
		t.Errorf("%d connections, counted %d; %d with CONNACK, %d sessions connected", open, b.Connections(), up, connected)
	}
	for g := range groups {
		live := 0
		for _, m := range g.Members(nil) {
			if m.Subscriber.conn != nil {
				live++
			}
		}
		if n := queueOf(g).len(); n > 0 && live > 0 {
			t.Errorf("group %s %s: %d messages wait, %d members could take them", g.Name(), g.Filter(), n, live)
		}
	}
	r.checkRetained()
	r.checkOwed()
}

// checkOwed holds the queues in the store against what sessions and groups say that they hold.
func (r *race) checkOwed() {
	if r.store == nil {
		return
	}
	owed, names := map[uint64]int{}, map[uint64]string{}
	err := loadAll(r.store, func(rec session.Record) error {
		switch rec.Kind {
		case session.SessionPut:
			names[rec.Session] = rec.State.ClientID + rec.State.Group
		case session.QueuePut, session.QueueRelease:
			owed[rec.Session]++
		}
		return nil
	})
	if err != nil {
		r.t.Error(err)
	}
	var groups []*groupQueue
	for i := range r.b.registry.shards {
		for id, c := range r.b.registry.shards[i].all() {
			if n, _ := c.s.Queued(); owed[c.s.ID] > 0 || names[c.s.ID] != "" {
				if names[c.s.ID] != id || owed[c.s.ID] != n+c.s.Inflight() {
					r.t.Errorf("%s: %d queued and %d in flight, but the store has %d of %q", id, n, c.s.Inflight(), owed[c.s.ID], names[c.s.ID])
				}
				delete(names, c.s.ID)
			}
			if c.extra != nil {
				for _, g := range c.extra.groups {
					groups = append(groups, queueOf(g))
				}
			}
		}
	}
	for _, q := range groups {
		recorded := 0
		for _, m := range q.items[q.head:] {
			if m.seq > 0 {
				recorded++
			}
		}
		if q.id > 0 && owed[q.id] != recorded {
			r.t.Errorf("group %s: %d recorded messages wait, the store has %d", names[q.id], recorded, owed[q.id])
		}
		delete(names, q.id)
	}
	for id, name := range names {
		r.t.Errorf("the store has session %d %q, nobody else", id, name)
	}
}

func (r *race) checkRetained() {
	held := map[string]*session.Message{}
	bytes := int64(0)
	c := router.NewCursor("#")
	for r.b.retained.index.Next(&c, 100, func(topic string, m *session.Message) bool {
		held[topic], bytes = m, bytes+retainedSize(m)
		return true
	}) {
	}
	if n := r.b.retained.bytes.Load(); n != bytes {
		r.t.Errorf("retained: %d bytes, counted %d", bytes, n)
	}
	if r.store == nil {
		return
	}
	err := loadAll(r.store, func(rec session.Record) error {
		if rec.Kind == session.RetainedPut {
			if topic := string(rec.Message.Topic); held[topic] != rec.Message {
				r.t.Errorf("%s: the store holds another retained message than the broker", topic)
			} else {
				delete(held, topic)
			}
		}
		return nil
	})
	if err != nil || len(held) > 0 {
		r.t.Errorf("%d retained messages are not in the store (%v)", len(held), err)
	}
}

// endAll cuts all connections and lets all sessions expire: nothing is left.
func (r *race) endAll() {
	for _, h := range r.loops {
		for _, w := range h.slots {
			if w != nil && !w.gone {
				w.drop()
			}
		}
	}
	r.quiesce()
	for _, h := range r.loops {
		h.l.Tick(Time(r.now.Add(1000_000)))
	}
	for range 2 { // wills of one loop's sessions reach the parked sessions of another
		r.now.Add(4000_000)
		for _, h := range r.loops {
			h.l.Tick(r.time())
		}
		r.quiesce()
	}
	kept := 0 // sessions of 3.1.1 clients never expire
	for i := range r.b.registry.shards {
		kept += r.b.registry.shards[i].clients.Len()
		for id, c := range r.b.registry.shards[i].all() {
			if c.s.Version() == codec.V5 {
				r.t.Errorf("%s did not expire", id)
			}
		}
	}
	if kept != r.b.Sessions() || r.b.Connections() != 0 {
		r.t.Errorf("%d sessions, counted %d; %d connections", kept, r.b.Sessions(), r.b.Connections())
	}
	for _, h := range r.loops {
		if h.l.timers.count != 0 {
			r.t.Errorf("loop %d: %d timers", h.l.index, h.l.timers.count)
		}
	}
}

// moody is an Authorizer that at times forbids what is below r/.
type moody struct{ strict atomic.Bool }

func (m *moody) may(topic []byte) bool {
	return !m.strict.Load() || !bytes.HasPrefix(topic, []byte("r/"))
}

func (m *moody) MayPublish(session.Identity, []byte) bool            { return true }
func (m *moody) MaySubscribe(_ session.Identity, filter []byte) bool { return m.may(filter) }
func (m *moody) MayReceive(_ session.Identity, topic []byte) bool    { return m.may(topic) }
