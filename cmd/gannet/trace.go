package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/gannetmq/gannet/cmd/gannet/internal/client"
	"github.com/gannetmq/gannet/codec"
)

// printer writes whole pieces of output, each in one call. It is safe for
// concurrent use.
type printer struct {
	mu  sync.Mutex
	out io.Writer
	err error // the first that out returned; nothing is written after it
}

func (p *printer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return 0, p.err
	}
	var n int
	n, p.err = p.out.Write(b)
	return n, p.err
}

// failure is the first error of out, or nil.
func (p *printer) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// tracer prints a line for each packet, as mosquitto's clients do with -d.
type tracer struct {
	out io.Writer
	mu  sync.Mutex
	id  string // Client Identifier
	mid int    // numbers messages that have no Packet Identifier
}

// trace is the client's observer, without functions unless -d was given.
func (f *clientFlags) trace(out io.Writer, id string) client.Trace {
	if !f.debug {
		return client.Trace{}
	}
	t := &tracer{out: out, id: id}
	return client.Trace{Sent: t.sent, Received: t.received}
}

// line prints one packet's line.
func (t *tracer) line(format string, args ...any) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Client %s ", t.id)
	fmt.Fprintf(&b, format, args...)
	b.WriteByte('\n')
	_, _ = t.out.Write(b.Bytes())
}

func (t *tracer) sent(kind codec.PacketType, packet any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch p := packet.(type) {
	case *codec.Publish:
		mid := int(p.PacketID)
		if p.QoS == codec.QoS0 {
			mid = t.mid + 1
		}
		t.mid = max(t.mid, mid)
		t.line("sending PUBLISH %s", describePublish(p, mid))
	case *codec.Ack:
		switch kind {
		case codec.TypePuback, codec.TypePubrec:
			t.line("sending %s (m%d, rc%d)", kind, p.PacketID, p.Reason)
		default:
			t.line("sending %s (m%d)", kind, p.PacketID)
		}
	case *codec.Subscribe:
		for _, s := range p.Filters {
			t.line("sending SUBSCRIBE (Mid: %d, Topic: %s, QoS: %d, Options: 0x%02x)", p.PacketID, s.Filter, s.QoS, subscriptionOptions(&s))
		}
	case *codec.Unsubscribe:
		for _, f := range p.Filters {
			t.line("sending UNSUBSCRIBE (Mid: %d, Topic: %s)", p.PacketID, f)
		}
	default:
		t.line("sending %s", kind)
	}
}

func (t *tracer) received(kind codec.PacketType, packet any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch p := packet.(type) {
	case *codec.Connack:
		if p.Properties.Has(codec.PropAssignedClientIdentifier) {
			t.id = string(p.Properties.AssignedClientIdentifier)
		}
		t.line("received CONNACK (%d)", max(int(p.Return), int(p.Reason)))
	case *codec.Publish:
		t.line("received PUBLISH %s", describePublish(p, int(p.PacketID)))
	case *codec.Ack:
		switch kind {
		case codec.TypePuback, codec.TypePubcomp:
			t.line("received %s (Mid: %d, RC:%d)", kind, p.PacketID, p.Reason)
		default:
			t.line("received %s (Mid: %d)", kind, p.PacketID)
		}
	case *codec.Suback:
		t.line("received SUBACK")
		_, _ = t.out.Write(describeGranted(p))
	case *codec.Disconnect:
		t.line("received DISCONNECT (%d)", p.Reason)
	default:
		t.line("received %s", kind)
	}
}

func describePublish(p *codec.Publish, mid int) string {
	return fmt.Sprintf("(d%d, q%d, r%d, m%d, '%s', ... (%d bytes))", digit(p.Dup), p.QoS, digit(p.Retain), mid, p.Topic, len(p.Payload))
}

func describeGranted(p *codec.Suback) []byte {
	b := fmt.Appendf(nil, "Subscribed (mid: %d): ", p.PacketID)
	for i, reason := range p.Reasons {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendInt(b, int64(reason), 10)
	}
	return append(b, '\n')
}

// subscriptionOptions is the 5.0 options byte without the QoS.
func subscriptionOptions(s *codec.Subscription) byte {
	return s.RetainHandling<<4 | digit(s.RetainAsPublished)<<3 | digit(s.NoLocal)<<2
}

func digit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// newClientID invents a Client Identifier. It is no longer than the 23 bytes
// that every server takes [MQTT-3.1.3-5].
func newClientID() string { return "gannet-" + rand.Text()[:16] }
