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

// TestRandomWalk lets an honest client and an honest broker do what they like in any order, over connections that break
// and a process that restarts, and holds the session to the promises of the three levels: at QoS 1 everything arrives, at
// QoS 2 everything arrives once, in both directions, and nothing overtakes. A failure prints its steps, which are a transcript.
func TestRandomWalk(t *testing.T) {
	settings := []string{
		"config max-inflight=3",
		"config max-inflight=5 durable recv-max=4",
		"config max-inflight=2 queue-qos0 recv-max=2",
		"config max-inflight=1000 durable alias-max=3 max-held=50",
	}
	seeds := 40
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &walk{t: t, rng: rand.New(rand.NewSource(int64(seed))), p: newPlayer(), back: map[uint16]bool{}, owed: map[string]int{}, got: map[string]int{}, last: map[codec.QoS]int{}, routes: map[string]int{}}
			w.p.onFrame, w.p.onRoute = w.frame, func(m *Message) { w.routes[string(m.Payload)]++ }
			w.do("%s", settings[seed%len(settings)])
			w.durable = strings.Contains(settings[seed%len(settings)], "durable")
			w.connect()
			if seed%3 == 0 {
				w.do("jump 65530") // identifiers go round on the way
			}
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

// walk is the client and the broker around one session.
type walk struct {
	t       *testing.T
	rng     *rand.Rand
	p       *player
	steps   []string
	durable bool
	online  bool
	ticket  uint64

	n       int             // numbers the messages, in both directions
	answers []string        // what the client has to say to deliveries
	back    map[uint16]bool // identifiers of QoS 2 deliveries before PUBREL
	owed    map[string]int  // payload -> QoS of what the session has taken
	got     map[string]int  // payload -> how often it arrived
	last    map[codec.QoS]int

	sent   []outbound     // what the client published and is not finished, in order
	routes map[string]int // payload -> how often it was routed
}

// outbound is one message of the client.
type outbound struct {
	id       uint16
	qos      codec.QoS
	payload  string
	received bool // PUBREC came
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
	if w.p.out.Close || w.t.Failed() {
		w.t.Fatalf("after %s:\n%s\n%s", line, w.p.text.String(), strings.Join(w.steps, "\n"))
	}
}

func (w *walk) chance(percent int) bool { return w.rng.Intn(100) < percent }

func (w *walk) step() {
	r := w.rng.Intn(100)
	switch {
	case r < 30:
		w.deliver()
	case r < 60 && w.online:
		w.answer(w.rng.Intn(1 + len(w.answers)))
	case r < 75 && w.online:
		w.publish()
	case r < 80:
		w.do("room %d", w.rng.Intn(2)*w.rng.Intn(60))
		w.do("room %d", []int{1 << 20, 30}[w.rng.Intn(2)])
		w.do("drain")
	case r < 84:
		w.do("trim")
	case r < 88:
		w.do("tick %ds", w.rng.Intn(5))
	case r < 92 && w.online:
		w.do("durable ticket=%d", w.ticket)
	case r < 95 && w.online:
		w.hangUp("lost")
	case r < 97 && w.durable:
		w.hangUp("restart")
	case !w.online:
		w.connect()
	}
}

func (w *walk) hangUp(how string) {
	w.do("%s", how)
	w.online = false
	if w.chance(70) {
		w.answers = nil // else it says on the next connection what it had on its tongue
	}
	w.answers = slices.DeleteFunc(w.answers, func(a string) bool { return strings.HasPrefix(a, "pubrel") }) // connect repeats those
}

// connect resumes, and repeats what was not finished in the order it was sent [MQTT-4.4.0-1, MQTT-4.6.0-1].
func (w *walk) connect() {
	w.online = true
	w.do("connect id=a expiry=1000000 recv-max=%d alias-max=%d", 1+w.rng.Intn(6), w.rng.Intn(3))
	for _, m := range slices.Clone(w.sent) {
		if m.received {
			w.do("pubrel id=%d", m.id)
		} else {
			w.send(m, " dup")
		}
	}
}

func (w *walk) deliver() {
	w.n++
	payload := fmt.Sprintf("%05d", w.n)
	qos := w.rng.Intn(3)
	w.do("deliver qos=%d topic=%s payload=%s%s", qos, []string{"t", "some/longer/topic"}[w.rng.Intn(2)], payload,
		[]string{"", " wide", " ids=(7)"}[w.rng.Intn(3)])
	said := w.p.text.String()
	if strings.HasPrefix(said, "dropped") && qos == 0 {
		return
	}
	if !strings.HasPrefix(said, "sent") && !strings.HasPrefix(said, "queued") {
		w.t.Fatalf("deliver: %s", said)
	}
	if qos > 0 {
		w.owed[payload] = qos
	}
}

// frame is what the client does with a packet.
func (w *walk) frame(v codec.Version, f codec.Frame) {
	switch f.Type {
	case codec.TypePublish:
		var x codec.Publish
		if x.Parse(v, f.Flags, f.Body) != nil {
			return
		}
		w.arrived(&x)
	case codec.TypePubrel:
		var x codec.Ack
		_ = x.Parse(f.Type, v, f.Flags, f.Body)
		delete(w.back, x.PacketID)
		w.answers = append(w.answers, fmt.Sprintf("pubcomp id=%d", x.PacketID))
	case codec.TypePuback, codec.TypePubrec, codec.TypePubcomp:
		var x codec.Ack
		_ = x.Parse(f.Type, v, f.Flags, f.Body)
		w.acknowledged(f.Type, x.PacketID)
	}
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
	}
	if again {
		return
	}
	w.got[payload]++
	var n int
	fmt.Sscanf(payload, "%d", &n)
	if w.got[payload] == 1 {
		if n <= w.last[x.QoS] {
			w.t.Errorf("MQTT-4.6.0-6: %d arrives after %d at QoS %d", n, w.last[x.QoS], x.QoS)
		}
		w.last[x.QoS] = n
	}
}

