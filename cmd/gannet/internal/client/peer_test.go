package client

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// peer is a server that does exactly what a test tells it to, at the other end
// of a net.Pipe: what is written is taken only when the other side reads.
type peer struct {
	t       *testing.T
	version codec.Version
	reader  packetReader
}

// dial starts a Client against a new peer, which answers CONNECT with connack.
func dial(t *testing.T, options Options, connack codec.Connack) (*Client, *peer) {
	t.Helper()
	p, connected := startDial(t, context.Background(), options)
	p.expect(codec.TypeConnect)
	p.send(connack.Append(nil, p.version))
	result := <-connected
	if result.err != nil {
		t.Fatalf("dial: %v", result.err)
	}
	t.Cleanup(result.client.Close)
	return result.client, p
}

type dialed struct {
	client *Client
	err    error
}

// startDial begins Dial on a goroutine of its own.
func startDial(t *testing.T, ctx context.Context, options Options) (*peer, <-chan dialed) {
	if options.Version == 0 {
		options.Version = codec.V311
	}
	ours, theirs := net.Pipe()
	t.Cleanup(func() { theirs.Close() })
	options.Dialer = func(context.Context, string) (net.Conn, error) { return ours, nil }
	result := make(chan dialed, 1)
	go func() {
		c, err := Dial(ctx, options)
		result <- dialed{c, err}
	}()
	return &peer{t: t, version: options.Version, reader: packetReader{conn: theirs}}, result
}

func (p *peer) send(packets ...[]byte) {
	p.t.Helper()
	for _, b := range packets {
		if _, err := p.reader.conn.Write(b); err != nil {
			p.t.Fatalf("peer: %v", err)
		}
	}
}

// expect reads one packet, which must be of type want. Its body is valid until
// the next call.
func (p *peer) expect(want codec.PacketType) codec.Frame {
	p.t.Helper()
	frame, err := p.reader.next()
	if err != nil {
		p.t.Fatalf("peer: await %s: %v", want, err)
	}
	if frame.Type != want {
		p.t.Fatalf("peer: got %s, want %s", frame.Type, want)
	}
	return frame
}

// expectAck reads one acknowledgement and compares it with id and reason.
func (p *peer) expectAck(want codec.PacketType, id uint16, reason codec.ReasonCode) {
	p.t.Helper()
	frame := p.expect(want)
	var a codec.Ack
	if err := a.Parse(want, p.version, frame.Flags, frame.Body); err != nil {
		p.t.Fatal(err)
	}
	if a.PacketID != id || a.Reason != reason {
		p.t.Fatalf("peer: %s %d %v, want %d %v", want, a.PacketID, a.Reason, id, reason)
	}
}

// expectPublish reads one PUBLISH.
func (p *peer) expectPublish() codec.Publish {
	p.t.Helper()
	frame := p.expect(codec.TypePublish)
	var m codec.Publish
	if err := m.Parse(p.version, frame.Flags, frame.Body); err != nil {
		p.t.Fatal(err)
	}
	return m
}

func (p *peer) ack(t codec.PacketType, id uint16, reason codec.ReasonCode) []byte {
	a := codec.Ack{PacketID: id, Reason: reason}
	return a.Append(nil, t, p.version)
}

func (p *peer) publish(topic string, qos codec.QoS, id uint16, payload string) []byte {
	m := codec.Publish{Topic: []byte(topic), QoS: qos, PacketID: id, Payload: []byte(payload)}
	return m.Append(nil, p.version)
}

// texts renders messages as "topic payload".
func texts(messages ...Message) []string {
	var out []string
	for _, m := range messages {
		out = append(out, fmt.Sprintf("%s %s", m.Topic, m.Payload))
	}
	return out
}
