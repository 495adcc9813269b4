package session

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// report writes out everything that the last call decided, and checks it.
func (p *player) report(t *testing.T) {
	for _, a := range p.admits {
		p.say("%s", a)
	}
	p.admits = nil
	p.reportAs(t, p.version)
	if p.s == nil {
		return
	}
	routing := 0
	for _, a := range p.pending {
		if a.qos == codec.QoS1 {
			routing++ // QoS 2 is among the received already
		}
	}
	p.s.check(t, routing)
	if p.s.Connected() && p.hs == nil && !p.refused {
		p.eye.check(t, p.s)
	}
}

func (p *player) reportAs(t *testing.T, v codec.Version) {
	o := &p.out
	b := append(p.gated, o.Frames...)
	if p.gated = nil; p.gate > p.store.durable {
		p.gated, b = b, nil
	}
	for len(b) > 0 {
		f, _, err := codec.Next(b, 0)
		if err != nil || f.Size == 0 {
			t.Fatalf("the session wrote what is not a packet: % x: %v", b, err)
		}
		p.say("< %s", renderFrame(t, v, f))
		p.eye.sent(t, v, f)
		if p.onFrame != nil {
			p.onFrame(v, f)
		}
		b = b[f.Size:]
	}
	if o.HasPublish {
		p.say("route%s%s", p.message(&o.Publish), ackText(o))
		if p.onRoute != nil {
			p.onRoute(&o.Publish)
		}
	}
	if c := o.Judge; c != nil {
		p.say("judge id=%s user=%q %t password=%q %t", c.ClientID, c.UserName, c.HasUserName, c.Password, c.HasPassword)
	}
	for i := range o.Changes {
		p.say("%s", renderChange(&o.Changes[i]))
	}
	for i := range p.records {
		p.say("record %s", p.record(&p.records[i]))
	}
	p.records = nil
	if o.HasRead {
		if p.reading {
			t.Error("a read is asked for while another one is under way")
		}
		p.read, p.reading = o.Read, true
		p.say("read from %d up to %d after ticket %d", o.Read.From, o.Read.Messages, o.Read.After)
	}
	for _, r := range o.Redispatch {
		p.say("redispatch to %v%s", r.Group, p.message(r.Message))
	}
	any := false
	for r, n := range o.Drops.N {
		if n > 0 {
			any = true
			p.say("drop %s %d", DropReason(r), n)
		}
	}
	if any != o.Drops.Any {
		t.Errorf("Drops.Any is %t, but the counters say %t", o.Drops.Any, any)
	}
	if !o.Close && o.Why != "" {
		p.say("refused 0x%02x: %s", byte(o.Reason), o.Why)
	}
	if o.Acked {
		p.say("slot free")
	}
	if o.Full {
		p.say("full")
	}
	if o.Close {
		p.closed = p.s != nil && p.s.Connected() && p.hs == nil
		statement, graceful := o.Statement, ""
		if statement != "" {
			statement = " [" + statement + "]"
		}
		if o.Graceful {
			graceful = " gracefully"
		}
		p.say("close%s 0x%02x%s: %s", graceful, byte(o.Reason), statement, o.Why)
	}
	if o.Ended {
		p.say("ended")
	}
}

func ackText(o *Output) string {
	if o.AckQoS == 0 {
		return ""
	}
	return fmt.Sprintf(" to-acknowledge=%d", o.AckID)
}

// short keeps long values readable.
func short(b []byte) string {
	if len(b) > 60 {
		return fmt.Sprintf("%s…(%d)", b[:8], len(b))
	}
	return string(b)
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// message renders a Message from the broker's side.
func (p *player) message(m *Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, " q%d r%d topic=%s payload=%s", m.QoS, flag(m.Retain), short(m.Topic), short(m.Payload))
	if len(m.Properties) > 0 {
		fmt.Fprintf(&b, " props=%x", m.Properties)
	}
	if m.Expires != 0 {
		fmt.Fprintf(&b, " expires=%s", p.at(m.Expires))
	}
	return b.String()
}

