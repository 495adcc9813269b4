package session

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/gannetmq/gannet/codec"
)

// TestRandomWalk lets an honest client, an honest broker and an honest store do what they like in any order, over connections that
// break and a process that is killed, and holds the session to the promises of the three levels: at QoS 1 everything arrives, at
// QoS 2 everything arrives once, in both directions, and nothing overtakes. What the store had not made durable is gone after a
// restart, and nobody may have been told that it was there. A failure prints its steps, which are a transcript.
func TestRandomWalk(t *testing.T) {
	settings := []setting{
		{config: "config max-inflight=3"},
		{config: "config max-inflight=5 durable recv-max=4"},
		{config: "config max-inflight=2 queue-qos0 recv-max=2"},
		{config: "config max-inflight=1000 durable alias-max=3 window=5"},
		{config: "config max-inflight=3 durable window=1", slow: true},
		{config: "config max-inflight=5 durable window=2 max-queued=4 recv-max=4", slow: true, refuse: true},
		{config: "config max-inflight=4 durable window=5 max-queued=6 alias-max=3", slow: true},
		{config: "config max-inflight=2 durable window=2 queue-qos0 max-queued=1000", slow: true},
		{config: "config max-inflight=1000 durable window=0", slow: true},
		{config: "config max-inflight=20 durable window=1 max-queued=2 queue-qos0", slow: true},
		{config: "config max-inflight=1000 durable recv-max=3", slow: true},
		{config: "config max-inflight=5 rate=1 recv-max=4"},
		{config: "config max-inflight=5 durable rate=1 byte-rate=30 recv-max=4", slow: true},
	}
	seeds := 10 * len(settings)
	if testing.Short() {
		seeds = len(settings)
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWalk(t, int64(seed), settings[seed%len(settings)])
			for range 400 {
				w.step()
			}
			w.finish()
			if t.Failed() {
				t.Log("\n" + strings.Join(w.steps, "\n"))
			}
		})
	}
}

// setting is a kind of walk.
type setting struct {
	config string
	slow   bool // records become durable some time later
	refuse bool // the broker lets nothing be dropped
}

// walk is the client and the broker around one session, and the store that it stands on.
type walk struct {
	setting
	t       *testing.T
	rng     *rand.Rand
	p       *player
	steps   []string
	durable bool
	online  bool // there is a connection,
	greeted bool // on which the client has said what it had to repeat
	known   bool // the client has seen a CONNACK of this session, which is to outlive its connection
	said    bool // a CONNACK just came
	clean   bool // a session was to end, and the client does not know whether there is one: the next is a new one
	ticket  uint64

	n       int             // numbers the messages, in both directions
	answers []string        // what the client has to say to deliveries
	back    map[uint16]bool // identifiers of QoS 2 deliveries before PUBREL
	owed    map[string]owed // payload -> what the session has taken
	got     map[string]int  // payload -> how often it arrived
	last    map[codec.QoS]int
	dropped int // messages that the session gave up

	sent   []outbound          // what the client published and is not finished, in order
	routed string              // payload that the last step routed
	routes map[string][]uint64 // payload -> tickets under which it was routed
	done   map[string]codec.QoS
}

// owed is a message that the session has taken.
type owed struct {
	qos     codec.QoS
	ticket  uint64 // nobody was told before it was durable
	session uint64
}

// outbound is one message of the client.
type outbound struct {
	id       uint16
	qos      codec.QoS
	payload  string
	received bool // PUBREC came
}

func newWalk(t *testing.T, seed int64, s setting) *walk {
	w := &walk{t: t, setting: s, rng: rand.New(rand.NewSource(seed)), p: newPlayer(), got: map[string]int{}, last: map[codec.QoS]int{}, routes: map[string][]uint64{}, done: map[string]codec.QoS{}}
	w.back, w.owed = map[uint16]bool{}, map[string]owed{}
	w.p.onFrame, w.p.onRoute = w.frame, func(m *Message) { w.routed = string(m.Payload) }
	w.do("%s", s.config)
	w.durable = strings.Contains(s.config, "durable")
	w.connect()
	if seed%3 == 0 {
		w.do("jump 65530") // identifiers go round on the way
	}
	return w
}

// forget: CONNACK says that the session is another one, and the client keeps no state of the old one either.
func (w *walk) forget() {
	w.answers, w.sent = nil, nil
	clear(w.back)
	for payload, o := range w.owed {
		if o.session != w.p.s.ID {
			delete(w.owed, payload)
		}
	}
}

