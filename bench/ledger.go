package bench

import "fmt"

// faults counts what a broker did to messages that it must not do. They are
// deliveries: one message that a hundred receivers miss is a hundred losses.
type faults struct {
	lost      uint64 // not received when nothing moved any more
	duplicate uint64 // received again
	reordered uint64 // received after one that the same publisher had sent later [MQTT-4.6.0-6]
	stray     uint64 // not from this run, or not with the promised QoS or size
	unasked   uint64 // acknowledgements of messages that were not under way

	// Of gannet bench run.
	unanswered uint64 // messages that were never acknowledged
	refused    uint64 // messages that MQTT 5.0 has a reason for not taking
	tardy      uint64 // received after they had been given up, and counted as lost
}

func (f *faults) add(g faults) {
	f.lost += g.lost
	f.duplicate += g.duplicate
	f.reordered += g.reordered
	f.stray += g.stray
	f.unasked += g.unasked
	f.unanswered += g.unanswered
	f.refused += g.refused
	f.tardy += g.tardy
}

func (f *faults) any() bool { return *f != faults{} }

// fault is a kind of fault and how often it happened.
type fault struct {
	n    uint64
	name string
}

func (f *faults) kinds() []fault {
	return []fault{
		{f.lost, "lost"}, {f.duplicate, "duplicate"}, {f.reordered, "reordered"},
		{f.stray, "stray"}, {f.unasked, "acknowledged unasked"},
		{f.unanswered, "unacknowledged"}, {f.refused, "refused"}, {f.tardy, "after they were given up"},
	}
}

// String names what is not zero, such as "3 lost, 1 duplicate".
func (f faults) String() string {
	text := ""
	for _, part := range f.kinds() {
		if part.n == 0 {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%d %s", part.n, part.name)
	}
	if text == "" {
		return "none"
	}
	return text
}

// flow is the window of one publisher: which of its messages are under way and how
// many receivers each still lacks. Not safe for concurrent use.
//
//	  base            next
//	───┼────────────────┼──────────────▶ sequence numbers
//	   │◀── at most ───▶│
//	        the window
type flow struct {
	window    uint64
	mask      uint64
	receivers uint32
	lacking   []uint32 // by sequence number and mask; 0 once all have it
	base      uint64   // the oldest that somebody lacks
	next      uint64   // the one to be sent
}

// newFlow returns a flow of up to window messages, each for a number of receivers.
func newFlow(window, receivers int) flow {
	size := 1
	for size < window {
		size *= 2
	}
	return flow{
		window:    uint64(window),
		mask:      uint64(size - 1),
		receivers: uint32(receivers),
		lacking:   make([]uint32, size),
	}
}

// narrow makes the window no wider than limit.
func (f *flow) narrow(limit uint16) { f.window = min(f.window, uint64(limit)) }

// giveUp takes what is under way below a sequence number for lost, and returns how many
// deliveries that are.
func (f *flow) giveUp(below uint64) (n uint64) {
	for seq := f.base; seq < below; seq++ {
		n += uint64(f.lacking[seq&f.mask])
		f.lacking[seq&f.mask] = 0
	}
	for f.base < f.next && f.lacking[f.base&f.mask] == 0 {
		f.base++
	}
	return n
}

// open says whether another message may be sent.
func (f *flow) open() bool { return f.next < f.base+f.window }

// send takes the next sequence number. The flow must be open.
func (f *flow) send() (seq uint64) {
	seq = f.next
	f.lacking[seq&f.mask] = f.receivers
	f.next++
	return seq
}

// receive notes one delivery of seq. It is false when nobody lacked it: then the
// delivery is a duplicate, or the message was never sent.
func (f *flow) receive(seq uint64) bool {
	if seq-f.base >= f.next-f.base {
		return false
	}
	lacking := &f.lacking[seq&f.mask]
	if *lacking == 0 {
		return false
	}
	*lacking--
	for f.base < f.next && f.lacking[f.base&f.mask] == 0 {
		f.base++
	}
	return true
}

// packetIDs is how many Packet Identifiers there are: 1 to 65,535, over and over.
const packetIDs = 65535

func packetID(seq uint64) uint16 { return uint16(seq%packetIDs) + 1 }

// numbered returns the sequence number that a Packet Identifier stands for. The
// window is far smaller than packetIDs, so only one message under way can be meant.
func (f *flow) numbered(id uint16) (seq uint64) {
	return f.base + (uint64(id)-1+packetIDs-f.base%packetIDs)%packetIDs
}

// stream watches the order in which one receiver gets the messages of one
// publisher. Not safe for concurrent use; the zero value expects message 0.
type stream struct {
	next    uint64              // one more than the highest received
	skipped map[uint64]struct{} // lower ones that have not come; nil while all is well
}

// skippedMax bounds what one stream remembers of a broker that loses a lot. A
// straggler beyond it counts as a duplicate instead of as reordered.
const skippedMax = 1 << 16

// verdict is what a stream says about one delivery.
type verdict byte

const (
	inOrder verdict = iota
	late            // had been skipped before
	again           // was there already
)

// receive judges the delivery of seq. With gaps the receiver is one of several that
// share the messages, and numbers that it never sees are no surprise; what comes
// below the highest is late then, because only the flow can tell a duplicate.
func (s *stream) receive(seq uint64, gaps bool) verdict {
	switch {
	case seq == s.next:
		s.next++
		return inOrder
	case seq > s.next:
		if !gaps {
			s.skip(seq)
		}
		s.next = seq + 1
		return inOrder
	case gaps:
		return late
	}
	if _, ok := s.skipped[seq]; ok {
		delete(s.skipped, seq)
		return late
	}
	return again
}

// skip remembers the numbers from the expected one up to seq.
func (s *stream) skip(seq uint64) {
	if s.skipped == nil {
		s.skipped = make(map[uint64]struct{})
	}
	for n := s.next; n < seq && len(s.skipped) < skippedMax; n++ {
		s.skipped[n] = struct{}{}
	}
}
