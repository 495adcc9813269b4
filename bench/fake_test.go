package bench

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// fakeBroker forwards QoS 0 messages between clients by exact topic, and lets tamper
// do to them what a broker must not do. It is as small as can be and runs one
// goroutine for each connection.
type fakeBroker struct {
	listener net.Listener
	over     func(net.Conn) (net.Conn, error)
	tamper   func(n int, deliver func(payload []byte), payload []byte) // n counts messages from 0

	mu          sync.Mutex
	count       int
	conns       map[net.Conn]bool
	subscribers map[string]net.Conn
	wait        sync.WaitGroup
}

// startFake returns the address of a fake broker that ends with the test.
func startFake(t *testing.T, tamper func(n int, deliver func([]byte), payload []byte)) netip.AddrPort {
	t.Helper()
	return startFakeOver(t, tamper, func(c net.Conn) (net.Conn, error) { return c, nil })
}

// startFakeOver is startFake with something between packets and sockets.
func startFakeOver(t *testing.T, tamper func(n int, deliver func([]byte), payload []byte), over func(net.Conn) (net.Conn, error)) netip.AddrPort {
	t.Helper()
	return newFake(t, tamper, over).listener.Addr().(*net.TCPAddr).AddrPort()
}

func newFake(t *testing.T, tamper func(n int, deliver func([]byte), payload []byte), over func(net.Conn) (net.Conn, error)) *fakeBroker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeBroker{listener: l, over: over, tamper: tamper, conns: map[net.Conn]bool{}, subscribers: map[string]net.Conn{}}
	f.wait.Go(f.accept)
	t.Cleanup(f.stop)
	return f
}

func (f *fakeBroker) stop() {
	f.listener.Close()
	f.hangUp()
	f.wait.Wait()
}

// hangUp closes all connections that there are.
func (f *fakeBroker) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		c.Close()
	}
}

func (f *fakeBroker) accept() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conns[c] = true
		f.mu.Unlock()
		f.wait.Go(func() {
			defer c.Close()
			if c, err := f.over(c); err == nil {
				f.serve(c)
			}
		})
	}
}

func (f *fakeBroker) serve(c net.Conn) {
	defer c.Close()
	var kept []byte
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.Read(buffer)
		if err != nil {
			return
		}
		kept = append(kept, buffer[:n]...)
		for {
			frame, _, err := codec.Next(kept, 0)
			if err != nil {
				return
			}
			if frame.Size == 0 {
				break
			}
			if f.packet(c, frame) != nil {
				return
			}
			kept = kept[frame.Size:]
		}
	}
}

var errLeft = errors.New("client left")

func (f *fakeBroker) packet(c net.Conn, frame codec.Frame) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch frame.Type {
	case codec.TypeConnect:
		var p codec.Connack
		_, err = c.Write(p.Append(nil, codec.V311))
	case codec.TypeSubscribe:
		var p codec.Subscribe
		if err = p.Parse(codec.V311, frame.Flags, frame.Body); err != nil {
			return err
		}
		f.subscribers[string(p.Filters[0].Filter)] = c
		answer := codec.Suback{PacketID: p.PacketID, Reasons: []codec.ReasonCode{codec.GrantedQoS0}}
		_, err = c.Write(answer.Append(nil, codec.V311))
	case codec.TypePublish:
		var p codec.Publish
		if err = p.Parse(codec.V311, frame.Flags, frame.Body); err != nil {
			return err
		}
		to, ok := f.subscribers[string(p.Topic)]
		if !ok {
			return nil
		}
		f.tamper(f.count, func(payload []byte) {
			d := codec.Delivery{Topic: p.Topic, Payload: payload}
			to.Write(codec.AppendDelivery(nil, codec.V311, &d))
		}, p.Payload)
		f.count++
	case codec.TypeDisconnect:
		return errLeft
	}
	return err
}
