package bench

import (
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gannetmq/gannet/engine"
)

// slopes are what a plan is computed from: what one more connection, message or newcomer costs, as measured on one
// machine. They are kept as JSON.
type slopes struct {
	Machine machine         `json:"machine"`
	Version string          `json:"version"` // of the broker
	TCP     transportSlopes `json:"tcp,omitzero"`
	TLS     transportSlopes `json:"tls,omitzero"`
}

// transportSlopes are those of one transport. Bytes are for each connection, between Few and Many of them; microseconds
// are processor time.
type transportSlopes struct {
	Few           int     `json:"few"`
	Many          int     `json:"many"`
	Empty         float64 `json:"empty_bytes"`       // resident memory of a broker without connections
	Resident      float64 `json:"resident_bytes"`    // of the broker
	Kernel        float64 `json:"kernel_bytes"`      // slab memory of one socket: half of what both ends took
	Loader        float64 `json:"loader_bytes"`      // resident memory of the loader
	Connect       float64 `json:"connect_us"`        // of the broker: accepting, handshake, CONNECT, SUBSCRIBE
	Message       float64 `json:"message_us"`        // of the broker, for a message in or out, QoS 1, each alone in its packet
	Batched       float64 `json:"batched_us"`        // the same with 20 in flight for each publisher
	LoaderMessage float64 `json:"loader_message_us"` // of the loader, each alone
}

func (t *transportSlopes) validate(name string) error {
	for _, x := range []struct {
		key   string
		value float64
	}{
		{"resident_bytes", t.Resident}, {"kernel_bytes", t.Kernel}, {"loader_bytes", t.Loader}, {"connect_us", t.Connect},
		{"message_us", t.Message}, {"batched_us", t.Batched}, {"loader_message_us", t.LoaderMessage},
	} {
		if !(x.value > 0 && x.value < 1e9) {
			return fmt.Errorf("slopes: %s: %s is %v", name, x.key, x.value)
		}
	}
	if t.Few < 0 || t.Many <= t.Few || !(t.Empty >= 0 && t.Empty < 1e12) {
		return fmt.Errorf("slopes: %s: from %d to %d connections, %v bytes before", name, t.Few, t.Many, t.Empty)
	}
	return nil
}

// reference are slopes that were measured for this release, to begin with.
//
//go:embed slopes.json
var reference []byte

// parseSlopes reads slopes from JSON and judges them. Either transport may be missing, but not both.
func parseSlopes(text []byte) (*slopes, error) {
	s := &slopes{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("slopes: %w", err)
	}
	if s.TCP == s.TLS {
		return nil, errors.New("slopes: there are none")
	}
	for name, t := range map[string]*transportSlopes{"tcp": &s.TCP, "tls": &s.TLS} {
		if *t == (transportSlopes{}) {
			continue
		}
		if err := t.validate(name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// save writes slopes to a file.
func (s *slopes) save(file string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = os.WriteFile(file, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("slopes: %w", err)
	}
	return nil
}

// Sizes of a measurement: small enough for the usual limit of descriptors and for half a minute.
const (
	slopeMany      = 15_000 // silent connections; the slope is from a third of them
	slopeManyTLS   = 6000   // the same, for the handshakes take time
	slopeSpare     = 1000   // descriptors that they leave
	slopeNewcomers = 3000
	slopeSettle    = 6 * time.Second // the broker tidies up when it has been quiet for 2 s to 4 s
	slopeLength    = 2 * time.Second
)

// measureSlopes starts Gannet on this machine several times and takes the slopes of one transport.
func measureSlopes(ctx context.Context, path string, secure bool, log io.Writer) (*slopes, error) {
	r, newLayers := gannetAt(path), func() func() layer { return nil }
	if secure {
		c, err := newCertificate()
		if err != nil {
			return nil, err
		}
		r = r.serving(overMQTTS, c)
		newLayers = func() func() layer { return c.clients(tls.VersionTLS13, false).layer }
	}
	version, err := versionOf(ctx, r)
	if err != nil {
		return nil, misused(err)
	}
	s := &slopes{Machine: thisMachine(), Version: version}
	t, many := &s.TCP, slopeMany
	if secure {
		t, many = &s.TLS, slopeManyTLS
	}
	if limit := engine.DescriptorLimit(); limit < uint64(many+slopeSpare) {
		if many = int(limit) - slopeSpare; many < slopeSpare {
			return nil, fmt.Errorf("measure: %d file descriptors are too few: ulimit -n %d", limit, 2*slopeSpare)
		}
	}
	t.Few, t.Many = many/3, many
	g := gauge{recipe: r, newLayers: newLayers, log: log, budget: budget{
		warm: slopeLength / 6, length: slopeLength, connections: slopeNewcomers, patience: patience,
	}}
	if err := g.idle(ctx, t); err != nil {
		return nil, err
	}
	return s, g.others(ctx, t)
}

// gauge measures the slopes of one transport.
type gauge struct {
	recipe    recipe
	newLayers func() func() layer
	budget    budget
	log       io.Writer
}

// with runs measure against a fresh broker.
func (g *gauge) with(ctx context.Context, what string, measure func(t target) error) (err error) {
	fmt.Fprintf(g.log, "measuring %s\n", what)
	p, err := startProcess(ctx, g.recipe)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	p.layer = g.newLayers()
	if err := measure(p.target); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// idle takes what silent connections need: of the broker, of the loader, and of the kernel, whose slab memory is that of
// both ends, and of whatever else happens on the machine.
func (g *gauge) idle(ctx context.Context, s *transportSlopes) error {
	return g.with(ctx, "the memory of idle connections", func(t target) error {
		var slab, own []float64
		c := climb{steps: []int{0, s.Few, s.Many}, settle: slopeSettle, patience: patience, tell: func(int, int64) {
			resident, err := processRSS(os.Getpid())
			if err != nil {
				resident = 0 // judged below
			}
			slab, own = append(slab, float64(meminfo("Slab"))), append(own, float64(resident))
		}}
		sizes, err := c.run(ctx, t)
		if err != nil {
			return err
		}
		further := float64(s.Many - s.Few)
		s.Empty, s.Resident = float64(sizes[0]), float64(sizes[2]-sizes[1])/further
		s.Kernel = (slab[2] - slab[1]) / further / 2
		s.Loader = max(own[2]-own[1], float64(s.Many)) / further // the heap grows in steps: at least a byte each
		return nil
	})
}

// others takes the processor time of newcomers and of messages.
func (g *gauge) others(ctx context.Context, s *transportSlopes) error {
	err := g.with(ctx, "the processor time of newcomers", func(t target) error {
		o, err := measureArrivals(ctx, t, g.budget)
		s.Connect = o.serverCPU
		return err
	})
	if err != nil {
		return err
	}
	for _, e := range catalog() {
		if e.name != "single-qos1" && e.name != "p2p-qos1" {
			continue
		}
		err := g.with(ctx, "the processor time of messages: "+e.about, func(t target) error {
			o, err := e.run(ctx, t, g.budget)
			if e.name == "p2p-qos1" {
				s.Batched = o.serverCPU
			} else {
				s.Message, s.LoaderMessage = o.serverCPU, o.loaderCPU
			}
			if err == nil && o.faults.any() {
				err = fmt.Errorf("faults: %v", o.faults)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
