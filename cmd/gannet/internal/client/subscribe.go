package client

import (
	"context"

	"github.com/gannetmq/gannet/codec"
)

// Subscribe sends one SUBSCRIBE and returns SUBACK's Reason Codes, one for each
// Subscription in order: the QoS granted, or 0x80 and above for a refusal.
func (c *Client) Subscribe(ctx context.Context, subscriptions ...Subscription) ([]codec.ReasonCode, error) {
	return c.SubscribeWith(ctx, codec.Properties{}, subscriptions...)
}

// SubscribeWith is Subscribe with properties (5.0).
func (c *Client) SubscribeWith(ctx context.Context, properties codec.Properties, subscriptions ...Subscription) ([]codec.ReasonCode, error) {
	packet := codec.Subscribe{}
	if c.options.Version == codec.V5 {
		packet.Properties = properties
	}
	for _, s := range subscriptions {
		packet.Filters = append(packet.Filters, codec.Subscription{
			Filter: []byte(s.Filter), QoS: s.QoS, NoLocal: s.NoLocal,
			RetainAsPublished: s.RetainAsPublished, RetainHandling: s.RetainHandling,
		})
	}
	return c.ask(ctx, codec.TypeSuback, func(dst []byte, id uint16) []byte {
		packet.PacketID = id
		c.options.Trace.sent(codec.TypeSubscribe, &packet)
		return packet.Append(dst, c.options.Version)
	})
}

// Unsubscribe sends one UNSUBSCRIBE and returns UNSUBACK's Reason Codes, none
// with 3.x.
func (c *Client) Unsubscribe(ctx context.Context, filters ...string) ([]codec.ReasonCode, error) {
	return c.UnsubscribeWith(ctx, codec.Properties{}, filters...)
}

// UnsubscribeWith is Unsubscribe with properties (5.0).
func (c *Client) UnsubscribeWith(ctx context.Context, properties codec.Properties, filters ...string) ([]codec.ReasonCode, error) {
	packet := codec.Unsubscribe{}
	if c.options.Version == codec.V5 {
		packet.Properties = properties
	}
	for _, f := range filters {
		packet.Filters = append(packet.Filters, []byte(f))
	}
	return c.ask(ctx, codec.TypeUnsuback, func(dst []byte, id uint16) []byte {
		packet.PacketID = id
		c.options.Trace.sent(codec.TypeUnsubscribe, &packet)
		return packet.Append(dst, c.options.Version)
	})
}

// ask sends a packet under a new Packet Identifier and waits for its answer.
func (c *Client) ask(ctx context.Context, answer codec.PacketType, encode func(dst []byte, id uint16) []byte) ([]codec.ReasonCode, error) {
	p := newPending(answer)
	err := c.await(p, func(id uint16) error {
		return c.out.addWaiting(ctx, func(dst []byte) []byte { return encode(dst, id) })
	})
	if err != nil {
		return nil, err
	}
	return p.wait(ctx)
}
