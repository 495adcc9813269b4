package fake

import "slices"

// Sink is a Transport that takes everything and counts it: 24 bytes, for connections by the million. The zero value is
// an open connection. Owned by the loop of its connection.
type Sink struct {
	Bytes  uint64 // taken by Write
	Writes uint32 // calls of Write
	Closed bool   // by the broker
}

// Write counts b.
func (s *Sink) Write(b []byte) error {
	s.Bytes += uint64(len(b))
	s.Writes++
	return nil
}

// Buffered is 0: nothing waits here.
func (s *Sink) Buffered() int { return 0 }

// Close notes that the broker wants no more. Whoever drives the loop then calls Loop.Closed.
func (s *Sink) Close() { s.Closed = true }

// RemoteAddr is the same for all.
func (s *Sink) RemoteAddr() string { return "fake" }

// UserName is empty: nobody has proved who they are.
func (s *Sink) UserName() string { return "" }

// Transport is a Sink whose far end can be looked at, and can be slow. Owned by the loop of its connection.
type Transport struct {
	Sink
	Keep    bool   // append what is written to In
	Full    bool   // the far end takes nothing: what is written is stuck
	Stuck   int    // bytes that wait, the answer of Buffered
	In      []byte // what was written, and nobody has taken out
	OnClose func() // when the broker closes it; may be nil
}

// Write takes all of b.
func (t *Transport) Write(b []byte) error {
	if t.Full {
		t.Stuck += len(b)
	}
	if t.Keep {
		t.In = append(t.In, b...)
	}
	return t.Sink.Write(b)
}

// Writev takes all of bs, and counts as one Write.
func (t *Transport) Writev(bs [][]byte) error { return t.Write(slices.Concat(bs...)) }

// Buffered is Stuck.
func (t *Transport) Buffered() int { return t.Stuck }

// Close calls OnClose.
func (t *Transport) Close() {
	t.Sink.Close()
	if t.OnClose != nil {
		t.OnClose()
	}
}