func (w *walk) do(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	w.steps = append(w.steps, line)
	cmd, cmdArgs, err := datadriven.ParseLine(line)
	if err != nil {
		w.t.Fatal(err)
	}
	w.p.text.Reset()
	w.p.play(w.t, &datadriven.TestData{Pos: line, Cmd: cmd, CmdArgs: cmdArgs})
	w.dropped += int(w.p.out.Drops.N[DropQueueFull])
	if w.p.out.Close || w.t.Failed() {
		w.t.Fatalf("after %s:\n%s\n%s", line, w.p.text.String(), strings.Join(w.steps, "\n"))
	}
}

// hear lets the client act on a CONNACK that has come.
func (w *walk) hear() {
	if w.said {
		w.said, w.known, w.clean = false, w.p.s.Resumable(), !w.p.s.Resumable()
		w.greet()
	}
}

// stamp is the ticket under which the records of a step go to the store.
func (w *walk) stamp() string {
	if !w.slow {
		return ""
	}
	if w.ticket == w.p.store.durable || w.chance(60) {
		w.ticket++
	}
	return fmt.Sprintf(" hold=%d", w.ticket)
}

func (w *walk) chance(percent int) bool { return w.rng.Intn(100) < percent }

func (w *walk) alive() bool { return w.p.s != nil && !w.p.s.Ended() }

func (w *walk) step() {
	w.hear()
	if !w.alive() {
		w.connect()
		return
	}
	r := w.rng.Intn(100)
	switch {
	case r < 30:
		w.deliver()
	case r < 55 && w.greeted:
		w.answer(w.rng.Intn(1 + len(w.answers)))
	case r < 68 && w.greeted:
		w.publish()
	case r < 72:
		w.do("room %d", w.rng.Intn(2)*w.rng.Intn(60))
		w.do("room %d", []int{1 << 20, 30}[w.rng.Intn(2)])
		w.do("drain%s", w.stamp())
	case r < 75:
		w.do("trim")
	case r < 77:
		w.do("tick %ds%s", w.rng.Intn(5), w.stamp())
	case r < 83:
		w.sync([]string{"durable", "synced"}[w.rng.Intn(2)], w.rng.Intn(int(w.ticket-w.p.store.durable)+1))
	case r < 90 && w.canRead():
		w.load()
	case r < 92 && w.online:
		w.hangUp("lost" + w.stamp())
	case r < 94 && w.durable:
		w.restart()
	case !w.online || r < 95:
		w.connect()
	}
}

// sync lets the store get on by n tickets. The session hears of it, or finds it out with the next step.
func (w *walk) sync(how string, n int) {
	ticket := w.p.store.durable + uint64(n)
	if !w.slow {
		ticket = w.ticket
	}
	w.do("%s ticket=%d", how, ticket)
}

func (w *walk) canRead() bool { return w.p.reading && w.p.read.After <= w.p.store.durable }

func (w *walk) load() {
	if !w.p.looked {
		w.do("fetch%s", []string{"", " ahead"}[w.rng.Intn(2)])
		if w.chance(50) {
			return // much may happen before the answer comes
		}
	}
	failed := ""
	if w.chance(20) {
		failed = " failed"
	}
	w.do("loaded%s%s", failed, w.stamp())
}

func (w *walk) hangUp(how string) {
	w.cut()
	w.do("%s", how)
}

// cut is what the client makes of a connection that is gone.
func (w *walk) cut() {
	w.online, w.greeted = false, false
	if w.chance(70) {
		w.answers = nil // else it says on the next connection what it had on its tongue
	}
	w.answers = slices.DeleteFunc(w.answers, func(a string) bool { return strings.HasPrefix(a, "pubrel") }) // greet repeats those
}

// restart kills the process. What it had promised to nobody is gone.
func (w *walk) restart() {
	w.cut()
	w.answers = nil // numbers may be used again, and an old PUBACK must not settle a new message
	window := ""
	if w.chance(50) {
		window = fmt.Sprintf(" window=%d", w.p.cfg.MaxInflight)
	}
	w.do("restart%s", window)
	upTo := w.p.store.durable
	for payload, o := range w.owed {
		if o.ticket > upTo {
			delete(w.owed, payload)
		}
	}
	for payload, tickets := range w.routes {
		w.routes[payload] = slices.DeleteFunc(tickets, func(n uint64) bool { return n > upTo })
	}
}

