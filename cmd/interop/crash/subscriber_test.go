package crash

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"sync/atomic"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// receiver is a client that subscribes, in one session over many connections. It passes
// each message on before it acknowledges it.
type receiver interface {
	connect(ctx context.Context) (sessionPresent bool, err error)
	subscribe(ctx context.Context, qos byte, filters ...string) error
	// lost is closed when the present connection has ended and the client rests.
	lost() <-chan struct{}
	// leave ends the connection, with a DISCONNECT where orderly.
	leave(orderly bool)
}

// application is what a receiver passes a message to.
type application func(topic string, payload []byte, qos byte)

// subscriber is one member of the audience of a round. One that is restless goes away
// after some messages and comes back after the publishers have gone on without it.
type subscriber struct {
	name     string
	round    *round
	account  *account
	receiver receiver
	qos      byte
	filters  []string
	restless bool
	random   *rand.Rand

	enough atomic.Int64  // deliveries to go until it leaves
	leave  chan struct{} // holds one when it shall leave
}

// received is the application.
func (s *subscriber) received(topic string, payload []byte, qos byte) {
	s.round.ledger.delivered(s.account, s.name, topic, payload, qos)
	if !s.restless || s.round.published.Load() || s.enough.Add(-1) != 0 {
		return
	}
	select {
	case s.leave <- struct{}{}:
	default:
	}
}

// enrol connects and subscribes for the first time.
func (s *subscriber) enrol(ctx context.Context) error {
	if _, err := s.round.insist(ctx, s.name, func() (bool, error) { return s.receiver.connect(ctx) }); err != nil {
		return err
	}
	return s.receiver.subscribe(ctx, s.qos, s.filters...)
}

// run keeps an enrolled subscriber connected, but for its own absences, until ctx ends.
func (s *subscriber) run(ctx context.Context) error {
	for {
		s.enough.Store(int64(20 + s.random.IntN(150)))
		select {
		case <-s.receiver.lost():
		case <-s.leave:
			s.receiver.leave(s.random.IntN(2) == 0)
			<-s.receiver.lost()
			s.stayAway(ctx)
		case <-ctx.Done():
			s.receiver.leave(false)
			<-s.receiver.lost()
			return nil
		}
		present, err := s.round.insist(ctx, s.name, func() (bool, error) { return s.receiver.connect(ctx) })
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case !present:
			s.round.ledger.fault(&s.round.ledger.sessions, "%s: the session is gone", s.name)
			// A subscription that fails now does so because its connection does.
			_ = s.receiver.subscribe(ctx, s.qos, s.filters...)
		}
	}
}

// stayAway waits until the publishers have had some more messages acknowledged, or all.
func (s *subscriber) stayAway(ctx context.Context) {
	l := s.round.ledger
	until := l.count(acked) + 20 + s.random.IntN(150)
	_ = l.until(ctx, func() bool { return l.events[acked] >= until || s.round.published.Load() })
}

// exactReceiver is written on the packets of paho.golang alone, so that nobody's library
// stands between the broker and the count of QoS 2 messages. It does what the
// specification asks of a receiver of QoS 2 [MQTT-4.3.3-9] and no more: a PUBLISH whose
// Packet Identifier waits for its PUBREL is answered and not passed on, PUBREL ends that,
// and the identifiers are kept for as long as the session.
type exactReceiver struct {
	clientID string
	broker   *broker
	pass     application
	window   uint16 // Receive Maximum

	wire    *wire
	gone    chan struct{}
	unacked map[uint16]bool // packet identifiers between PUBREC and PUBREL
	granted chan []byte
}

func newExactReceiver(b *broker, clientID string, window uint16, pass application) *exactReceiver {
	return &exactReceiver{clientID: clientID, broker: b, pass: pass, window: window, unacked: map[uint16]bool{}, granted: make(chan []byte, 1)}
}

func (r *exactReceiver) connect(ctx context.Context) (bool, error) {
	w, connack, err := openWireFor(ctx, r.broker, r.clientID, true, r.window)
	if err != nil {
		return false, err
	}
	if !connack.SessionPresent {
		clear(r.unacked)
	}
	r.wire, r.gone = w, make(chan struct{})
	go func() {
		defer close(r.gone)
		defer w.close()
		for r.step() == nil {
		}
	}()
	return connack.SessionPresent, nil
}

// step answers one packet. Answers leave when no more packets wait to be read, so that a
// crash finds several on the way.
func (r *exactReceiver) step() error {
	p, err := r.wire.receive()
	if err != nil {
		return err
	}
	switch m := p.Content.(type) {
	case *packets.Publish:
		err = r.publish(m)
	case *packets.Pubrel:
		delete(r.unacked, m.PacketID)
		err = r.wire.queue(&packets.Pubcomp{PacketID: m.PacketID, Properties: &packets.Properties{}})
	case *packets.Suback:
		r.granted <- m.Reasons
	}
	if err == nil && r.wire.in.Buffered() == 0 {
		err = r.wire.out.Flush()
	}
	return err
}

func (r *exactReceiver) publish(m *packets.Publish) error {
	if m.QoS < 2 || !r.unacked[m.PacketID] {
		r.pass(m.Topic, slices.Clone(m.Payload), m.QoS)
	}
	switch m.QoS {
	case 1:
		return r.wire.queue(&packets.Puback{PacketID: m.PacketID, Properties: &packets.Properties{}})
	case 2:
		r.unacked[m.PacketID] = true
		return r.wire.queue(&packets.Pubrec{PacketID: m.PacketID, Properties: &packets.Properties{}})
	}
	return nil
}

