package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session"
	"github.com/eclipse/paho.golang/paho/session/state"
	mqtt "github.com/eclipse/paho.mqtt.golang"
	v3 "github.com/eclipse/paho.mqtt.golang/packets"
)

// sender is a library that publishes and keeps the state of its session over connections,
// as a client must for QoS 1 and 2.
type sender interface {
	// connect returns when the library has sent again what was on the way.
	connect(ctx context.Context) (sessionPresent bool, err error)
	// send gives the library a message. kept says that it will get there whatever happens;
	// an error that the connection is of no more use.
	send(topic string, qos byte, retain bool, payload []byte) (kept bool, err error)
	// lost is closed when the present connection has ended and the library rests.
	lost() <-chan struct{}
	// drop closes the connection. lost tells when that is done.
	drop()
}

// publisher publishes its share of a round: three streams, one of them retained.
type publisher struct {
	name    string
	round   *round
	sender  sender
	witness *witness
	window  int
	random  *rand.Rand
}

// plan is one message. The number is given when it is due.
type plan struct {
	topic  string
	qos    byte
	retain bool
}

func (p *publisher) streams() []plan {
	return []plan{
		{"crash/" + p.name + "/q1", 1, false},
		{"crash/" + p.name + "/q2", 2, false},
		{"crash/" + p.name + retainedSuffix, byte(1 + p.random.IntN(2)), true},
	}
}

const retainedSuffix = "/retained"

// run publishes count messages and returns when all are acknowledged to the end.
func (p *publisher) run(ctx context.Context, streams []plan, count int) error {
	numbers := make([]int, len(streams))
	sent := 0
	for first := true; sent < count || p.witness.unsettled(sent) > 0; first = false {
		if err := p.connect(ctx, first, sent); err != nil {
			return err
		}
		for sent < count {
			if p.wait(ctx, func() bool { return p.witness.unsettled(sent) < p.window }) {
				break
			}
			i := p.random.IntN(len(streams))
			s := streams[i]
			kept, err := p.sender.send(s.topic, s.qos, s.retain, p.payload(numbers[i]+1))
			if kept {
				numbers[i]++
				sent++
			}
			if err != nil {
				p.sender.drop()
				break
			}
		}
		p.wait(ctx, func() bool { return sent == count && p.witness.unsettled(sent) == 0 })
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %d of %d sent, %d on the way: %w", p.name, sent, count, p.witness.unsettled(sent), context.Cause(ctx))
		}
	}
	p.sender.drop()
	<-p.sender.lost()
	return nil
}

func (p *publisher) connect(ctx context.Context, first bool, sent int) error {
	present, err := p.round.insist(ctx, p.name, func() (bool, error) { return p.sender.connect(ctx) })
	if err != nil {
		return err
	}
	if !first && !present {
		p.round.ledger.fault(&p.round.ledger.sessions, "%s: the session is gone", p.name)
		if p.witness.level == 5 {
			p.witness.forget(sent)
		}
	}
	return nil
}

// wait returns when condition holds, or true when the connection was lost before.
func (p *publisher) wait(ctx context.Context, condition func() bool) (lost bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	gone := p.sender.lost()
	go func() {
		select {
		case <-gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	return p.round.ledger.until(ctx, condition) != nil
}

// payload is mostly short, sometimes a few KiB.
func (p *publisher) payload(number int) []byte {
	n := p.random.IntN(64)
	if p.random.IntN(20) == 0 {
		n = p.random.IntN(8 << 10)
	}
	return []byte(fmt.Sprintf("%d %s", number, strings.Repeat("x", n)))
}

// pahoV3Sender is paho.mqtt.golang with Clean Session 0, which sends again what is in its
// store: in the order of an ordered store only, and the PUBLISH even where PUBREC has
// come, after which it must not be sent any more [MQTT-4.3.3-1]. So here the PUBREC that
// the tap sees puts the PUBREL into the store in its place.
type pahoV3Sender struct {
	client  mqtt.Client
	store   mqtt.Store
	broker  *broker
	witness *witness
	ctx     context.Context
	conn    net.Conn // under the tap
	gone    chan struct{}
}

// handOver is how long paho.mqtt.golang's Publish waits for a writer that may have ended
// with the connection. The message is in its store by then.
const handOver = 300 * time.Millisecond

func newPahoV3Sender(b *broker, clientID string, w *witness) *pahoV3Sender {
	s := &pahoV3Sender{broker: b, witness: w, store: mqtt.NewOrderedMemoryStore()}
	w.onPubrec = func(id uint16) {
		p := v3.NewControlPacket(v3.Pubrel).(*v3.PubrelPacket)
		p.MessageID = id
		s.store.Put(fmt.Sprintf("o.%d", id), p)
	}
	s.client = mqtt.NewClient(mqtt.NewClientOptions().
		AddBroker("tcp://broker").
		SetProtocolVersion(4).
		SetClientID(clientID).
		SetCleanSession(false).
		SetAutoReconnect(false).
		SetStore(s.store).
		SetWriteTimeout(handOver).
		SetConnectTimeout(patience).
		SetConnectionLostHandler(func(mqtt.Client, error) { close(s.gone) }).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
			var err error
			if s.conn, err = s.broker.dial(s.ctx); err != nil {
				return nil, err
			}
			return s.witness.tap(s.conn), nil
		}))
	return s
}

