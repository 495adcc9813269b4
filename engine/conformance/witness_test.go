package conformance

import (
	"fmt"
	"strings"

	"github.com/gannetmq/gannet/codec"
)

// witness watches one connection and knows what must hold at all times, whatever the test is about.
type witness struct {
	v    codec.Version
	said hello // what CONNECT said

	window       int // Receive Maximum of the client
	packetMax    int // its Maximum Packet Size, 0 = none
	aliasMax     int
	noProblems   bool // Request Problem Information 0
	authenticate bool // CONNECT named a method

	accepted bool
	finished bool // the server said DISCONNECT, or refused
	open     map[uint16]codec.QoS
	aliases  map[int]string
}

func newWitness(v codec.Version, h hello) witness {
	w := witness{v: v, said: h, window: 65535, open: map[uint16]codec.QoS{}, aliases: map[int]string{}}
	if v != codec.V5 {
		return w
	}
	f := fields{rest: block(h.props)}
	p := packet{props: f.properties(codec.TypeConnect)}
	if f.err != nil {
		return w // a CONNECT that is wrong on purpose
	}
	w.window = p.number(codec.PropReceiveMaximum, 65535)
	w.packetMax = p.number(codec.PropMaximumPacketSize, 0)
	w.aliasMax = p.number(codec.PropTopicAliasMaximum, 0)
	w.noProblems = p.number(codec.PropRequestProblemInformation, 1) == 0
	w.authenticate = p.has(codec.PropAuthenticationMethod)
	return w
}

// see takes the next packet of the server. It resolves Topic Aliases.
func (w *witness) see(p *packet) error {
	if w.finished {
		return fmt.Errorf("%s after the last packet", p) // [MQTT-3.14.4-1]
	}
	if w.packetMax > 0 && p.size > w.packetMax {
		return fmt.Errorf("%s of %d bytes, the client takes %d", p, p.size, w.packetMax) // [MQTT-3.1.2-24]
	}
	if w.noProblems && (p.has(codec.PropReasonString) || p.has(codec.PropUserProperty)) {
		switch p.kind {
		case codec.TypeConnack, codec.TypeDisconnect, codec.TypePublish:
		default:
			return fmt.Errorf("%s explains itself to a client that asked for no problem information", p) // [MQTT-3.1.2-29]
		}
	}
	if !w.accepted {
		return w.seeBeforeAccepted(p)
	}
	switch p.kind {
	case codec.TypeConnack:
		return fmt.Errorf("second CONNACK") // [MQTT-3.2.0-2]
	case codec.TypePublish:
		return w.seePublish(p)
	case codec.TypePubrel:
		if q, known := w.open[p.id]; known && q == codec.QoS1 {
			return fmt.Errorf("PUBREL for the QoS 1 delivery %d", p.id)
		}
	case codec.TypeDisconnect:
		w.finished = true
		if p.has(codec.PropSessionExpiryInterval) {
			return fmt.Errorf("session expiry interval in the server's DISCONNECT") // [MQTT-3.14.2-2]
		}
	case codec.TypeAuth:
		if !w.authenticate {
			return fmt.Errorf("AUTH to a client without a method") // [MQTT-4.12.0-6]
		}
	}
	return nil
}

func (w *witness) seeBeforeAccepted(p *packet) error {
	switch {
	case p.kind == codec.TypeAuth && w.authenticate:
		return nil
	case p.kind != codec.TypeConnack:
		return fmt.Errorf("%s before CONNACK", p) // [MQTT-3.2.0-1], [MQTT-3.14.0-1]
	case p.code != 0 && p.present:
		return fmt.Errorf("refusal with session present") // [MQTT-3.2.2-6]
	case !w.authenticate && p.has(codec.PropAuthenticationMethod):
		return fmt.Errorf("authentication method in CONNACK to a client without one") // [MQTT-4.12.0-6]
	case p.present && !w.said.resume:
		return fmt.Errorf("session present after a clean start") // [MQTT-3.2.2-2]
	}
	w.accepted, w.finished = p.code == 0, p.code != 0
	return nil
}

func (w *witness) seePublish(p *packet) error {
	if alias := p.number(codec.PropTopicAlias, -1); alias >= 0 {
		if alias == 0 || alias > w.aliasMax {
			return fmt.Errorf("topic alias %d, the client takes up to %d", alias, w.aliasMax) // [MQTT-3.1.2-26], [MQTT-3.3.2-8]
		}
		if p.topic == "" {
			p.topic, p.alias = w.aliases[alias], true
		}
		w.aliases[alias] = p.topic
	}
	if p.topic == "" || strings.ContainsAny(p.topic, "+#") {
		return fmt.Errorf("delivery with topic %q", p.topic) // [MQTT-4.7.0-1], [MQTT-4.7.3-1]
	}
	if p.qos() == codec.QoS0 {
		return nil
	}
	if _, busy := w.open[p.id]; busy || p.id == 0 {
		return fmt.Errorf("%s: packet identifier is zero or in use", p) // [MQTT-2.2.1-4], [MQTT-4.4.0-1]
	}
	w.open[p.id] = p.qos()
	if len(w.open) > w.window {
		return fmt.Errorf("%d deliveries open, the client takes %d", len(w.open), w.window) // [MQTT-3.3.4-9]
	}
	return nil
}

// settled says that the client has acknowledged for good.
func (w *witness) settled(id uint16) { delete(w.open, id) }
