package session

// A queue may be long, and memory is for those who are connected. Of a session that a Store keeps, the queue is in memory only up to
// Config.QueueWindow, and not at all while it is parked: each of its messages has been recorded anyway when it was queued. What
// follows the messages in memory is the backlog: a number of deliveries, where they begin, and nothing else. It is read
// window by window as the client takes what is before it. While there is a backlog all that is new joins it,
// so that order is kept; QoS 0 is not recorded, and waits in memory.

// backlog is the later part of a queue, which only the store has.
type backlog struct {
	first   uint64 // sequence number from which on nothing is in memory
	n       int
	bytes   int  // as entry.size counts
	reading bool // a QueueRead is under way
}

// maxExcess is how many messages a queue may hold beyond its bounds while the oldest, which are to make room, are read from the store.
const maxExcess = 1024

// add takes one more delivery of this size at the end, or at the beginning if it is older than all of them.
func (b *backlog) add(seq uint64, size int) {
	if b.n == 0 || seq < b.first {
		b.first = seq
	}
	b.n++
	b.bytes += size
}

// queued is how much waits, in memory or not.
func (m *more) queued() (messages, bytes int) {
	return m.queue.n + m.backlog.n, m.queue.bytes + m.backlog.bytes
}

// overfull tells whether the queue would hold more than its bounds allow with so many messages and bytes more.
func (s *Session) overfull(messages, bytes int) bool {
	n, size := s.more.queued()
	return n+messages > s.cfg.MaxQueuedMessages || size+bytes > s.cfg.MaxQueuedBytes
}

// toBacklog tells whether a delivery that was recorded need not be kept in memory.
func (s *Session) toBacklog() bool {
	m := s.more
	return m.backlog.n > 0 || s.phase == parked || m.queue.n >= s.cfg.QueueWindow || m.queue.bytes >= s.cfg.QueueWindowBytes
}

// shelve leaves to the store what waits.
func (s *Session) shelve() {
	m := s.more
	if m == nil || !s.durable() {
		return
	}
	m.queue.filter(func(e *entry) bool {
		if e.qos > 0 {
			m.backlog.add(e.seq, e.size())
		}
		return e.qos == 0
	})
}

// readBacklog asks for the next window.
func (s *Session) readBacklog(out *Output) {
	m := s.more
	if m.backlog.n == 0 || m.backlog.reading {
		return
	}
	m.backlog.reading = true
	out.HasRead = true
	out.Read = QueueRead{Session: s.ID, From: m.backlog.first, Messages: max(1, s.cfg.QueueWindow), Bytes: s.cfg.QueueWindowBytes, After: m.ticket}
}

// Loaded answers Output.Read with what the store has: the QueuePut records of q, or failed, after which the next Drain asks again.
func (s *Session) Loaded(q QueueRead, records []Record, failed bool, now Time, out *Output) {
	m := s.more
	if s.phase == ended || m == nil || !m.backlog.reading {
		return
	}
	b := &m.backlog
	b.reading = false
	if failed {
		return
	}
	// What was parked in between is read again when it is wanted.
	if q.From == b.first && (s.phase == connected || s.overfull(0, 0)) {
		if len(records) == 0 {
			out.Drops.add(DropLost, b.n)
			b.n = 0
		}
		m.queue.grow(len(records))
		for i := range records {
			if records[i].Kind == QueuePut {
				s.takeBacklog(&records[i])
			}
		}
		if b.n <= 0 {
			*b = backlog{}
		}
		for m.queue.n > 0 && s.overfull(0, 0) {
			s.drop(m.queue.pop(), DropQueueFull, out)
		}
	}
	s.Drain(now, out)
}

// takeBacklog puts one delivery of the backlog back into the queue.
func (s *Session) takeBacklog(r *Record) {
	e := entry{seq: r.Seq, qos: r.QoS, retain: r.Retain, msg: r.Message}
	e.setIDs(r.IDs)
	b := &s.more.backlog
	b.n--
	b.bytes -= e.size()
	b.first = r.Seq + 1
	s.more.queue.push(e)
}
