package client

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// read is the reading goroutine.
func (c *Client) read(r packetReader) {
	if c.messages != nil {
		defer close(c.messages)
	}
	for {
		frame, err := r.next()
		if err == nil {
			err = c.receive(frame)
		}
		if err != nil {
			if !c.complain(err) {
				c.end(err)
			}
			return
		}
	}
}

// complain tells a 5.0 server which rule it broke, and reports whether it did:
// the writing goroutine then ends the connection with err once that is written,
// or lingerMax later.
func (c *Client) complain(err error) bool {
	fault, ok := errors.AsType[*codec.Error](err)
	if !ok || c.options.Version != codec.V5 {
		return false
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(lingerMax))
	p := codec.Disconnect{Reason: fault.Code}
	return c.out.last(err, func(dst []byte) []byte {
		c.options.Trace.sent(codec.TypeDisconnect, &p)
		return p.Append(dst, codec.V5)
	}) == nil
}

// receive handles one packet.
func (c *Client) receive(frame codec.Frame) error {
	version, trace := c.options.Version, &c.options.Trace
	switch frame.Type {
	case codec.TypePublish:
		return c.receivePublish(frame)
	case codec.TypePuback, codec.TypePubrec, codec.TypePubrel, codec.TypePubcomp:
		var p codec.Ack
		if err := p.Parse(frame.Type, version, frame.Flags, frame.Body); err != nil {
			return err
		}
		trace.received(frame.Type, &p)
		return c.receiveAck(frame.Type, &p)
	case codec.TypeSuback:
		var p codec.Suback
		if err := p.Parse(version, frame.Flags, frame.Body); err != nil {
			return err
		}
		trace.received(frame.Type, &p)
		c.finish(p.PacketID, codec.TypeSuback, slices.Clone(p.Reasons))
		return nil
	case codec.TypeUnsuback:
		var p codec.Unsuback
		if err := p.Parse(version, frame.Flags, frame.Body); err != nil {
			return err
		}
		trace.received(frame.Type, &p)
		c.finish(p.PacketID, codec.TypeUnsuback, slices.Clone(p.Reasons))
		return nil
	case codec.TypePingresp:
		if err := codec.ParsePing(version, frame.Flags, frame.Body); err != nil {
			return err
		}
		trace.received(frame.Type, nil)
		c.pinged.Store(false)
		return nil
	case codec.TypeDisconnect:
		if version == codec.V5 {
			return disconnected(frame, trace)
		}
	}
	return fmt.Errorf("server sent %s out of place", frame.Type)
}

// receivePublish acknowledges a PUBLISH and hands its message over, with QoS 2
// only once PUBREL comes. The acknowledgement is queued first, so that an
// OnMessage that ends the connection does not have it delivered again.
func (c *Client) receivePublish(frame codec.Frame) error {
	p := new(codec.Publish) // fresh, with a body of its own: the message keeps both
	if err := p.Parse(c.options.Version, frame.Flags, bytes.Clone(frame.Body)); err != nil {
		return err
	}
	topic, err := c.resolve(p)
	if err != nil {
		return err
	}
	m := Message{
		Topic: topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Properties: p.Properties, Dup: p.Dup, PacketID: p.PacketID,
	}
	c.options.Trace.received(codec.TypePublish, p)
	switch m.QoS {
	case codec.QoS1:
		c.acknowledge(codec.TypePuback, m.PacketID, codec.Success)
	case codec.QoS2:
		c.session.hold(m)
		c.acknowledge(codec.TypePubrec, m.PacketID, codec.Success)
		return nil
	}
	c.deliver(m)
	return nil
}

// resolve returns the Topic Name of p and follows its Topic Alias. p.Topic is
// set to it.
func (c *Client) resolve(p *codec.Publish) (string, error) {
	if !p.Properties.Has(codec.PropTopicAlias) {
		return string(p.Topic), nil
	}
	alias := p.Properties.TopicAlias
	if alias > c.options.Properties.TopicAliasMaximum { // [MQTT-3.1.2-26]
		return "", fmt.Errorf("server sent Topic Alias %d, above the maximum of %d", alias, c.options.Properties.TopicAliasMaximum)
	}
	if len(p.Topic) > 0 {
		c.aliases[alias] = string(p.Topic)
	}
	topic, ok := c.aliases[alias]
	if !ok {
		return "", fmt.Errorf("server sent Topic Alias %d before its Topic Name", alias)
	}
	p.Topic = []byte(topic)
	return topic, nil
}

// deliver hands m to the application.
func (c *Client) deliver(m Message) {
	if c.messages == nil {
		c.options.OnMessage(c, m)
		return
	}
	select {
	case c.messages <- m:
	case <-c.done:
	}
}

func (c *Client) receiveAck(t codec.PacketType, p *codec.Ack) error {
	switch t {
	case codec.TypePubrel:
		m, known := c.session.release(p.PacketID)
		if !known {
			c.acknowledge(codec.TypePubcomp, p.PacketID, codec.PacketIdentifierNotFound)
			return nil
		}
		c.acknowledge(codec.TypePubcomp, p.PacketID, codec.Success)
		c.deliver(m)
	case codec.TypePubrec:
		switch {
		case p.Reason >= codec.UnspecifiedError:
			c.finish(p.PacketID, codec.TypePubrec, []codec.ReasonCode{p.Reason})
		case c.advance(p.PacketID):
			c.acknowledge(codec.TypePubrel, p.PacketID, codec.Success)
		default:
			c.acknowledge(codec.TypePubrel, p.PacketID, codec.PacketIdentifierNotFound)
		}
	default:
		c.finish(p.PacketID, t, []codec.ReasonCode{p.Reason})
	}
	return nil
}

// acknowledge queues an acknowledgement. That the connection is going is no
// concern of the reader: it will learn so itself.
func (c *Client) acknowledge(t codec.PacketType, id uint16, reason codec.ReasonCode) {
	p := codec.Ack{PacketID: id, Reason: reason}
	_ = c.out.add(func(dst []byte) []byte {
		c.options.Trace.sent(t, &p)
		return p.Append(dst, t, c.options.Version)
	})
}