func renderChange(c *Change) string {
	var b strings.Builder
	b.WriteString("add ")
	if c.Remove {
		b.Reset()
		b.WriteString("remove ")
	}
	b.WriteString(c.Filter)
	if c.Group != "" {
		fmt.Fprintf(&b, " group=%s", c.Group)
	}
	if !c.Remove {
		b.WriteString(renderOptions(&c.Options))
	}
	if c.Replay {
		b.WriteString(" replay")
	}
	return b.String()
}

func renderOptions(o *SubscriptionOptions) string {
	s := fmt.Sprintf(" q%d", o.QoS)
	if o.NoLocal {
		s += " no-local"
	}
	if o.RetainAsPublished {
		s += " as-published"
	}
	if o.RetainHandling > 0 {
		s += fmt.Sprintf(" handling=%d", o.RetainHandling)
	}
	if o.Identifier > 0 {
		s += fmt.Sprintf(" sub-id=%d", o.Identifier)
	}
	return s
}

func (p *player) record(r *Record) string {
	switch r.Kind {
	case SessionPut:
		return fmt.Sprintf("session-put %d id=%s user=%s version=%s expiry=%s until=%s", r.Session,
			r.State.ClientID, r.State.UserName, r.State.Version, expiryText(r.State.Expiry), p.at(r.State.ExpiresAt))
	case SessionDelete:
		return fmt.Sprintf("session-delete %d", r.Session)
	case SubscriptionPut:
		return fmt.Sprintf("subscription-put %d %s%s", r.Session, r.Filter, renderOptions(&r.Options))
	case SubscriptionDelete:
		return fmt.Sprintf("subscription-delete %d %s", r.Session, r.Filter)
	case QueuePut:
		ids := ""
		if len(r.IDs) > 0 {
			ids = fmt.Sprintf(" ids=%v", r.IDs)
		}
		return fmt.Sprintf("queue-put %d seq=%d as-q%d as-r%d%s%s", r.Session, r.Seq, r.QoS, flag(r.Retain), ids, p.message(r.Message))
	case QueueRelease:
		return fmt.Sprintf("queue-release %d seq=%d", r.Session, r.Seq)
	case QueueDelete:
		return fmt.Sprintf("queue-delete %d seq=%d", r.Session, r.Seq)
	case ReceivedPut:
		return fmt.Sprintf("received-put %d id=%d", r.Session, r.ID)
	case ReceivedDelete:
		return fmt.Sprintf("received-delete %d id=%d", r.Session, r.ID)
	case WillPut:
		return fmt.Sprintf("will-put %d due=%s%s", r.Session, p.at(r.Will.Due), p.message(r.Will.Message))
	case WillDelete:
		return fmt.Sprintf("will-delete %d", r.Session)
	}
	return fmt.Sprintf("kind %d", r.Kind)
}

func expiryText(n uint32) string {
	if n == NeverExpires {
		return "never"
	}
	return fmt.Sprint(n)
}

