package crash

import (
	"encoding/binary"
	"net"
	"sync"
)

// The types of MQTT Control Packets that a tap looks at.
const (
	typePublish = 3
	typePuback  = 4
	typePubrec  = 5
	typePubcomp = 7
)

// witness reads along with one publisher over all of its connections and writes the
// ledger: what counts as published and acknowledged is what was on the wire, not what a
// library says about it. Safe for concurrent use.
type witness struct {
	ledger *ledger
	level  byte // 4 or 5
	// onPubrec, where set, is called when PUBREC for a known message arrives, before the
	// library has read it.
	onPubrec func(id uint16)

	mu       sync.Mutex
	inflight map[uint16]mention // by packet identifier, until PUBACK or PUBCOMP
	settled  int                // messages that are through with the protocol
}

// mention is a message as the ledger knows it.
type mention struct {
	topic  string
	number int
}

func newWitness(l *ledger, level byte) *witness {
	return &witness{ledger: l, level: level, inflight: map[uint16]mention{}}
}

// unsettled is how many of the messages that the library was given it still owes the
// broker. Not all of them need to have been on the wire.
func (w *witness) unsettled(given int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return given - w.settled
}

// forget gives up what is on the way: the session ended, and the library will not send it
// again.
func (w *witness) forget(given int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.inflight)
	w.settled = given
}

// tap is a connection that w reads along.
func (w *witness) tap(c net.Conn) net.Conn { return &tapped{Conn: c, witness: w} }

type tapped struct {
	net.Conn
	witness *witness
	in, out splitter
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.feed(b[:n], c.witness.received)
	return n, err
}

// Write notes first and writes then: whoever receives a message finds it in the ledger.
func (c *tapped) Write(b []byte) (int, error) {
	c.out.feed(b, c.witness.sent)
	return c.Conn.Write(b)
}

func (w *witness) sent(first byte, body []byte) {
	if first>>4 != typePublish || first>>1&3 == 0 {
		return
	}
	n := binary.BigEndian.Uint16(body)
	topic, rest := string(body[2:2+n]), body[2+n:]
	id, payload := binary.BigEndian.Uint16(rest), rest[2:]
	if w.level == 5 {
		length, size := binary.Uvarint(payload)
		payload = payload[size+int(length):]
	}
	m := mention{topic, numberOf(payload)}
	w.mu.Lock()
	w.inflight[id] = m
	w.mu.Unlock()
	w.ledger.published(m.topic, m.number)
}

func (w *witness) received(first byte, body []byte) {
	kind := first >> 4
	if kind != typePuback && kind != typePubrec && kind != typePubcomp {
		return
	}
	id := binary.BigEndian.Uint16(body)
	failed := w.level == 5 && len(body) > 2 && body[2] >= 0x80
	w.mu.Lock()
	m, known := w.inflight[id]
	if known && (kind != typePubrec || failed) {
		delete(w.inflight, id)
		w.settled++
	}
	w.mu.Unlock()
	switch {
	case failed && kind != typePubcomp:
		w.ledger.fault(nil, "%s %d was refused with %#x", m.topic, m.number, body[2])
	case known:
		if kind == typePubrec && w.onPubrec != nil {
			w.onPubrec(id)
		}
		w.ledger.acked(m.topic, m.number)
	}
	w.ledger.touch()
}

// splitter finds the packets in a stream of bytes.
type splitter struct{ buffered []byte }

// feed takes the next bytes and calls each for every packet that they complete, with its
// first byte and what follows the Remaining Length. body is valid during the call.
func (s *splitter) feed(b []byte, each func(first byte, body []byte)) {
	s.buffered = append(s.buffered, b...)
	for len(s.buffered) > 1 {
		length, size := binary.Uvarint(s.buffered[1:])
		end := 1 + size + int(length)
		if size <= 0 || len(s.buffered) < end {
			return
		}
		each(s.buffered[0], s.buffered[1+size:end])
		s.buffered = s.buffered[end:]
	}
}
