package secure

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// wire is a client of version 3.1.1 written by hand, cheap enough to have a thousand of
// them in one process. For one goroutine.
type wire struct {
	net.Conn
	in *bufio.Reader
	id uint16 // the last packet identifier
}

// refusal is the code of a CONNACK that refuses.
type refusal byte

func (r refusal) Error() string { return fmt.Sprintf("refused with code %d", byte(r)) }

// openWire logs in over c, which it closes if that fails.
func openWire(c net.Conn, clientID, user, password string) (*wire, error) {
	w := &wire{Conn: c, in: bufio.NewReaderSize(c, 512)}
	c.SetDeadline(soon())
	body := []byte("\x00\x04MQTT\x04\xc2\x00\x3c")
	for _, s := range []string{clientID, user, password} {
		body = appendString(body, s)
	}
	if err := w.write(0x10, body); err != nil {
		c.Close()
		return nil, err
	}
	kind, answer, err := w.read()
	switch {
	case err != nil:
	case kind != 0x20 || len(answer) != 2:
		err = fmt.Errorf("packet %#x instead of CONNACK", kind)
	case answer[1] != 0:
		err = refusal(answer[1])
	default:
		return w, nil
	}
	c.Close()
	return nil, err
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func (w *wire) write(kind byte, body []byte) error {
	packet := append([]byte{kind}, binary.AppendUvarint(nil, uint64(len(body)))...) // the same encoding (section 2.2.3)
	_, err := w.Write(append(packet, body...))
	return err
}

func (w *wire) read() (kind byte, body []byte, err error) {
	if kind, err = w.in.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(w.in)
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, n)
	_, err = io.ReadFull(w.in, body)
	return kind, body, err
}

// subscribe asks for a topic with QoS 0.
func (w *wire) subscribe(topic string) error {
	w.id++
	body := binary.BigEndian.AppendUint16(nil, w.id)
	if err := w.write(0x82, append(appendString(body, topic), 0)); err != nil {
		return err
	}
	kind, answer, err := w.read()
	if err == nil && (kind != 0x90 || len(answer) != 3 || answer[2] != 0) {
		err = fmt.Errorf("packet %#x % x instead of SUBACK", kind, answer)
	}
	return err
}

// exchange publishes to a topic that the client itself has subscribed to, with QoS 1, and
// waits for the acknowledgement and for the message.
func (w *wire) exchange(topic string, number uint32) error {
	w.id = w.id%0xffff + 1
	w.SetDeadline(soon())
	body := binary.BigEndian.AppendUint16(appendString(nil, topic), w.id)
	if err := w.write(0x32, binary.BigEndian.AppendUint32(body, number)); err != nil {
		return err
	}
	for acknowledged, arrived := false, false; !acknowledged || !arrived; {
		kind, body, err := w.read()
		switch {
		case err != nil:
			return err
		case kind == 0x40 && len(body) == 2 && binary.BigEndian.Uint16(body) == w.id && !acknowledged:
			acknowledged = true
		case kind == 0x30 && len(body) == 2+len(topic)+4 && binary.BigEndian.Uint32(body[2+len(topic):]) == number && !arrived:
			arrived = true
		default:
			return fmt.Errorf("message %d: unexpected packet %#x % x", number, kind, body)
		}
	}
	return nil
}

// crowd is well-behaved clients that must not notice what is done to the broker meanwhile.
type crowd struct {
	size   int
	stop   chan struct{}
	group  sync.WaitGroup
	errors chan error // of each client that gave up

	messages atomic.Int64
	worst    atomic.Int64 // nanoseconds of one exchange
}

// gather connects size clients, each of which sends itself a message every pace. dial
// connects the one of a number.
func gather(t *testing.T, size int, pace time.Duration, dial func(i int) (net.Conn, error)) *crowd {
	t.Helper()
	c := &crowd{size: size, stop: make(chan struct{}), errors: make(chan error, size)}
	t.Cleanup(c.leave)
	for i := range size {
		w, err := login(dial, i)
		if err != nil {
			t.Fatalf("client %d of the crowd: %v", i, err)
		}
		topic := fmt.Sprintf("crowd/%d", i)
		if err := w.subscribe(topic); err != nil {
			w.Close()
			t.Fatalf("client %d of the crowd: %v", i, err)
		}
		c.group.Go(func() { c.work(w, topic, pace) })
	}
	return c
}

// login connects as rajan.
func login(dial func(i int) (net.Conn, error), i int) (*wire, error) {
	conn, err := dial(i)
	if err != nil {
		return nil, err
	}
	return openWire(conn, fmt.Sprintf("crowd-%d", i), "rajan", "password123")
}

func (c *crowd) work(w *wire, topic string, pace time.Duration) {
	defer w.Close()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	// The last exchange begins after the attack, so that whoever was hurt finds out.
	for number, last := uint32(0), false; ; number++ {
		begun := time.Now()
		if err := w.exchange(topic, number); err != nil {
			c.errors <- fmt.Errorf("%s: %w", topic, err)
			return
		}
		c.messages.Add(1)
		for took := int64(time.Since(begun)); ; {
			worst := c.worst.Load()
			if took <= worst || c.worst.CompareAndSwap(worst, took) {
				break
			}
		}
		if last {
			return
		}
		select {
		case <-tick.C:
		case <-c.stop:
			last = true
		}
	}
}

func (c *crowd) leave() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.group.Wait()
}

// unharmed ends the crowd, of which nobody may have lost anything, and says how it was.
func (c *crowd) unharmed(t *testing.T) string {
	t.Helper()
	c.leave()
	close(c.errors)
	for err := range c.errors {
		t.Errorf("a well-behaved client noticed: %v", err)
	}
	return fmt.Sprintf("%d clients, %d messages, 0 lost, slowest %v", c.size, c.messages.Load(), time.Duration(c.worst.Load()).Round(time.Millisecond))
}
