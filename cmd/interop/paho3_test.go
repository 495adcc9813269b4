package interop

import (
	"net"
	"net/url"
	"slices"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// pahoV3Client is a connection of paho.mqtt.golang.
type pahoV3Client struct {
	library mqtt.Client
	socket  politeConn
	box     inbox
	loss    loss
	present bool
}

// pahoV3 connects with Protocol Level 3 or 4.
func pahoV3(level uint) func(t *testing.T, o connectOptions) client {
	return func(t *testing.T, o connectOptions) client {
		t.Helper()
		c := &pahoV3Client{box: newInbox(), loss: newLoss()}
		options := mqtt.NewClientOptions().
			AddBroker("tcp://" + brokerAddr()).
			SetProtocolVersion(level).
			SetClientID(o.id).
			SetCleanSession(!o.keep).
			SetOrderMatters(true).
			SetAutoReconnect(false).
			SetConnectTimeout(patience).
			SetAutoAckDisabled(o.manualAck).
			SetDefaultPublishHandler(c.received).
			SetConnectionLostHandler(func(mqtt.Client, error) { c.loss.report(noReason) }).
			SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
				var err error
				c.socket, err = dial(u.Host)
				return c.socket, err
			})
		if o.will != nil {
			options.SetBinaryWill(o.will.topic, o.will.payload, o.will.qos, o.will.retain)
		}
		c.library = mqtt.NewClient(options)
		token := c.library.Connect()
		c.finish(t, token, "connect")
		c.present = token.(*mqtt.ConnectToken).SessionPresent()
		t.Cleanup(func() { c.library.Disconnect(0) })
		return c
	}
}

func (c *pahoV3Client) received(_ mqtt.Client, m mqtt.Message) {
	c.box.put(message{
		topic:   m.Topic(),
		payload: slices.Clone(m.Payload()),
		qos:     m.Qos(),
		retain:  m.Retained(),
		dup:     m.Duplicate(),
	})
}

// finish waits until the exchange behind token is complete.
func (c *pahoV3Client) finish(t *testing.T, token mqtt.Token, what string) {
	t.Helper()
	if !token.WaitTimeout(patience) {
		t.Fatalf("%s: no answer", what)
	}
	if err := token.Error(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func (c *pahoV3Client) subscribe(t *testing.T, qos byte, filters ...string) {
	t.Helper()
	wanted := make(map[string]byte, len(filters))
	for _, f := range filters {
		wanted[f] = qos
	}
	// No handler of its own: what matches goes to the default handler, as it does
	// after a resumed Session, where the library knows of no subscription.
	token := c.library.SubscribeMultiple(wanted, nil)
	c.finish(t, token, "subscribe")
	for filter, granted := range token.(*mqtt.SubscribeToken).Result() {
		if granted != qos {
			t.Fatalf("subscribe %s: granted %#x, want %#x", filter, granted, qos)
		}
	}
}

func (c *pahoV3Client) unsubscribe(t *testing.T, filters ...string) {
	t.Helper()
	c.finish(t, c.library.Unsubscribe(filters...), "unsubscribe")
}

func (c *pahoV3Client) publish(t *testing.T, m message) {
	t.Helper()
	c.finish(t, c.library.Publish(m.topic, m.qos, m.retain, m.payload), "publish")
}

func (c *pahoV3Client) attempt(m message) {
	c.library.Publish(m.topic, m.qos, m.retain, m.payload)
}

func (c *pahoV3Client) inbox() inbox          { return c.box }
func (c *pahoV3Client) sessionPresent() bool  { return c.present }
func (c *pahoV3Client) lost() <-chan int      { return c.loss }
func (c *pahoV3Client) disconnect(*testing.T) { c.library.Disconnect(250) }
func (c *pahoV3Client) drop(t *testing.T)     { t.Helper(); c.socket.drop(t) }