func (w *walk) answer(i int) {
	if i < len(w.answers) {
		line := w.answers[i]
		w.answers = slices.Delete(w.answers, i, i+1)
		w.do("%s", line)
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
	hold := ""
	if w.chance(30) {
		w.ticket++
		hold = fmt.Sprintf(" hold=%d", w.ticket)
	}
	w.do("publish qos=%d id=%d topic=t payload=%s routed%s%s", m.qos, m.id, m.payload, dup, hold)
}

// acknowledged moves one of the client's messages on. A PUBREL follows at once, by the next answer.
func (w *walk) acknowledged(t codec.PacketType, id uint16) {
	for i := range w.sent {
		m := &w.sent[i]
		if m.id != id {
			continue
		}
		switch t {
		case codec.TypePubrec:
			m.received = true
			w.answers = append(w.answers, fmt.Sprintf("pubrel id=%d", id))
		default:
			w.sent = slices.Delete(w.sent, i, i+1)
		}
		return
	}
}

// finish lets everything come to rest and counts.
func (w *walk) finish() {
	if !w.online {
		w.connect()
	}
	w.do("room %d", 1<<20)
	w.do("drain")
	for len(w.answers) > 0 || len(w.sent) > 0 {
		w.do("durable ticket=%d", w.ticket)
		if len(w.answers) == 0 {
			w.hangUp("lost")
			w.connect()
			continue
		}
		w.answer(0)
	}
	for payload, qos := range w.owed {
		if n := w.got[payload]; n == 0 || n > 1 && qos == 2 {
			w.t.Errorf("message %s of QoS %d arrived %d times", payload, qos, n)
		}
	}
	for payload, n := range w.routes {
		if n > 1 && w.p.s != nil && w.qosOf(payload) == "2" {
			w.t.Errorf("message %s of QoS 2 was routed %d times", payload, n)
		}
	}
	if n, _ := w.p.s.Queued(); n+w.p.s.Inflight() > 0 || w.p.s.receiving > 0 {
		w.t.Errorf("not at rest: %d queued, %d in flight, %d receiving", n, w.p.s.Inflight(), w.p.s.receiving)
	}
}

// qosOf finds how the client first published payload.
func (w *walk) qosOf(payload string) string {
	for _, line := range w.steps {
		if strings.HasPrefix(line, "publish qos=") && strings.Contains(line, "payload="+payload) {
			return line[len("publish qos="):][:1]
		}
	}
	return ""
}
