package broker

import (
	"github.com/valyala/bytebufferpool"

	"github.com/gannetmq/gannet/engine/session"
)

// Large payloads are not copied into the outbound buffer of a client. It has their headers, and a list says what belongs between
// them:
//
//	client.out           32 84 80 10 …topic, id ─┐ 40 02 00 01 ─┐ 30 82 80 10 …topic ─┐
//	clientExtra.pieces                           at 19          …                     at 42
//
// All of it goes to the transport in one call. What a socket does not take is copied there, so that a piece, and with it
// the memory of the packet it came in, lives no longer than to the end of a turn, or to the end of a gate. It counts against
// MaxOutboundBytes like what is copied.

const (
	// spliceBytes is from how many bytes on a payload is not copied. What is shorter is copied faster than it is counted.
	spliceBytes = 16 << 10

	// vectorsMost bounds what is written in one call. The system takes 1024 pieces at most.
	vectorsMost = 512
)

// VectorWriter is a Transport that takes what lies in several places.
type VectorWriter interface {
	// Writev is Write for all of bs, one behind the other. It may change the elements of bs, but not the bytes.
	Writev(bs [][]byte) error
}

// DirectVectorWriter is a DirectWriter that takes what lies in several places.
type DirectVectorWriter interface {
	// WritevDirect is WriteDirect for all of bs. It does not change bs.
	WritevDirect(bs [][]byte) int
}

// newBody makes the buffer of a large packet the Body of the message in it.
func (l *Loop) newBody(p *bytebufferpool.ByteBuffer) *session.Body {
	return session.NewBody(cap(p.B), func() { l.spare.giveBack(p) })
}

// splices tells whether the payload of m is not copied for those whose transport can do without.
func (l *Loop) splices(m *session.Message) bool {
	return len(m.Payload) >= l.spliceBytes && m.Lasts()
}

// keepPieces moves what a call has put into out.Pieces to c, if it has a connection. Caller holds c.mu.
func (c *client) keepPieces(out *session.Output) {
	if c.conn == nil {
		releasePieces(out.Pieces)
	} else {
		x := c.more()
		for i := range out.Pieces {
			x.pieceBytes += len(out.Pieces[i].Payload)
		}
		x.pieces = append(x.pieces, out.Pieces...)
		clear(out.Pieces)
	}
	out.Pieces = out.Pieces[:0]
}

// outSize is how many bytes wait to be written. Caller holds c.mu.
func (c *client) outSize() (n int) {
	if c.out != nil {
		n = len(c.out.B)
	}
	if c.extra != nil {
		n += c.extra.pieceBytes
	}
	return n
}

// takePieces takes what belongs into c.out. Caller holds c.mu.
func (c *client) takePieces() []session.Piece {
	x := c.extra
	if x == nil || len(x.pieces) == 0 {
		return nil
	}
	ps := x.pieces
	x.pieces, x.pieceBytes = nil, 0
	return ps
}

// releasePieces ends the use of ps.
func releasePieces(ps []session.Piece) {
	for i := range ps {
		if b := ps[i].Body; b != nil {
			b.Release()
		}
	}
	clear(ps)
}

// flatten copies the pieces into c.out, for bytes that are written later and elsewhere. Caller holds c.mu.
func (c *client) flatten() {
	ps := c.takePieces()
	if len(ps) == 0 {
		return
	}
	size := len(c.out.B)
	for i := range ps {
		size += len(ps[i].Payload)
	}
	whole, b := make([]byte, 0, size), c.out.B
	for _, v := range appendVectors(nil, b, ps) {
		whole = append(whole, v...)
	}
	c.out.B = whole
	releasePieces(ps)
}

// appendVectors appends b, cut where the pieces belong, and them.
func appendVectors(vs [][]byte, b []byte, ps []session.Piece) [][]byte {
	at := 0
	for i := range ps {
		p := &ps[i]
		if p.At > at {
			vs = append(vs, b[at:p.At])
		}
		vs = append(vs, p.Payload)
		at = p.At
	}
	if len(b) > at {
		vs = append(vs, b[at:])
	}
	return vs
}

// writePieces is write for b with ps in it.
func (l *Loop) writePieces(cn *Conn, b []byte, ps []session.Piece) {
	l.stats.bytesOut += uint64(len(b))
	for i := range ps {
		l.stats.bytesOut += uint64(len(ps[i].Payload))
	}
	vs := appendVectors(l.vectors[:0], b, ps)
	l.vectors = nil // what happens inside of Writev may need some
	for left := vs; len(left) > 0 && !cn.closing; {
		n := min(len(left), vectorsMost)
		l.stats.writes++
		_ = cn.t.(VectorWriter).Writev(left[:n]) // an error closes the transport, and Closed comes on its own
		left = left[n:]
	}
	l.keepVectors(vs)
}

// keepVectors takes back what appendVectors made of l.vectors.
func (l *Loop) keepVectors(vs [][]byte) {
	if clear(vs); cap(vs) <= vectorsMost {
		l.vectors = vs[:0]
	}
}

// writePiecesDirect is WriteDirect for what waits to be written to c. Caller holds c.mu.
func (l *Loop) writePiecesDirect(c *client) (written int) {
	t, ok := c.conn.t.(DirectVectorWriter)
	if !ok {
		return 0
	}
	vs := appendVectors(l.vectors[:0], c.out.B, c.extra.pieces)
	written = t.WritevDirect(vs[:min(len(vs), vectorsMost)])
	l.keepVectors(vs)
	return written
}

// dropWritten takes the first n bytes, pieces included, from what waits to be written. Caller holds c.mu.
func (c *client) dropWritten(n int) {
	b, at := c.out.B, 0 // what of b is written
	if x := c.extra; x != nil && len(x.pieces) > 0 {
		done := 0
		for i := range x.pieces {
			p := &x.pieces[i]
			if n <= p.At-at {
				break
			}
			n -= p.At - at
			at = p.At
			part := min(n, len(p.Payload))
			p.Payload = p.Payload[part:]
			x.pieceBytes -= part
			if n -= part; len(p.Payload) > 0 {
				break
			}
			done++
		}
		releasePieces(x.pieces[:done])
		left := copy(x.pieces, x.pieces[done:])
		clear(x.pieces[left:])
		x.pieces = x.pieces[:left]
		at += n
		for i := range x.pieces {
			x.pieces[i].At -= at
		}
	} else {
		at = n
	}
	c.out.B = append(b[:0], b[at:]...)
}