func (r *exactReceiver) subscribe(ctx context.Context, qos byte, filters ...string) error {
	s := &packets.Subscribe{PacketID: r.wire.nextID(), Properties: &packets.Properties{}}
	for _, f := range filters {
		s.Subscriptions = append(s.Subscriptions, packets.SubOptions{Topic: f, QoS: qos})
	}
	// No buffer: the goroutine of connect owns it.
	if _, err := s.WriteTo(r.wire.conn); err != nil {
		return err
	}
	select {
	case granted := <-r.granted:
		return allGranted(granted, qos)
	case <-r.gone:
		return errConnectionLost
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errConnectionLost = errors.New("connection lost")

func allGranted(granted []byte, qos byte) error {
	for _, g := range granted {
		if g != qos {
			return refused(g)
		}
	}
	return nil
}

func (r *exactReceiver) lost() <-chan struct{} { return r.gone }

func (r *exactReceiver) leave(orderly bool) {
	if orderly {
		// Whether it arrives makes no difference to the session.
		_, _ = (&packets.Disconnect{Properties: &packets.Properties{}}).WriteTo(r.wire.conn)
	}
	r.wire.close()
}

// pahoV3Receiver is paho.mqtt.golang. It passes a QoS 2 message on each time that it is
// sent, so it subscribes with QoS 1.
type pahoV3Receiver struct {
	client mqtt.Client
	broker *broker
	ctx    context.Context
	conn   net.Conn
	gone   chan struct{}
}

func newPahoV3Receiver(b *broker, clientID string, pass application) *pahoV3Receiver {
	r := &pahoV3Receiver{broker: b}
	r.client = mqtt.NewClient(mqtt.NewClientOptions().
		AddBroker("tcp://broker").
		SetProtocolVersion(4).
		SetClientID(clientID).
		SetCleanSession(false).
		SetOrderMatters(true).
		SetAutoReconnect(false).
		SetConnectTimeout(patience).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			pass(m.Topic(), slices.Clone(m.Payload()), m.Qos())
		}).
		SetConnectionLostHandler(func(mqtt.Client, error) { close(r.gone) }).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
			var err error
			r.conn, err = r.broker.dial(r.ctx)
			return r.conn, err
		}))
	return r
}

func (r *pahoV3Receiver) connect(ctx context.Context) (bool, error) {
	r.ctx, r.gone = ctx, make(chan struct{})
	token := r.client.Connect().(*mqtt.ConnectToken)
	token.Wait()
	return token.SessionPresent(), token.Error()
}

func (r *pahoV3Receiver) subscribe(ctx context.Context, qos byte, filters ...string) error {
	wanted := map[string]byte{}
	for _, f := range filters {
		wanted[f] = qos
	}
	token := r.client.SubscribeMultiple(wanted, nil).(*mqtt.SubscribeToken)
	select {
	case <-token.Done():
	case <-r.gone:
		return errConnectionLost
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if token.Error() != nil {
		return token.Error()
	}
	for _, granted := range token.Result() {
		if granted != qos {
			return refused(granted)
		}
	}
	return nil
}

func (r *pahoV3Receiver) lost() <-chan struct{} { return r.gone }

// leave always breaks the connection: after an orderly end the library tells nobody when
// it rests.
func (r *pahoV3Receiver) leave(bool) { hangUp(r.conn) }

// pahoV5Receiver is paho.golang. Its session state remembers the Packet Identifiers
// between PUBREC and PUBREL over connections and does not pass their messages on again,
// provided that they come with DUP, as [MQTT-3.3.1-1] demands, and that the next
// connection waits until the last one's messages are through, as lost does. So it is a
// fair witness for QoS 2 too.
type pahoV5Receiver struct {
	clientID string
	broker   *broker
	pass     application
	session  *state.State
	client   *paho.Client
	conn     net.Conn
}

func newPahoV5Receiver(b *broker, clientID string, pass application) *pahoV5Receiver {
	return &pahoV5Receiver{clientID: clientID, broker: b, pass: pass, session: state.NewInMemory()}
}

func (r *pahoV5Receiver) connect(ctx context.Context) (bool, error) {
	c, err := r.broker.dial(ctx)
	if err != nil {
		return false, err
	}
	r.conn = packets.NewThreadSafeConn(c)
	r.client = paho.NewClient(paho.ClientConfig{
		Conn:          r.conn,
		Session:       pahoV5State{r.session},
		PacketTimeout: patience,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			r.pass(p.Packet.Topic, slices.Clone(p.Packet.Payload), p.Packet.QoS)
			return true, nil
		}},
		OnServerDisconnect: func(*paho.Disconnect) {},
		OnClientError:      func(error) {},
	})
	return connectPahoV5(ctx, r.client, r.clientID)
}

func (r *pahoV5Receiver) subscribe(ctx context.Context, qos byte, filters ...string) error {
	s := &paho.Subscribe{}
	for _, f := range filters {
		s.Subscriptions = append(s.Subscriptions, paho.SubscribeOptions{Topic: f, QoS: qos})
	}
	answer, err := r.client.Subscribe(ctx, s)
	if err != nil {
		return err
	}
	return allGranted(answer.Reasons, qos)
}

func (r *pahoV5Receiver) lost() <-chan struct{} { return r.client.Done() }

func (r *pahoV5Receiver) leave(orderly bool) {
	if orderly {
		_ = r.client.Disconnect(&paho.Disconnect{})
	}
	r.conn.Close()
}
