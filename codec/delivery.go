package codec

import "slices"

// Delivery is a PUBLISH on a server's way out. One received message becomes as
// many deliveries as it has receivers, so this type exists beside Publish: it
// takes the forwarded properties in encoded form and is written without a detour
// through Properties.
//
// AppendDelivery only reads it; Topic, Payload, Passthrough and SubscriptionIDs
// may be shared by any number of deliveries.
type Delivery struct {
	Topic       []byte // in 5.0 empty if TopicAlias stands for it
	Payload     []byte
	Passthrough []byte // Publish.Passthrough or Connect.WillPassthrough; 5.0 only
	PacketID    uint16 // non-zero if QoS > 0
	QoS         QoS
	Dup, Retain bool

	HasExpiry       bool
	Expiry          uint32   // seconds that are left; 5.0 only
	TopicAlias      uint16   // 0 for none; 5.0 only
	SubscriptionIDs []uint32 // 1 to 268,435,455 each; 5.0 only
}

// Encoded sizes of properties, identifier included.
const (
	expirySize = 1 + 4
	aliasSize  = 1 + 2
)

// Size returns the exact number of bytes that AppendDelivery writes for version
// v. A result above MaxPacketSize means that the packet cannot be written.
func (d *Delivery) Size(v Version) int {
	body := d.bodySize(v, d.propertiesSize(v))
	return 1 + varintSize(body) + body
}

// propertiesSize returns the Property Length.
func (d *Delivery) propertiesSize(v Version) int {
	if v != V5 {
		return 0
	}
	n := len(d.Passthrough)
	if d.HasExpiry {
		n += expirySize
	}
	if d.TopicAlias != 0 {
		n += aliasSize
	}
	for _, id := range d.SubscriptionIDs {
		n += 1 + varintSize(int(id))
	}
	return n
}

// bodySize returns the Remaining Length.
func (d *Delivery) bodySize(v Version, properties int) int {
	n := 2 + len(d.Topic) + len(d.Payload)
	if d.QoS > QoS0 {
		n += 2
	}
	if v == V5 {
		n += varintSize(properties) + properties
	}
	return n
}

// AppendDelivery writes d as a PUBLISH of version v and allocates nothing but
// the growth of dst. 3.1 and 3.1.1 have no properties, so a Topic Alias is not
// written there and Topic must be given. DUP is not written with QoS 0
// [MQTT-3.3.1-2].
//
// A packet above MaxPacketSize has no encoding. dst is then returned as it was:
// the message is dropped and counts as sent, as for a receiver's own limit
// [MQTT-3.1.2-25].
func AppendDelivery(dst []byte, v Version, d *Delivery) []byte {
	properties := d.propertiesSize(v)
	body := d.bodySize(v, properties)
	if body > maxVarint {
		return dst
	}
	dst = slices.Grow(dst, 1+varintSize(body)+body)
	return append(d.appendHead(dst, v, properties, body), d.Payload...)
}

// AppendDeliveryHead writes what AppendDelivery writes before the Payload, which is to follow from wherever
// it lies. A packet above MaxPacketSize has no head either.
func AppendDeliveryHead(dst []byte, v Version, d *Delivery) []byte {
	properties := d.propertiesSize(v)
	body := d.bodySize(v, properties)
	if body > maxVarint {
		return dst
	}
	return d.appendHead(dst, v, properties, body)
}

func (d *Delivery) appendHead(dst []byte, v Version, properties, body int) []byte {
	dst = append(dst, byte(TypePublish)<<4|publishFlags(d.Dup, d.QoS, d.Retain))
	dst = appendVarint(dst, uint32(body))
	dst = appendBytes(dst, d.Topic)
	if d.QoS > QoS0 {
		dst = appendUint16(dst, d.PacketID)
	}
	if v == V5 {
		dst = appendVarint(dst, uint32(properties))
		dst = d.appendProperties(dst)
	}
	return dst
}

func (d *Delivery) appendProperties(dst []byte) []byte {
	if d.HasExpiry {
		dst = appendUint32(append(dst, byte(PropMessageExpiryInterval)), d.Expiry)
	}
	if d.TopicAlias != 0 {
		dst = appendUint16(append(dst, byte(PropTopicAlias)), d.TopicAlias)
	}
	for _, id := range d.SubscriptionIDs {
		dst = appendVarint(append(dst, byte(PropSubscriptionIdentifier)), id)
	}
	return append(dst, d.Passthrough...)
}
