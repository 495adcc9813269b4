package broker

import (
	"sync"
	"sync/atomic"

	"github.com/valyala/bytebufferpool"
)

const (
	maxScratch = 64 << 10
	// maxSpareBytes bounds the buffers that a loop keeps because they are too large to be its scratch, for clients whose queues
	// are drained and for large packets on their way in and out. The pool does not keep them: it judges by what it sees most of,
	// which is acknowledgements.
	maxSpareBytes = 2 << 20
)

// spares are the empty buffers of a loop that are larger than its scratch may be. Taken by the loop only; given back from anywhere,
// because what a loop has received may be written by another last.
type spares struct {
	n     atomic.Int32 // how many: nobody takes the lock for nothing
	mu    sync.Mutex
	list  []*bytebufferpool.ByteBuffer
	bytes int  // of them together
	lent  bool // one of these was, since the last tick
}

// take returns the newest buffer that has room for need bytes, or else the newest, nil if there is none.
func (s *spares) take(need int) *bytebufferpool.ByteBuffer {
	if s.n.Load() == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.list) - 1
	if n < 0 {
		return nil
	}
	i := n
	for i > 0 && cap(s.list[i].B) < need {
		i--
	}
	if cap(s.list[i].B) < need {
		i = n
	}
	buf := s.list[i]
	copy(s.list[i:], s.list[i+1:])
	s.list[n] = nil
	s.list, s.bytes, s.lent = s.list[:n], s.bytes-cap(buf.B), true
	s.n.Store(int32(n))
	return buf
}

// drop lets go of the buffers if none was needed since the last time.
func (s *spares) drop() {
	s.mu.Lock()
	if !s.lent {
		s.list, s.bytes = nil, 0
		s.n.Store(0)
	}
	s.lent = false
	s.mu.Unlock()
}

// giveBack takes a buffer that is not needed any more. Safe for concurrent use.
func (s *spares) giveBack(buf *bytebufferpool.ByteBuffer) {
	if n := cap(buf.B); n > maxScratch {
		s.mu.Lock()
		if s.bytes+n <= maxSpareBytes {
			buf.Reset()
			s.list, s.bytes = append(s.list, buf), s.bytes+n
			s.n.Store(int32(len(s.list)))
			buf = nil
		}
		s.mu.Unlock()
	}
	if buf != nil {
		bytebufferpool.Put(buf)
	}
}