// renderFrame decodes a packet that the session wrote for its client.
func renderFrame(t *testing.T, v codec.Version, f codec.Frame) string {
	t.Helper()
	var err error
	var line string
	name := f.Type.String()
	switch f.Type {
	case codec.TypeConnack:
		var x codec.Connack
		err = x.Parse(v, f.Flags, f.Body)
		if v == codec.V5 {
			line = fmt.Sprintf("present=%d 0x%02x%s", flag(x.SessionPresent), byte(x.Reason), renderProperties(&x.Properties))
		} else {
			line = fmt.Sprintf("present=%d return=%d", flag(x.SessionPresent), x.Return)
		}
	case codec.TypePublish:
		var x codec.Publish
		err = x.Parse(v, f.Flags, f.Body)
		line = fmt.Sprintf("d%d q%d r%d m%d topic=%s payload=%s%s", flag(x.Dup), x.QoS, flag(x.Retain), x.PacketID, short(x.Topic), short(x.Payload), renderProperties(&x.Properties))
	case codec.TypePuback, codec.TypePubrec, codec.TypePubrel, codec.TypePubcomp:
		var x codec.Ack
		err = x.Parse(f.Type, v, f.Flags, f.Body)
		line = fmt.Sprintf("m%d", x.PacketID)
		if v == codec.V5 {
			line += fmt.Sprintf(" 0x%02x%s", byte(x.Reason), renderProperties(&x.Properties))
		}
	case codec.TypeSuback:
		var x codec.Suback
		err = x.Parse(v, f.Flags, f.Body)
		line = fmt.Sprintf("m%d [% x]%s", x.PacketID, codes(x.Reasons), renderProperties(&x.Properties))
	case codec.TypeUnsuback:
		var x codec.Unsuback
		err = x.Parse(v, f.Flags, f.Body)
		line = fmt.Sprintf("m%d [% x]%s", x.PacketID, codes(x.Reasons), renderProperties(&x.Properties))
	case codec.TypePingresp:
		err = codec.ParsePing(v, f.Flags, f.Body)
	case codec.TypeDisconnect:
		var x codec.Disconnect
		err = x.Parse(v, f.Flags, f.Body)
		line = fmt.Sprintf("0x%02x%s", byte(x.Reason), renderProperties(&x.Properties))
	case codec.TypeAuth:
		var x codec.Auth
		err = x.Parse(v, f.Flags, f.Body)
		line = fmt.Sprintf("0x%02x%s", byte(x.Reason), renderProperties(&x.Properties))
	default:
		t.Fatalf("the session wrote a %s", name)
	}
	if err != nil {
		t.Fatalf("the session wrote a %s that its client cannot read: %v", name, err)
	}
	return strings.TrimSpace(name + " " + line)
}

func codes(reasons []codec.ReasonCode) []byte {
	b := make([]byte, len(reasons))
	for i, c := range reasons {
		b[i] = byte(c)
	}
	return b
}

// renderProperties names what is present, in the order of the specification's table.
func renderProperties(p *codec.Properties) string {
	var b strings.Builder
	number := func(id codec.PropertyID, name string, n any) {
		if p.Has(id) {
			fmt.Fprintf(&b, " %s=%d", name, n)
		}
	}
	text := func(id codec.PropertyID, name string, v []byte) {
		if p.Has(id) {
			fmt.Fprintf(&b, " %s=%q", name, short(v))
		}
	}
	number(codec.PropPayloadFormatIndicator, "format", p.PayloadFormatIndicator)
	number(codec.PropMessageExpiryInterval, "expiry", p.MessageExpiryInterval)
	text(codec.PropContentType, "type", p.ContentType)
	text(codec.PropResponseTopic, "reply", p.ResponseTopic)
	text(codec.PropCorrelationData, "correlation", p.CorrelationData)
	if p.Has(codec.PropSubscriptionIdentifier) {
		fmt.Fprintf(&b, " sub-ids=%v", p.SubscriptionIdentifiers)
	}
	number(codec.PropSessionExpiryInterval, "session-expiry", p.SessionExpiryInterval)
	text(codec.PropAssignedClientIdentifier, "assigned", p.AssignedClientIdentifier)
	number(codec.PropServerKeepAlive, "server-keepalive", p.ServerKeepAlive)
	text(codec.PropAuthenticationMethod, "method", p.AuthenticationMethod)
	text(codec.PropAuthenticationData, "data", p.AuthenticationData)
	text(codec.PropResponseInformation, "response-info", p.ResponseInformation)
	text(codec.PropServerReference, "reference", p.ServerReference)
	text(codec.PropReasonString, "reason", p.ReasonString)
	number(codec.PropReceiveMaximum, "recv-max", p.ReceiveMaximum)
	number(codec.PropTopicAliasMaximum, "alias-max", p.TopicAliasMaximum)
	number(codec.PropTopicAlias, "alias", p.TopicAlias)
	number(codec.PropMaximumQoS, "max-qos", p.MaximumQoS)
	number(codec.PropRetainAvailable, "retain-available", p.RetainAvailable)
	number(codec.PropMaximumPacketSize, "max-packet", p.MaximumPacketSize)
	return b.String()
}