// connect opens a connection, also while there is one. Now and then the session is to end with it.
func (w *walk) connect() {
	if w.online {
		w.cut()
	}
	expiry := 1000000
	if w.chance(10) {
		expiry = 0
	}
	clean := ""
	if w.clean {
		clean = " clean"
	}
	if w.clean = w.clean || expiry == 0; w.clean {
		w.known = false
	}
	w.online = true
	w.do("connect id=a%s expiry=%d recv-max=%d alias-max=%d%s", clean, expiry, 1+w.rng.Intn(6), w.rng.Intn(3), w.stamp())
	w.said = w.p.eye.said // on this connection
	if !w.greeted && w.known && w.chance(30) {
		w.greet() // without waiting for CONNACK
	}
}

// greet repeats what was not finished in the order it was sent [MQTT-4.4.0-1, MQTT-4.6.0-1].
func (w *walk) greet() {
	if w.greeted {
		return
	}
	w.greeted = true
	for _, m := range slices.Clone(w.sent) {
		if m.received {
			w.do("pubrel id=%d%s", m.id, w.stamp())
		} else {
			w.send(m, " dup")
		}
	}
}

func (w *walk) deliver() {
	w.n++
	payload := fmt.Sprintf("%05d", w.n)
	qos := w.rng.Intn(3)
	refuse := ""
	if w.refuse {
		refuse = " overflow=refuse"
	}
	w.do("deliver qos=%d topic=%s payload=%s%s%s%s", qos, []string{"t", "some/longer/topic"}[w.rng.Intn(2)], payload,
		[]string{"", " wide", " ids=(7)", " ids=(7,8)"}[w.rng.Intn(4)], refuse, w.stamp())
	said := w.p.text.String()
	switch {
	case strings.HasPrefix(said, "dropped") && qos == 0, strings.HasPrefix(said, "refused") && w.refuse,
		strings.HasPrefix(said, "gone") && !w.p.s.Resumable():
		return
	case !strings.HasPrefix(said, "sent") && !strings.HasPrefix(said, "queued"):
		w.t.Fatalf("deliver: %s", said)
	}
	if qos > 0 {
		w.owed[payload] = owed{codec.QoS(qos), w.p.ticket, w.p.s.ID}
	}
}

// frame is what the client does with a packet.
func (w *walk) frame(v codec.Version, f codec.Frame) {
	switch f.Type {
	case codec.TypeConnack:
		var x codec.Connack
		if _ = x.Parse(v, f.Flags, f.Body); !x.SessionPresent {
			w.forget()
		}
		w.said = true
	case codec.TypePublish:
		var x codec.Publish
		if x.Parse(v, f.Flags, f.Body) != nil {
			return
		}
		w.arrived(&x)
	case codec.TypePubrel:
		var x codec.Ack
		_ = x.Parse(f.Type, v, f.Flags, f.Body)
		w.mustBeDurable(x.Reason >= codec.UnspecifiedError || !w.isQueued(x.PacketID), "MQTT-4.3.3-4: PUBREL of %d", x.PacketID)
		delete(w.back, x.PacketID)
		w.answers = append(w.answers, fmt.Sprintf("pubcomp id=%d", x.PacketID))
	case codec.TypePuback, codec.TypePubrec, codec.TypePubcomp:
		var x codec.Ack
		_ = x.Parse(f.Type, v, f.Flags, f.Body)
		w.acknowledged(f.Type, x.PacketID)
	}
}

// mustBeDurable fails the test if the client is told something that a crash could take back.
func (w *walk) mustBeDurable(is bool, what string, args ...any) {
	if w.p.s.durable() && !is {
		w.t.Errorf("seen before it is durable: "+what, args...)
	}
}

// isQueued tells whether a crash now would bring the QoS 2 PUBLISH of this identifier back.
func (w *walk) isQueued(id uint16) bool {
	return slices.ContainsFunc(w.p.store.disk.queue, func(r Record) bool {
		return r.Kind == QueuePut && r.QoS == codec.QoS2 && PacketID(r.Seq) == id
	})
}

// isReceived tells whether a crash now would leave the identifier of a message from the client in use.
func (w *walk) isReceived(id uint16) bool {
	return slices.ContainsFunc(w.p.store.disk.received, func(r Record) bool { return r.ID == id })
}

func (w *walk) arrived(x *codec.Publish) {
	payload := string(x.Payload)
	again := x.QoS == codec.QoS2 && w.back[x.PacketID]
	switch x.QoS {
	case codec.QoS1:
		w.answers = append(w.answers, fmt.Sprintf("puback id=%d", x.PacketID))
	case codec.QoS2:
		w.answers = append(w.answers, fmt.Sprintf("pubrec id=%d", x.PacketID))
		w.back[x.PacketID] = true
		w.mustBeDurable(again || w.isQueued(x.PacketID), "MQTT-4.3.3-2: PUBLISH %d", x.PacketID)
	}
	if again {
		return
	}
	w.got[payload]++
	var n int
	fmt.Sscanf(payload, "%d", &n)
	if w.got[payload] == 1 {
		if n <= w.last[x.QoS] && (w.dropped == 0 || !w.p.eye.restarted) { // a crash may bring back what was dropped
			w.t.Errorf("MQTT-4.6.0-6: %d arrives after %d at QoS %d", n, w.last[x.QoS], x.QoS)
		}
		w.last[x.QoS] = n
	}
}

