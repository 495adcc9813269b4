package bench

import "encoding/binary"

// A stamp is the beginning of every payload of the durable loads, and of those that come
// and go. Numbers are little-endian.
//
//	0           4        8                 16
//	┌───────────┬────────┬─────────────────┬──────────┐
//	│ publisher │  mark  │ sequence number │ filler…  │
//	└───────────┴────────┴─────────────────┴──────────┘
const (
	stampSize   = 16
	payloadSize = 64         // of a whole payload where nothing else is said
	payloadMark = 0x74656e47 // tells our payloads from a stranger's
)

// putStamp writes the stamp of a message to the beginning of payload.
func putStamp(payload []byte, publisher int, seq uint64) {
	binary.LittleEndian.PutUint32(payload, uint32(publisher))
	binary.LittleEndian.PutUint32(payload[4:], payloadMark)
	binary.LittleEndian.PutUint64(payload[8:], seq)
}

// readStamp is false for a payload that no publisher of ours has sent.
func readStamp(payload []byte) (publisher int, seq uint64, ok bool) {
	if len(payload) < stampSize || binary.LittleEndian.Uint32(payload[4:]) != payloadMark {
		return 0, 0, false
	}
	return int(binary.LittleEndian.Uint32(payload)), binary.LittleEndian.Uint64(payload[8:]), true
}

// tally knows exactly which numbered messages of one publisher one receiver got,
// whatever their order: a bit for each. Not safe for concurrent use; the zero value
// is empty.
type tally struct {
	seen  []uint64
	next  uint64 // one more than the highest received
	count uint64 // different ones
}

// tallyMax bounds a tally, so that a stranger's number cannot ask for all memory.
const tallyMax = 1 << 30

// receive notes message seq, which is below tallyMax.
func (t *tally) receive(seq uint64) verdict {
	word, bit := seq/64, uint64(1)<<(seq%64)
	for uint64(len(t.seen)) <= word {
		t.seen = append(t.seen, 0)
	}
	if t.seen[word]&bit != 0 {
		return again
	}
	t.seen[word] |= bit
	t.count++
	if seq < t.next {
		return late
	}
	t.next = seq + 1
	return inOrder
}
