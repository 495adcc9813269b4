package bench

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Several load machines carry out one run together. On each of them gannet bench agent
// waits; gannet bench run --agents is the coordinator. It gives every agent a share of
// the clients, of the rates and of the messages, and topics of its own, so that what one
// agent publishes is heard by its own clients alone: its books are whole, and no latency
// is taken between two clocks. What comes back is added up.
//
// # Frames
//
// Between the two there is one TCP connection, with TLS when they share a token (see
// agenttoken.go). It carries frames:
//
//	0                      4
//	┌──────────────────────┬───────────────┐
//	│ bytes that follow:32 │ JSON, UTF-8 … │   the length is big-endian
//	└──────────────────────┴───────────────┘
//
// A frame is one message: an object with the type and, for most of them, one member more.
// The first frame in each direction has at most helloMax bytes, the others agentFrameMax.
//
//	coordinator                        agent
//	hello{protocol, proof}      ──▶           within greetLimit
//	                            ◀──    hello{protocol, proof | refused}
//	order{…}                    ──▶           what to do, all of it
//	                            ◀──    meet{stage, count}     as far as the first start
//	ping{at}                    ──▶           at any time, and every second
//	                            ◀──    pong{at, clock}        so that clocks can be compared
//	start{at, total}            ──▶           by the clock of the agent
//	                            ◀──    second{…}              for each second of a stage
//	                            ◀──    end{stage}
//	                            ◀──    meet …                 and so on
//	                            ◀──    restart                the broker, by one agent only
//	stop                        ──▶           in between, if it is to end early
//	                            ◀──    result{…}              always the last
//
// The coordinator closes the connection. Neither waits for the other for ever: who is
// silent for silenceMax is taken for dead. Both must have the same protocol number. The
// layout of hello never changes, so that those of different numbers can say so.

// agentProtocol is the number of this protocol. It changes with every change of a message
// or of a scenario's stages.
const agentProtocol = 3

const (
	helloMax      = 4 << 10  // bytes
	agentFrameMax = 32 << 20 // bytes
	agentsMax     = 64
	greetLimit    = 10 * time.Second // for a connection, its handshake and hello
	silenceMax    = 20 * time.Second // of a peer that is alive
	writeLimit    = 10 * time.Second // for one frame
	pingEvery     = time.Second
)

// A message is what a frame carries: its type, and the member that the type names. Those
// without one are stop and restart.
type message struct {
	Type   string        `json:"type"`
	Hello  *hello        `json:"hello,omitempty"`
	Order  *order        `json:"order,omitempty"`
	Ping   *ping         `json:"ping,omitempty"`
	Pong   *pong         `json:"pong,omitempty"`
	Meet   *meeting      `json:"meet,omitempty"`
	Start  *starting     `json:"start,omitempty"`
	Second *secondReport `json:"second,omitempty"`
	End    *ending       `json:"end,omitempty"`
	Result *resultReport `json:"result,omitempty"`
}

const (
	messageStop    = "stop"
	messageRestart = "restart"
)

type hello struct {
	Protocol int    `json:"protocol"`
	Proof    []byte `json:"proof,omitempty"`   // that its sender has the token
	Refused  string `json:"refused,omitempty"` // why the agent does not want to
}

// ping and pong compare clocks. Times are nanoseconds since a moment of the sender's.
type ping struct {
	At time.Duration `json:"at"`
}

type pong struct {
	At    time.Duration `json:"at"` // of the ping
	Clock time.Duration `json:"clock"`
}

// meeting says that an agent has come to where it waits for the others.
type meeting struct {
	Stage int `json:"stage"` // stages before it
	Count int `json:"count"` // of whatever the scenario counts there
}

type starting struct {
	At    time.Duration `json:"at"`
	Total int           `json:"total"` // of the counts of all agents
}

// secondReport is one second of a stage.
type secondReport struct {
	Stage   int         `json:"stage"`
	Unit    string      `json:"unit"`
	Second  second      `json:"second"`
	Latency [][2]uint64 `json:"latency"` // of that second, see histogram.counts
}

type ending struct {
	Stage int `json:"stage"`
}

// resultReport is a result without its seconds.
type resultReport struct {
	Result *runResult    `json:"result"`
	Late   time.Duration `json:"late"` // how late it started at most
}

// complete returns an error unless m has the member that its type needs.
func (m *message) complete() error {
	members := map[string]bool{
		"hello": m.Hello != nil, "order": m.Order != nil, "ping": m.Ping != nil, "pong": m.Pong != nil, "meet": m.Meet != nil,
		"start": m.Start != nil, "second": m.Second != nil, "end": m.End != nil, "result": m.Result != nil && m.Result.Result != nil,
		messageStop: true, messageRestart: true,
	}
	there, known := members[m.Type]
	switch {
	case !known:
		return fmt.Errorf("frame: unknown type %.20q", m.Type)
	case !there:
		return fmt.Errorf("frame: %s without what it is about", m.Type)
	}
	return nil
}

// appendFrame appends m as a frame.
func appendFrame(dst []byte, m *message, most int) ([]byte, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return dst, fmt.Errorf("frame: %s: %w", m.Type, err)
	}
	if len(text) > most {
		return dst, fmt.Errorf("frame: %s of %d bytes, more than %d", m.Type, len(text), most)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(text)))
	return append(dst, text...), nil
}

// readFrame reads a frame of at most a number of bytes. io.EOF is the end of r between
// two frames.
func readFrame(r io.Reader, most int) (m message, err error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return m, err
	}
	size := binary.BigEndian.Uint32(length[:])
	if size > uint32(most) {
		return m, fmt.Errorf("frame: %d bytes, more than %d", size, most)
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(size))) // memory for what comes, not for what was announced
	if err != nil {
		return m, err
	}
	if len(text) < int(size) {
		return m, io.ErrUnexpectedEOF
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return message{}, fmt.Errorf("frame: %w", err)
	}
	if err := m.complete(); err != nil {
		return message{}, err
	}
	return m, nil
}
