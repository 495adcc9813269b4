package session

import (
	"math"

	"github.com/gannetmq/gannet/codec"
)

// How fast a client may publish: Config.MaxMessageRate and Config.MaxByteRate.
//
// A client may publish a second's worth at once, and on average no more than its rates. What comes beyond:
//
//   - QoS 1 and 2 are taken and routed all the same, but the acknowledgement waits until the client is no longer ahead. Whoever keeps to
//     its Receive Maximum thereby slows down to the rate without losing anything, and never meets the next rule. A message is
//     not refused with 0x97 for the rate: it would have to be sent again, which makes more messages, not fewer.
//   - Whoever is Config.MaxRateDebt messages ahead, as only a client can that does not wait for acknowledgements, is closed with 0x96.
//   - QoS 0 has no acknowledgement to delay: it is dropped and counted (DropRate). Nobody is closed for it, since to drop a message costs
//     less than to accept a client again.
//
// Each connection begins anew. Delayed acknowledgements leave in the order of their PUBLISH, when Deadline says so or with the next
// packet, and then wait for the store as any other does.

// meter holds how far a client is ahead: two buckets that leak as time passes. The zero value is that of a client who said nothing.
type meter struct {
	at       uint32 // the Time when the others were right, modulo 2^32
	messages uint32 // in thousandths, as they leak by milliseconds
	bytes    uint64 // in thousandths
}

// meterTurnsBack is how far time may go back from one loop to the next without looking like 49 days that have passed.
const meterTurnsBack = 10_000

// leak lets time pass.
func (m *meter) leak(cfg *Config, now Time) {
	passed := uint32(now) - m.at
	if -passed < meterTurnsBack { // 0, or back
		return
	}
	m.at = uint32(now)
	m.messages -= uint32(min(uint64(m.messages), uint64(passed)*uint64(cfg.MaxMessageRate)))
	m.bytes -= min(m.bytes, uint64(passed)*uint64(cfg.MaxByteRate))
}

// hasRoom tells whether a message may come without the client being ahead. Of bytes there need not be room for all, or what is larger
// than a second's worth would never find any.
func (m *meter) hasRoom(cfg *Config) bool {
	return (cfg.MaxMessageRate == 0 || uint64(m.messages)+1000 <= 1000*uint64(cfg.MaxMessageRate)) &&
		(cfg.MaxByteRate == 0 || m.bytes < 1000*uint64(cfg.MaxByteRate))
}

func (m *meter) charge(cfg *Config, bytes int) {
	if cfg.MaxMessageRate > 0 {
		m.messages += min(1000, math.MaxUint32-m.messages)
	}
	if cfg.MaxByteRate > 0 {
		m.bytes += 1000 * uint64(bytes)
	}
}

// ahead is how many messages the client is ahead beyond a second's worth.
func (m *meter) ahead(cfg *Config) int {
	if r := uint64(cfg.MaxMessageRate); r > 0 && uint64(m.messages) > 1000*r {
		return int((uint64(m.messages) - 1000*r) / 1000)
	}
	return 0
}

// wait is how long it takes until the client is no longer ahead.
func (m *meter) wait(cfg *Config) Time {
	over := func(have, rate uint64) uint64 {
		if rate == 0 || have <= 1000*rate {
			return 0
		}
		return (have - 1000*rate + rate - 1) / rate
	}
	return Time(max(over(uint64(m.messages), uint64(cfg.MaxMessageRate)), over(m.bytes, uint64(cfg.MaxByteRate))))
}

func (cfg *Config) hasRate() bool { return cfg.MaxMessageRate > 0 || cfg.MaxByteRate > 0 }

func (cfg *Config) maxRateDebt() int {
	if cfg.MaxRateDebt > 0 {
		return cfg.MaxRateDebt
	}
	return int(cfg.ReceiveMaximum)
}

// pacedQueue holds the answers that are delayed, in order. It is never empty.
type pacedQueue struct{ frames []pacedFrame }

type pacedFrame struct {
	due Time
	heldFrame
}

// delayed is how many answers are.
func (m *more) delayed() int {
	if m.paced == nil {
		return 0
	}
	return len(m.paced.frames)
}

// withinRate counts a PUBLISH of size bytes that is not a repeat. False: it goes nowhere.
func (s *Session) withinRate(p *codec.Publish, size int, now Time, out *Output) bool {
	if !s.cfg.hasRate() {
		return true
	}
	m := s.extra()
	m.meter.leak(s.cfg, now)
	if p.QoS == codec.QoS0 {
		if !m.meter.hasRoom(s.cfg) {
			out.Drops.add(DropRate, 1)
			return false
		}
	} else if most := s.cfg.maxRateDebt(); m.meter.ahead(s.cfg) >= most || m.delayed() >= most {
		s.closeWith(codec.MessageRateTooHigh, "", "publishes too fast, without waiting for acknowledgements", out)
		return false
	}
	m.meter.charge(s.cfg, size)
	return true
}

// Answer lets go what answers a PUBLISH: the PUBACK or PUBREC that a call appended to out.Frames from start on. It leaves with what is
// in out; or it is held until ticket is durable (0: it is); or it is delayed, and then held if it still must.
func (s *Session) Answer(ticket uint64, start int, out *Output) {
	if s.delay(ticket, start, out) {
		return
	}
	if ticket > 0 {
		s.Hold(ticket, start, out)
	}
}

// delay keeps the answer back if the client is ahead of its rate. The last packet came at s.mark.
func (s *Session) delay(ticket uint64, start int, out *Output) bool {
	m, frame := s.more, out.Frames[start:]
	if m == nil || !s.cfg.hasRate() || s.phase != connected || len(frame) == 0 {
		return false
	}
	m.meter.leak(s.cfg, s.mark)
	wait, n := m.meter.wait(s.cfg), m.delayed()
	if wait == 0 && n == 0 {
		return false
	}
	due := s.mark + wait
	if n > 0 {
		due = max(due, m.paced.frames[n-1].due)
	} else {
		m.paced = &pacedQueue{}
	}
	if finishesPublish(frame) {
		s.receiving++ // until it is written
	}
	m.paced.frames = append(m.paced.frames, pacedFrame{due, newHeldFrame(ticket, frame)})
	out.Paced++
	out.Frames = out.Frames[:start]
	return true
}

// releasePaced lets the delayed answers go whose time has come.
func (s *Session) releasePaced(now Time, out *Output) {
	m := s.more
	q, n := m.paced, 0
	for n < len(q.frames) && q.frames[n].due <= now && !out.Close {
		h := &q.frames[n]
		n++
		start := len(out.Frames)
		out.Frames = append(out.Frames, h.bytes()...)
		if finishesPublish(h.bytes()) {
			s.receiving--
		}
		if h.ticket > out.DurableUpTo || len(m.held) > 0 {
			s.Hold(h.ticket, start, out)
		}
	}
	left := copy(q.frames, q.frames[n:])
	clear(q.frames[left:])
	if q.frames = q.frames[:left]; left == 0 {
		m.paced = nil
	}
}

// awaitsPace tells whether the PUBREC of a message is delayed.
func (m *more) awaitsPace(id uint16) bool {
	for i := range m.delayed() {
		if m.paced.frames[i].isPubrec(id) {
			return true
		}
	}
	return false
}
