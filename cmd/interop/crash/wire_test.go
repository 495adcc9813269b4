package crash

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/eclipse/paho.golang/packets"
)

// wire is an MQTT 5.0 connection on the packets of paho.golang, with none of its client:
// what is sent and what is kept is decided here, by the letter of the specification. For
// one goroutine; close may be called by another.
type wire struct {
	conn   net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	lastID uint16
	early  []*packets.Publish // came while an acknowledgement was awaited
}

const forever = ^uint32(0)

// openWire connects. A session that is kept never expires. The end of ctx closes the
// connection.
func openWire(ctx context.Context, b *broker, clientID string, keep bool) (*wire, *packets.Connack, error) {
	return openWireFor(ctx, b, clientID, keep, 0)
}

// openWireFor is openWire with a Receive Maximum; 0 leaves it out.
func openWireFor(ctx context.Context, b *broker, clientID string, keep bool, receiveMaximum uint16) (*wire, *packets.Connack, error) {
	conn, err := b.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	w := &wire{conn: conn, in: bufio.NewReader(conn), out: bufio.NewWriter(conn)}
	context.AfterFunc(ctx, func() { conn.Close() })
	connack, err := w.handshake(clientID, keep, receiveMaximum)
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("connect %s: %w", clientID, err)
	}
	return w, connack, nil
}

func (w *wire) handshake(clientID string, keep bool, receiveMaximum uint16) (*packets.Connack, error) {
	connect := &packets.Connect{
		ProtocolName: "MQTT", ProtocolVersion: 5, Properties: &packets.Properties{},
		ClientID: clientID, CleanStart: !keep, KeepAlive: 300,
	}
	if keep {
		expiry := forever
		connect.Properties.SessionExpiryInterval = &expiry
	}
	if receiveMaximum > 0 {
		connect.Properties.ReceiveMaximum = &receiveMaximum
	}
	if err := w.send(connect); err != nil {
		return nil, err
	}
	p, err := w.receive()
	if err != nil {
		return nil, err
	}
	connack, ok := p.Content.(*packets.Connack)
	switch {
	case !ok:
		return nil, fmt.Errorf("%s instead of CONNACK", p.PacketType())
	case connack.ReasonCode != 0:
		return nil, fmt.Errorf("CONNACK: %w", refused(connack.ReasonCode))
	}
	return connack, nil
}

// queue writes a packet that goes out with the next send.
func (w *wire) queue(p io.WriterTo) error {
	_, err := p.WriteTo(w.out)
	return err
}

func (w *wire) send(p io.WriterTo) error {
	if err := w.queue(p); err != nil {
		return err
	}
	return w.out.Flush()
}

// receive is the next packet, whatever it is.
func (w *wire) receive() (*packets.ControlPacket, error) {
	p, err := packets.ReadPacket(w.in)
	if err != nil {
		return nil, err
	}
	if d, ok := p.Content.(*packets.Disconnect); ok {
		return nil, disconnected(d.ReasonCode)
	}
	return p, nil
}

// disconnected is the reason code of a DISCONNECT from the server.
type disconnected byte

func (d disconnected) Error() string { return fmt.Sprintf("disconnected with %#x", byte(d)) }

// refused is the reason code of an acknowledgement that refuses.
type refused byte

func (r refused) Error() string { return fmt.Sprintf("refused with %#x", byte(r)) }

func (w *wire) nextID() uint16 {
	w.lastID++
	return w.lastID
}

// await reads up to the packet of this type and identifier. Messages on the way are kept
// for next.
func (w *wire) await(kind byte, id uint16) (*packets.ControlPacket, error) {
	for {
		p, err := w.receive()
		if err != nil {
			return nil, err
		}
		if m, ok := p.Content.(*packets.Publish); ok {
			w.early = append(w.early, m)
			continue
		}
		if p.Type == kind && p.PacketID() == id {
			return p, nil
		}
	}
}

func (w *wire) subscribe(qos byte, filters ...string) error {
	s := &packets.Subscribe{PacketID: w.nextID(), Properties: &packets.Properties{}}
	for _, f := range filters {
		s.Subscriptions = append(s.Subscriptions, packets.SubOptions{Topic: f, QoS: qos})
	}
	if err := w.send(s); err != nil {
		return err
	}
	p, err := w.await(packets.SUBACK, s.PacketID)
	if err != nil {
		return err
	}
	for _, granted := range p.Content.(*packets.Suback).Reasons {
		if granted != qos {
			return fmt.Errorf("subscribe %v: %w", filters, refused(granted))
		}
	}
	return nil
}

func (w *wire) unsubscribe(filters ...string) error {
	u := &packets.Unsubscribe{PacketID: w.nextID(), Properties: &packets.Properties{}, Topics: filters}
	if err := w.send(u); err != nil {
		return err
	}
	_, err := w.await(packets.UNSUBACK, u.PacketID)
	return err
}

// publish sends a message of QoS 0 or 1 and waits for the PUBACK.
func (w *wire) publish(topic string, qos byte, retain bool, payload []byte) error {
	m := &packets.Publish{Topic: topic, QoS: qos, Retain: retain, Payload: payload, Properties: &packets.Properties{}}
	if qos > 0 {
		m.PacketID = w.nextID()
	}
	if err := w.send(m); err != nil || qos == 0 {
		return err
	}
	p, err := w.await(packets.PUBACK, m.PacketID)
	if err != nil {
		return err
	}
	if code := p.Content.(*packets.Puback).ReasonCode; code >= 0x80 {
		return refused(code)
	}
	return nil
}

// next is the next message, acknowledged when its QoS is 1. It does not do for QoS 2.
func (w *wire) next() (*packets.Publish, error) {
	for {
		if len(w.early) > 0 {
			m := w.early[0]
			w.early = w.early[1:]
			return m, w.acknowledge(m)
		}
		p, err := w.receive()
		if err != nil {
			return nil, err
		}
		if m, ok := p.Content.(*packets.Publish); ok {
			w.early = append(w.early, m)
		}
	}
}

func (w *wire) acknowledge(m *packets.Publish) error {
	if m.QoS == 0 {
		return nil
	}
	return w.send(&packets.Puback{PacketID: m.PacketID, Properties: &packets.Properties{}})
}

func (w *wire) disconnect() error {
	err := w.send(&packets.Disconnect{Properties: &packets.Properties{}})
	return errors.Join(err, w.conn.Close())
}

func (w *wire) close() { w.conn.Close() }
