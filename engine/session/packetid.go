package session

// PacketID is the Packet Identifier of the delivery with this sequence number: 1 to 65535, round and
// round. Deriving it means that a restart finds the same identifiers again without a record per send.
// Two deliveries in flight never share one: takeSeq passes over a number whose identifier is still in use.
func PacketID(seq uint64) uint16 { return uint16(seq%maxSpan) + 1 }

const maxSpan = 65535

// takeSeq returns the sequence number of the next delivery.
func (s *Session) takeSeq() uint64 {
	if s.more != nil {
		for !s.more.inflight.free(s.nextSeq) {
			s.nextSeq++ // a client that never acknowledges one delivery must not stop the others
		}
	}
	seq := s.nextSeq
	s.nextSeq++
	return seq
}

// packetIDSet is a set of Packet Identifiers: a short list, or a bitmap once it is long. At most 8 KiB.
type packetIDSet struct {
	n    int
	few  []uint16
	bits *[1024]uint64
}

const fewIDs = 24

func (p *packetIDSet) has(id uint16) bool {
	if p.bits != nil {
		return p.bits[id>>6]&(1<<(id&63)) != 0
	}
	for _, x := range p.few {
		if x == id {
			return true
		}
	}
	return false
}

// add puts id, which must not be in the set yet or is left alone.
func (p *packetIDSet) add(id uint16) {
	if p.has(id) {
		return
	}
	p.n++
	if p.bits == nil && len(p.few) < fewIDs {
		p.few = append(p.few, id)
		return
	}
	if p.bits == nil {
		p.bits = new([1024]uint64)
		for _, x := range p.few {
			p.bits[x>>6] |= 1 << (x & 63)
		}
		p.few = nil
	}
	p.bits[id>>6] |= 1 << (id & 63)
}

func (p *packetIDSet) remove(id uint16) bool {
	if p.bits != nil {
		if p.bits[id>>6]&(1<<(id&63)) == 0 {
			return false
		}
		p.bits[id>>6] &^= 1 << (id & 63)
		if p.n--; p.n == 0 {
			p.bits = nil
		}
		return true
	}
	for i, x := range p.few {
		if x == id {
			p.few = append(p.few[:i], p.few[i+1:]...)
			p.n--
			return true
		}
	}
	return false
}

// each calls f for every member.
func (p *packetIDSet) each(f func(id uint16)) {
	for _, x := range p.few {
		f(x)
	}
	if p.bits == nil {
		return
	}
	for id := 1; id <= 65535; id++ {
		if p.bits[id>>6]&(1<<(id&63)) != 0 {
			f(uint16(id))
		}
	}
}
