package interop

import (
	"context"
	"slices"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// pahoV5Client is a connection of paho.golang. The stories use it as a client; the
// tests of 5.0 reach into its fields.
type pahoV5Client struct {
	library *paho.Client
	socket  politeConn
	connack *paho.Connack
	box     inbox
	packets chan *paho.Publish // the same messages with their properties
	loss    loss
}

// connectPahoV5 is the flavour. A Session that is kept never expires.
func connectPahoV5(t *testing.T, o connectOptions) client {
	t.Helper()
	packet := &paho.Connect{ClientID: o.id, CleanStart: !o.keep, KeepAlive: 60}
	if o.keep {
		packet.Properties = &paho.ConnectProperties{
			SessionExpiryInterval: pointer(^uint32(0)),
			RequestProblemInfo:    true,
		}
	}
	if o.will != nil {
		packet.WillMessage = &paho.WillMessage{
			Topic: o.will.topic, Payload: o.will.payload, QoS: o.will.qos, Retain: o.will.retain,
		}
	}
	return dialPahoV5(t, packet, func(c *paho.ClientConfig) { c.EnableManualAcknowledgment = o.manualAck })
}

// dialPahoV5 connects with any CONNECT. configure may be nil.
func dialPahoV5(t *testing.T, packet *paho.Connect, configure func(*paho.ClientConfig)) *pahoV5Client {
	t.Helper()
	socket, err := dial(brokerAddr())
	if err != nil {
		t.Fatal(err)
	}
	c := &pahoV5Client{
		socket:  socket,
		box:     newInbox(),
		packets: make(chan *paho.Publish, inboxSize),
		loss:    newLoss(),
	}
	config := paho.ClientConfig{
		Conn:               socket,
		PacketTimeout:      patience,
		OnPublishReceived:  []func(paho.PublishReceived) (bool, error){c.received},
		OnServerDisconnect: func(d *paho.Disconnect) { c.loss.report(int(d.ReasonCode)) },
		OnClientError:      func(error) { c.loss.report(noReason) },
	}
	if configure != nil {
		configure(&config)
	}
	c.library = paho.NewClient(config)
	c.connack, err = c.library.Connect(t.Context(), packet)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() {
		socket.Close()
		<-c.library.Done()
	})
	return c
}

func (c *pahoV5Client) received(p paho.PublishReceived) (bool, error) {
	c.box.put(message{
		topic:   p.Packet.Topic,
		payload: slices.Clone(p.Packet.Payload),
		qos:     p.Packet.QoS,
		retain:  p.Packet.Retain,
		dup:     p.Packet.Duplicate(),
	})
	c.packets <- p.Packet
	return true, nil
}

func (c *pahoV5Client) subscribe(t *testing.T, qos byte, filters ...string) {
	t.Helper()
	packet := &paho.Subscribe{}
	for _, f := range filters {
		packet.Subscriptions = append(packet.Subscriptions, paho.SubscribeOptions{Topic: f, QoS: qos})
	}
	c.subscribePacket(t, packet)
}

// subscribePacket sends any SUBSCRIBE; each filter must be granted what it asks for.
func (c *pahoV5Client) subscribePacket(t *testing.T, packet *paho.Subscribe) {
	t.Helper()
	answer, err := c.library.Subscribe(t.Context(), packet)
	if err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	for i, s := range packet.Subscriptions {
		if answer.Reasons[i] != s.QoS {
			t.Fatalf("subscribe %s: granted %#x, want %#x", s.Topic, answer.Reasons[i], s.QoS)
		}
	}
}

func (c *pahoV5Client) unsubscribe(t *testing.T, filters ...string) {
	t.Helper()
	if _, err := c.library.Unsubscribe(t.Context(), &paho.Unsubscribe{Topics: filters}); err != nil {
		t.Fatalf("unsubscribe: %v", err)
	}
}

func (c *pahoV5Client) publish(t *testing.T, m message) {
	t.Helper()
	c.publishPacket(t, &paho.Publish{Topic: m.topic, Payload: m.payload, QoS: m.qos, Retain: m.retain})
}

func (c *pahoV5Client) attempt(m message) {
	// The outcome is the loss of the connection, which the library reports elsewhere.
	_, _ = c.library.PublishWithOptions(context.Background(),
		&paho.Publish{Topic: m.topic, Payload: m.payload, QoS: m.qos, Retain: m.retain},
		paho.PublishOptions{Method: paho.PublishMethod_AsyncSend})
}

// publishPacket sends any PUBLISH and returns the Reason Code of its acknowledgement.
func (c *pahoV5Client) publishPacket(t *testing.T, packet *paho.Publish) byte {
	t.Helper()
	answer, err := c.library.Publish(t.Context(), packet)
	if err != nil {
		t.Fatalf("publish: %v", err)
	}
	return answer.ReasonCode
}

func (c *pahoV5Client) inbox() inbox         { return c.box }
func (c *pahoV5Client) sessionPresent() bool { return c.connack.SessionPresent }
func (c *pahoV5Client) lost() <-chan int     { return c.loss }

func (c *pahoV5Client) disconnect(t *testing.T) {
	t.Helper()
	if err := c.library.Disconnect(&paho.Disconnect{}); err != nil {
		t.Fatalf("disconnect: %v", err)
	}
}

func (c *pahoV5Client) drop(t *testing.T) { t.Helper(); c.socket.drop(t) }

// pointer is for the optional properties.
func pointer[T any](v T) *T { return &v }
