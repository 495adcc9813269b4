package engine

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/broker"
)

// fileOf returns a descriptor from which b can be read.
func fileOf(t *testing.T, b []byte) *os.File {
	name := filepath.Join(t.TempDir(), "socket")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestRestOfALargePacketIsReadToWhereItBelongs(t *testing.T) {
	full := make([]byte, readBufferBytes)
	arrived := make([]byte, 3*readOnBytes)
	for i := range arrived {
		arrived[i] = byte(i / 251)
	}
	for _, c := range []struct {
		name             string
		read             []byte // by the reactor
		missing, arrived int
		want             int
	}{
		{"all has arrived", full, 300_000, 400_000, 300_000},
		{"a part has", full, 300_000, 100_000, 100_000},
		{"nothing has", full, 300_000, 0, 0},
		{"not more than others can wait for", full, 2 * readOnBytes, 3 * readOnBytes, readOnBytes},
		{"nothing is missing", full, 0, 1000, 0},
		{"the reactor has read what there was", full[:len(full)-1], 300_000, 400_000, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, core, _ := scripted(0)
			conn := connect(l).conn
			f := fileOf(t, arrived[:c.arrived])
			conn.fd = int32(f.Fd())
			core.room = make([]byte, c.missing)
			l.data(conn, c.read)
			if !bytes.Equal(core.received, arrived[:c.want]) {
				t.Errorf("%d bytes were received, want %d", len(core.received), c.want)
			}
			if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != int64(c.want) {
				t.Errorf("%d bytes were read, want %d (%v)", at, c.want, err)
			}
		})
	}
}

func TestNothingIsReadForAConnectionThatWasClosed(t *testing.T) {
	l, core, _ := scripted(0)
	conn := connect(l).conn
	conn.fd = int32(fileOf(t, make([]byte, 1000)).Fd())
	core.room = make([]byte, 1000)
	core.onData = func(b broker.Transport) { b.Close() }
	l.data(conn, make([]byte, readBufferBytes))
	if len(core.received) > 0 {
		t.Errorf("%d bytes were received", len(core.received))
	}
}

// TestLargePacketsReachEverybody sends packets of all sizes through sockets that hold only a part of them.
func TestLargePacketsReachEverybody(t *testing.T) {
	const messages = 40
	o := DefaultOptions()
	o.Loops = 2
	o.Listeners[0].URL = "mqtt://127.0.0.1:0"
	s, err := New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	rnd := rand.New(rand.NewPCG(1, 2))
	sent := make([][]byte, messages)
	for i := range sent {
		sent[i] = make([]byte, 1+rnd.IntN(1<<(10+rnd.IntN(10))))
		for k := range sent[i] {
			sent[i][k] = byte(i + k/253)
		}
	}

	join := func(id string) *mqttEnd {
		m := &mqttEnd{t: t, nc: dial(t, s.Addrs()[0])}
		m.in = bufio.NewReader(m.nc)
		m.write((&codec.Connect{Version: codec.V311, CleanStart: true, ClientID: []byte(id)}).Append(nil, codec.V311))
		m.next(codec.TypeConnack)
		return m
	}
	done := make(chan struct{})
	const subscribers = 4
	for i := range subscribers {
		sub := join(string(rune('a' + i)))
		sub.write((&codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{{Filter: []byte("t"), QoS: codec.QoS(i % 2)}}}).Append(nil, codec.V311))
		sub.next(codec.TypeSuback)
		go func() {
			defer func() { done <- struct{}{} }()
			for n := range sent {
				f := sub.next(codec.TypePublish)
				var p codec.Publish
				if err := p.Parse(codec.V311, f.Flags, f.Body); err != nil || !bytes.Equal(p.Payload, sent[n]) {
					t.Errorf("subscriber %d: message %d of %d bytes came as %d others (%v)", i, n, len(sent[n]), len(p.Payload), err)
					return
				}
				if p.QoS > 0 {
					sub.write(codec.AppendPubackShort(nil, codec.TypePuback, p.PacketID))
				}
			}
		}()
	}
	pub := join("pub")
	for i, payload := range sent {
		pub.write((&codec.Publish{Topic: []byte("t"), Payload: payload, QoS: codec.QoS1, PacketID: uint16(i + 1)}).Append(nil, codec.V311))
		if i%3 == 0 {
			for range min(i, 3) {
				pub.next(codec.TypePuback)
			}
		}
	}
	for range subscribers {
		<-done
	}
}

// mqttEnd is the client's end of a connection.
type mqttEnd struct {
	t  *testing.T
	nc net.Conn
	in *bufio.Reader
}

func (m *mqttEnd) write(b []byte) {
	if _, err := m.nc.Write(b); err != nil {
		m.t.Error(err)
	}
}

// next reads the next packet.
func (m *mqttEnd) next(want codec.PacketType) codec.Frame {
	var b []byte
	for need := 2; ; {
		at := len(b)
		b = append(b, make([]byte, need-at)...)
		if _, err := io.ReadFull(m.in, b[at:]); err != nil {
			m.t.Error(err)
			return codec.Frame{}
		}
		f, whole, err := codec.Next(b, 0)
		if err != nil || f.Size > 0 {
			if f.Type != want {
				m.t.Errorf("got %v (%v), want %v", f.Type, err, want)
			}
			return f
		}
		need = max(whole, len(b)+1)
	}
}
