package client

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// packetReader cuts packets from a network connection.
type packetReader struct {
	conn net.Conn
	max  uint32 // bytes of a packet; 0: the protocol's maximum
	// buffer[start:] are bytes received and not yet consumed.
	buffer []byte
	start  int
}

const readSize = 16 << 10

// next returns the next packet. Its body is valid until the following call.
func (r *packetReader) next() (codec.Frame, error) {
	for {
		frame, need, err := codec.Next(r.buffer[r.start:], r.max)
		if err != nil {
			return frame, err
		}
		if frame.Size > 0 {
			r.start += frame.Size
			return frame, nil
		}
		if err := r.fill(need); err != nil {
			return frame, err
		}
	}
}

// fill reads once, after making room for a packet of need bytes.
func (r *packetReader) fill(need int) error {
	left := copy(r.buffer, r.buffer[r.start:])
	r.buffer, r.start = r.buffer[:left], 0
	if room := max(need, left+readSize); cap(r.buffer) < room {
		r.buffer = append(make([]byte, 0, room), r.buffer...)
	}
	n, err := r.conn.Read(r.buffer[left:cap(r.buffer)])
	r.buffer = r.buffer[:left+n]
	if n > 0 {
		return nil
	}
	if err == io.EOF && left > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// handshake is the exchange from CONNECT to CONNACK.
type handshake struct {
	options *Options
	reader  packetReader
}

// run sends CONNECT and returns what CONNACK says.
func (h *handshake) run() (Accepted, error) {
	o := h.options
	connect, err := h.connect()
	if err != nil {
		return Accepted{}, err
	}
	if o.Properties.Has(codec.PropMaximumPacketSize) {
		h.reader.max = o.Properties.MaximumPacketSize
	}
	o.Trace.sent(codec.TypeConnect, connect)
	if _, err := h.reader.conn.Write(connect.Append(nil, o.Version)); err != nil {
		return Accepted{}, fmt.Errorf("send CONNECT: %w", err)
	}
	for {
		frame, err := h.reader.next()
		if err != nil {
			return Accepted{}, fmt.Errorf("await CONNACK: %w", err)
		}
		switch {
		case frame.Type == codec.TypeConnack:
			return h.connack(frame)
		case frame.Type == codec.TypeAuth && o.Authenticator != nil:
			err = h.auth(frame)
		case frame.Type == codec.TypeDisconnect && o.Version == codec.V5:
			err = disconnected(frame, &o.Trace)
		default:
			err = fmt.Errorf("await CONNACK: server sent %s", frame.Type)
		}
		if err != nil {
			return Accepted{}, err
		}
	}
}

// connect builds the CONNECT packet.
func (h *handshake) connect() (*codec.Connect, error) {
	o := h.options
	p := &codec.Connect{
		Version:     o.Version,
		CleanStart:  !o.Resume,
		KeepAlive:   uint16(min(max(o.KeepAlive/time.Second, 0), math.MaxUint16)),
		ClientID:    []byte(o.ClientID),
		HasUserName: o.UserName != "",
		UserName:    []byte(o.UserName),
		HasPassword: o.Password != nil,
		Password:    o.Password,
	}
	if p.HasPassword && !p.HasUserName && o.Version != codec.V5 {
		return nil, errors.New("password without user name: needs MQTT 5.0") // [MQTT-3.1.2-22]
	}
	if o.Version == codec.V5 {
		p.Properties = o.Properties
	}
	if w := o.Will; w != nil {
		p.HasWill = true
		p.WillTopic, p.WillPayload = []byte(w.Topic), w.Payload
		p.WillQoS, p.WillRetain = w.QoS, w.Retain
		if o.Version == codec.V5 {
			p.WillProperties = w.Properties
			if o.WillDelay != 0 {
				p.WillProperties.WillDelayInterval = o.WillDelay
				p.WillProperties.Set(codec.PropWillDelayInterval)
			}
		}
	}
	if o.Authenticator == nil {
		return p, nil
	}
	if o.Version != codec.V5 {
		return nil, errors.New("enhanced authentication: needs MQTT 5.0")
	}
	data, err := o.Authenticator.First()
	if err != nil {
		return nil, fmt.Errorf("authentication: %w", err)
	}
	setAuthentication(&p.Properties, o.Authenticator.Method(), data)
	return p, nil
}

func setAuthentication(p *codec.Properties, method string, data []byte) {
	p.AuthenticationMethod = []byte(method)
	p.Set(codec.PropAuthenticationMethod)
	if data != nil {
		p.AuthenticationData = data
		p.Set(codec.PropAuthenticationData)
	}
}

// auth answers one AUTH packet.
func (h *handshake) auth(frame codec.Frame) error {
	o := h.options
	var received codec.Auth
	if err := received.Parse(o.Version, frame.Flags, frame.Body); err != nil {
		return err
	}
	o.Trace.received(codec.TypeAuth, &received)
	data, err := o.Authenticator.Answer(received.Properties.AuthenticationData)
	if err != nil {
		return fmt.Errorf("authentication: %w", err)
	}
	answer := codec.Auth{Reason: codec.ContinueAuthentication}
	setAuthentication(&answer.Properties, o.Authenticator.Method(), data)
	o.Trace.sent(codec.TypeAuth, &answer)
	if _, err := h.reader.conn.Write(answer.Append(nil, o.Version)); err != nil {
		return fmt.Errorf("send AUTH: %w", err)
	}
	return nil
}

// connack judges the server's answer. The packet is copied out of the read
// buffer, because Accepted outlives it.
func (h *handshake) connack(frame codec.Frame) (Accepted, error) {
	o := h.options
	var p codec.Connack
	if err := p.Parse(o.Version, frame.Flags, append([]byte(nil), frame.Body...)); err != nil {
		return Accepted{}, err
	}
	o.Trace.received(codec.TypeConnack, &p)
	if p.Return != codec.Accepted || p.Reason >= codec.UnspecifiedError {
		return Accepted{}, &RefusedError{
			Version: o.Version, Reason: p.Reason, Return: p.Return, ReasonString: string(p.Properties.ReasonString),
		}
	}
	if o.Authenticator != nil {
		if err := o.Authenticator.Verify(p.Properties.AuthenticationData); err != nil {
			return Accepted{}, fmt.Errorf("authentication of the server: %w", err)
		}
	}
	return accept(o, &p), nil
}

// accept fills in the specification's defaults for what the server left out.
func accept(o *Options, p *codec.Connack) Accepted {
	a := Accepted{
		SessionPresent:  p.SessionPresent,
		ClientID:        o.ClientID,
		KeepAlive:       o.KeepAlive.Truncate(time.Second),
		ReceiveMaximum:  math.MaxUint16,
		MaximumQoS:      codec.QoS2,
		RetainAvailable: !p.Properties.Has(codec.PropRetainAvailable) || p.Properties.RetainAvailable == 1,
		Properties:      p.Properties,
	}
	has := p.Properties.Has
	if has(codec.PropAssignedClientIdentifier) {
		a.ClientID = string(p.Properties.AssignedClientIdentifier)
	}
	if has(codec.PropServerKeepAlive) { // [MQTT-3.1.2-21]
		a.KeepAlive = time.Duration(p.Properties.ServerKeepAlive) * time.Second
	}
	if has(codec.PropReceiveMaximum) {
		a.ReceiveMaximum = p.Properties.ReceiveMaximum
	}
	if has(codec.PropMaximumPacketSize) {
		a.MaximumPacketSize = p.Properties.MaximumPacketSize
	}
	if has(codec.PropTopicAliasMaximum) {
		a.TopicAliasMaximum = p.Properties.TopicAliasMaximum
	}
	if has(codec.PropMaximumQoS) {
		a.MaximumQoS = codec.QoS(p.Properties.MaximumQoS)
	}
	return a
}

// disconnected turns the server's DISCONNECT into an error.
func disconnected(frame codec.Frame, trace *Trace) error {
	var p codec.Disconnect
	if err := p.Parse(codec.V5, frame.Flags, frame.Body); err != nil {
		return err
	}
	trace.received(codec.TypeDisconnect, &p)
	return &DisconnectedError{Reason: p.Reason, ReasonString: string(p.Properties.ReasonString)}
}
