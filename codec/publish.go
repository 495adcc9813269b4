package codec

// Publish is a PUBLISH packet as it was received.
type Publish struct {
	Dup, Retain bool
	QoS         QoS
	Topic       []byte // empty in 5.0 when a Topic Alias stands for it
	PacketID    uint16 // 0 with QoS 0
	Properties  Properties
	Payload     []byte

	// Passthrough holds the encoded properties that a server forwards unchanged
	// and in order: all but Message Expiry Interval, Topic Alias and Subscription
	// Identifier. It goes into Delivery as it is. Append ignores it.
	Passthrough []byte

	pass gather // behind Passthrough
}

// The fixed header flags of PUBLISH. QoS takes two of them.
const (
	publishRetain   = 0x01
	publishDup      = 0x08
	publishQoSShift = 1
	publishQoSMask  = 0x03
)

// Parse reads a PUBLISH. A Topic Alias above the receiver's maximum and a
// Subscription Identifier from a client pass: both depend on who reads. In 3.1 a
// DUP flag with QoS 0 is dropped, in the others refused [MQTT-3.3.1-2].
//
// Topic, Payload and the properties point into body. Passthrough does too,
// unless the properties in it do not touch: then it is gathered in scratch space
// of p.
func (p *Publish) Parse(v Version, flags byte, body []byte) error {
	p.Dup, p.Retain = flags&publishDup != 0, flags&publishRetain != 0
	p.QoS = QoS(flags >> publishQoSShift & publishQoSMask)
	p.PacketID, p.Passthrough = 0, nil
	r := reader{rest: body, t: TypePublish, v: v}

	if p.QoS > QoS2 {
		return faultPublishQoS.in(v) // [MQTT-3.3.1-4]
	}
	if p.Dup && p.QoS == QoS0 {
		if v != V31 {
			return faultDupQoS0.in(v) // [MQTT-3.3.1-2]
		}
		p.Dup = false
	}
	p.Topic = r.topicName(&textTopic, &faultTopicWildcard) // [MQTT-3.3.2-1, MQTT-3.3.2-2]
	if p.QoS > QoS0 {
		p.PacketID = r.packetID() // 3.1.1 [MQTT-2.3.1-1], 5.0 [MQTT-2.2.1-3]
	}
	if v == V5 {
		p.pass.reset()
		p.Passthrough = p.Properties.parse(&r, TypePublish, &p.pass)
	} else {
		p.Properties.Reset()
	}
	if len(p.Topic) == 0 && !p.Properties.Has(PropTopicAlias) {
		r.fail(faultTopicEmpty.in(v)) // [MQTT-4.7.3-1]
	}
	p.Payload = r.rest
	return r.result()
}

// Append writes the packet from its fields and Properties. A server's way out is
// AppendDelivery.
func (p *Publish) Append(dst []byte, v Version) []byte {
	dst, at := begin(dst, TypePublish, publishFlags(p.Dup, p.QoS, p.Retain))
	dst = appendBytes(dst, p.Topic)
	if p.QoS > QoS0 {
		dst = appendUint16(dst, p.PacketID)
	}
	if v == V5 {
		dst = p.Properties.append(dst, TypePublish)
	}
	return seal(append(dst, p.Payload...), at)
}

// publishFlags builds the fixed header flags. DUP is never set with QoS 0
// [MQTT-3.3.1-2].
func publishFlags(dup bool, qos QoS, retain bool) byte {
	flags := byte(qos) << publishQoSShift
	if dup && qos > QoS0 {
		flags |= publishDup
	}
	if retain {
		flags |= publishRetain
	}
	return flags
}