func (s *pahoV3Sender) connect(ctx context.Context) (bool, error) {
	s.ctx, s.gone = ctx, make(chan struct{})
	token := s.client.Connect().(*mqtt.ConnectToken)
	token.Wait()
	return token.SessionPresent(), token.Error()
}

func (s *pahoV3Sender) send(topic string, qos byte, retain bool, payload []byte) (bool, error) {
	token := s.client.Publish(topic, qos, retain, payload)
	select {
	case <-token.Done():
		// An error this early is either ErrNotConnected, before the message was stored, or
		// the time-out of the hand-over, after. Acknowledged already is no error.
		err := token.Error()
		return !errors.Is(err, mqtt.ErrNotConnected), err
	default:
		return true, nil
	}
}

func (s *pahoV3Sender) lost() <-chan struct{} { return s.gone }
func (s *pahoV3Sender) drop()                 { hangUp(s.conn) }

// pahoV5Sender is paho.golang: a client for each connection, and one session state for
// all of them.
type pahoV5Sender struct {
	clientID string
	broker   *broker
	tap      func(net.Conn) net.Conn
	session  *state.State
	client   *paho.Client
	conn     net.Conn
}

func newPahoV5Sender(b *broker, clientID string, w *witness) *pahoV5Sender {
	return &pahoV5Sender{clientID: clientID, broker: b, tap: w.tap, session: state.NewInMemory()}
}

func (s *pahoV5Sender) connect(ctx context.Context) (bool, error) {
	c, err := s.broker.dial(ctx)
	if err != nil {
		return false, err
	}
	s.conn = packets.NewThreadSafeConn(s.tap(c))
	s.client = paho.NewClient(paho.ClientConfig{
		Conn:               s.conn,
		Session:            pahoV5State{s.session},
		PacketTimeout:      patience,
		OnServerDisconnect: func(*paho.Disconnect) {},
		OnClientError:      func(error) {},
	})
	return connectPahoV5(ctx, s.client, s.clientID)
}

// connectPahoV5 resumes the session of clientID, which never expires.
func connectPahoV5(ctx context.Context, c *paho.Client, clientID string) (bool, error) {
	expiry := forever
	connack, err := c.Connect(ctx, &paho.Connect{
		ClientID: clientID, KeepAlive: 300,
		Properties: &paho.ConnectProperties{SessionExpiryInterval: &expiry, RequestProblemInfo: true},
	})
	if err != nil {
		return false, err
	}
	return connack.SessionPresent, nil
}

func (s *pahoV5Sender) send(topic string, qos byte, retain bool, payload []byte) (bool, error) {
	_, err := s.client.PublishWithOptions(context.Background(),
		&paho.Publish{Topic: topic, QoS: qos, Retain: retain, Payload: payload},
		paho.PublishOptions{Method: paho.PublishMethod_AsyncSend})
	if err != nil && !errors.Is(err, paho.ErrNetworkErrorAfterStored) && !errors.Is(err, session.ErrNoConnection) {
		err = fmt.Errorf("publish: %w", err)
	}
	return err == nil || errors.Is(err, paho.ErrNetworkErrorAfterStored), err
}

func (s *pahoV5Sender) lost() <-chan struct{} { return s.client.Done() }
func (s *pahoV5Sender) drop()                 { s.conn.Close() }
