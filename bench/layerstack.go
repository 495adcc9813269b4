package bench

// stack is one layer in another: WebSocket in TLS. Below are the bytes of the socket,
// above the packets.
type stack struct {
	below, above layer
	begun        bool   // the upper one has said what it says first
	between      []byte // scratch
}

func newStack(below, above layer) layer { return &stack{below: below, above: above} }

func (s *stack) begin(wire []byte) ([]byte, error) { return s.below.begin(wire) }

func (s *stack) open() bool { return s.begun && s.below.open() && s.above.open() }

func (s *stack) send(wire, packets []byte) (out []byte, err error) {
	if s.between, err = s.above.send(s.between[:0], packets); err != nil {
		return wire, err
	}
	return s.below.send(wire, s.between)
}

func (s *stack) receive(in, wire, raw []byte) (packets, answer []byte, err error) {
	up, wire, err := s.below.receive(nil, wire, raw)
	if err != nil || !s.below.open() {
		return in, wire, err
	}
	var down []byte
	if !s.begun {
		s.begun = true
		if down, err = s.above.begin(down); err != nil {
			return in, wire, err
		}
	}
	if len(up) > 0 {
		if in, down, err = s.above.receive(in, down, up); err != nil {
			return in, wire, err
		}
	}
	if len(down) > 0 {
		wire, err = s.below.send(wire, down)
	}
	return in, wire, err
}

func (s *stack) end() {
	s.above.end()
	s.below.end()
}