func (w *walk) answer(i int) {
	if i < len(w.answers) {
		line := w.answers[i]
		w.answers = slices.Delete(w.answers, i, i+1)
		w.do("%s%s", line, w.stamp())
	}
}

// publish sends a new message, if the server's Receive Maximum lets the client.
func (w *walk) publish() {
	if len(w.sent) >= min(20, int(w.p.cfg.ReceiveMaximum)) {
		return
	}
	w.n++
	m := outbound{id: 1, qos: codec.QoS(1 + w.rng.Intn(2)), payload: fmt.Sprintf("%05d", w.n)}
	for slices.ContainsFunc(w.sent, func(x outbound) bool { return x.id == m.id }) {
		m.id++
	}
	w.sent = append(w.sent, m)
	w.send(m, "")
}

func (w *walk) send(m outbound, dup string) {
	hold := w.stamp()
	if !w.durable && w.chance(30) { // others whom it is owed are
		w.ticket++
		hold = fmt.Sprintf(" hold=%d", w.ticket)
	}
	w.routed = ""
	w.do("publish qos=%d id=%d topic=t payload=%s routed%s%s", m.qos, m.id, m.payload, dup, hold)
	if w.routed != "" {
		w.routes[w.routed] = append(w.routes[w.routed], w.p.ticket)
	}
}

// acknowledged moves one of the client's messages on. A PUBREL follows at once, by the next answer.
func (w *walk) acknowledged(t codec.PacketType, id uint16) {
	i := slices.IndexFunc(w.sent, func(m outbound) bool { return m.id == id })
	if i < 0 {
		return
	}
	m := &w.sent[i]
	w.done[m.payload] = m.qos
	switch t {
	case codec.TypePubrec:
		w.mustBeDurable(w.isReceived(id), "MQTT-4.3.3-8: PUBREC of %d", id)
		m.received = true
		w.answers = append(w.answers, fmt.Sprintf("pubrel id=%d", id))
	default:
		w.mustBeDurable(!w.isReceived(id), "MQTT-4.3.3-11: PUBCOMP of %d", id)
		w.sent = slices.Delete(w.sent, i, i+1)
	}
}

// finish lets everything come to rest and counts.
func (w *walk) finish() {
	for !w.online || !w.alive() || !w.p.s.Resumable() {
		w.connect()
		w.hear()
	}
	w.do("room %d", 1<<20)
	for n := 0; ; n++ {
		w.hear()
		w.sync("durable", int(w.ticket-w.p.store.durable))
		switch {
		case n > 100000:
			w.t.Fatal("it does not come to rest")
		case w.canRead():
			w.load()
		case len(w.answers) > 0:
			w.answer(0)
		case w.p.s.Connected() && w.p.s.more != nil && w.p.s.more.paced != nil:
			w.do("tick 1s%s", w.stamp())
		case len(w.sent) > 0:
			w.hangUp("lost" + w.stamp())
			w.connect()
		case w.p.s.Waiting():
			w.do("drain%s", w.stamp())
		case w.p.s.Resumable():
			w.count()
			return
		default:
			w.connect()
		}
	}
}

func (w *walk) count() {
	missing := []string{}
	for payload, o := range w.owed {
		n := w.got[payload]
		if n == 0 {
			missing = append(missing, payload)
		}
		if n > 1 && o.qos == codec.QoS2 {
			w.t.Errorf("message %s of QoS 2 arrived %d times", payload, n)
		}
	}
	if len(missing) > w.dropped {
		w.t.Errorf("%d messages were dropped, but these are missing: %v", w.dropped, missing)
	}
	for payload, qos := range w.done {
		if n := len(w.routes[payload]); n == 0 || n > 1 && qos == codec.QoS2 {
			w.t.Errorf("message %s of QoS %d was acknowledged, and routed %d times", payload, qos, n)
		}
	}
	if n, _ := w.p.s.Queued(); n+w.p.s.Inflight() > 0 || w.p.s.receiving > 0 {
		w.t.Errorf("not at rest: %d queued, %d in flight, %d receiving", n, w.p.s.Inflight(), w.p.s.receiving)
	}
}
