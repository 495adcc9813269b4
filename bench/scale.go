package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// scaleOptions are what the flags of gannet bench scale say.
type scaleOptions struct {
	parts     []scalePart
	sessions  int
	takeovers bool
	exact     int
	wildcards int
	receivers int
	loops     int
	rate      int           // messages a second beside the population
	length    time.Duration // of that
	memory    int64         // bytes that may be used; 0: unknown, not judged
	json      string        // file; empty: none
}

// scalePart is one of the things that gannet bench scale can make many of.
type scalePart struct {
	name, about string
	needs       func(o *scaleOptions) int64 // bytes, garbage included
	run         func(ctx context.Context, s *scaleRun) error
}

func scaleParts() []scalePart {
	return []scalePart{
		{"connected", "sessions with a connection and a subscription each, then a takeover of each by a new connection",
			func(o *scaleOptions) int64 { return int64(o.sessions) * connectedNeeds }, scaleConnected},
		{"parked", "the same sessions without connections",
			func(o *scaleOptions) int64 { return int64(o.sessions) * parkedNeeds }, scaleParked},
		{"router", "filters with and without wildcards, and matches among them",
			func(o *scaleOptions) int64 { return int64(o.exact)*exactNeeds + int64(o.wildcards)*wildcardNeeds }, scaleRouter},
		{"fanout", "one message to receivers of the same filter",
			func(o *scaleOptions) int64 { return int64(o.receivers) * receiverNeeds }, scaleFanout},
	}
}

// What one of each needs at the peak, in bytes: twice what was live, for the collector lets as much garbage gather, or the
// growth of resident memory where that was more, and a fifth above it.
const (
	connectedNeeds = 1400
	parkedNeeds    = 1200
	exactNeeds     = 300
	wildcardNeeds  = 480
	receiverNeeds  = 2200
	scaleMost      = 100_000_000 // of anything
)

// scaleSettings reads the arguments of gannet bench scale.
func scaleSettings(args []string, output io.Writer) (*scaleOptions, error) {
	o, parts := &scaleOptions{}, scaleParts()
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	f := newFlags("scale", "holds a broker's core by the million in this process, without a network", output)
	which := f.String("parts", "all", "`NAMES` separated by commas, or all: "+strings.Join(names, ", "))
	f.IntVar(&o.sessions, "sessions", 1_000_000, "`N` sessions, connected and then parked")
	f.BoolVar(&o.takeovers, "takeover", true, "have a new connection take each of the connected sessions over")
	f.IntVar(&o.exact, "exact", 2_000_000, "`N` filters without a wildcard")
	f.IntVar(&o.wildcards, "wildcards", 1_000_000, "`N` filters with a wildcard")
	f.IntVar(&o.receivers, "receivers", 1_000_000, "`N` receivers of one message")
	f.IntVar(&o.loops, "loops", 2, "`N` event loops, turned one after the other")
	f.IntVar(&o.rate, "rate", 5000, "`N` messages a second beside the sessions")
	seconds := f.Float64("seconds", 3, "`S` seconds of messages, once in quiet and once while the garbage collector runs all the time")
	memory := f.Float64("memory", 0, "`GIB` of memory that may be used (default: what the system has available)")
	f.StringVar(&o.json, "json", "", "`FILE` for the same figures as JSON")
	if err := f.parse(args); err != nil {
		return nil, err
	}
	for _, n := range []struct {
		name       string
		value, max int
	}{
		{"sessions", o.sessions, scaleMost}, {"exact", o.exact, scaleMost}, {"wildcards", o.wildcards, scaleMost},
		{"receivers", o.receivers, scaleMost}, {"loops", o.loops, 1024}, {"rate", o.rate, 1_000_000},
	} {
		if n.value < 1 || n.value > n.max {
			return nil, fmt.Errorf("%s: %d is not between 1 and %d", n.name, n.value, n.max)
		}
	}
	if !(*seconds >= 0.01 && *seconds <= 3600) {
		return nil, fmt.Errorf("seconds: %v is not between 0.01 and 3600", *seconds)
	}
	if !(*memory >= 0 && *memory <= 1<<20) {
		return nil, fmt.Errorf("memory: %v is not between 0 and 1048576", *memory)
	}
	o.length = time.Duration(*seconds * float64(time.Second))
	if o.memory = int64(*memory * (1 << 30)); o.memory == 0 {
		o.memory = availableMemory()
	}
	if *which == "all" {
		o.parts = parts
		return o, nil
	}
	for name := range strings.SplitSeq(*which, ",") {
		i := slices.Index(names, name)
		if i < 0 {
			return nil, fmt.Errorf("parts: there is no %q: write all, or some of %s", name, strings.Join(names, ", "))
		}
		o.parts = append(o.parts, parts[i])
	}
	return o, nil
}

// enough returns an error if a part needs more memory than there is. Parts run one after the other.
func (o *scaleOptions) enough() error {
	for _, p := range o.parts {
		if need := p.needs(o); o.memory > 0 && need > o.memory {
			return fmt.Errorf("%s needs about %.1f GiB of memory and may use %.1f: make it smaller, leave it out of --parts, or say with --memory that there is more",
				p.name, gibi(need), gibi(o.memory))
		}
	}
	return nil
}

func gibi(bytes int64) float64 { return float64(bytes) / (1 << 30) }

// scaleFigure is one line of the report.
type scaleFigure struct {
	Part   string  `json:"part"`
	Figure string  `json:"figure"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
}

// scaleRun is a run of gannet bench scale.
type scaleRun struct {
	*scaleOptions
	part    string
	figures []scaleFigure
	out     io.Writer
}

// note prints a figure and keeps it.
func (s *scaleRun) note(figure string, value float64, unit string) {
	s.figures = append(s.figures, scaleFigure{s.part, figure, value, unit})
	text := number(value)
	if value == 0 {
		text = "0"
	}
	writeLine(s.out, []string{s.part, figure, text, unit})
}

// each notes what one of n cost: time since began, and heap beyond that of before.
func (s *scaleRun) each(what string, n int, began time.Time, before int64) {
	took := time.Since(began)
	s.note("time to make one "+what, float64(took.Nanoseconds())/float64(n)/1e3, "µs")
	s.note("live heap for one "+what, float64(liveHeap()-before)/float64(n), "B")
}

// scale is gannet bench scale. When it is ended early, it prints what it has.
func scale(ctx context.Context, o *scaleOptions, stdout, stderr io.Writer) error {
	if err := o.enough(); err != nil {
		return misused(err)
	}
	if o.json != "" {
		if err := creatable(o.json); err != nil {
			return misused(fmt.Errorf("json: %w", err))
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(100)) // whatever GOGC says: the sizes above count on it
	fmt.Fprintln(stdout, thisMachine())
	fmt.Fprintf(stdout, "A simulation: the broker's core in this process, %d loops turned by one goroutine, far ends that swallow what they get.\n", o.loops)
	fmt.Fprintln(stdout, "No sockets, no kernel, no TLS: gannet bench idle has what a connection costs with those.")
	fmt.Fprintln(stdout)
	s := &scaleRun{scaleOptions: o, out: stdout}
	writeLine(stdout, []string{"part", "figure", "value", "unit"})
	writeLine(stdout, []string{"---", "---", "---:", "---"})
	var failed error
	for _, p := range o.parts {
		fmt.Fprintf(stderr, "%s: %s\n", p.name, p.about)
		s.part = p.name
		debug.FreeOSMemory()
		unknown := resetPeak(os.Getpid())
		if err := p.run(ctx, s); err != nil {
			failed = fmt.Errorf("%s: %w", p.name, err)
			break
		}
		if peak, err := processPeak(os.Getpid()); err == nil && unknown == nil {
			s.note("most resident memory, garbage included", mebi(peak), "MiB")
		}
	}
	return errors.Join(failed, s.save())
}

// save writes the figures to the file of --json.
func (s *scaleRun) save() error {
	if s.json == "" {
		return nil
	}
	text, err := json.MarshalIndent(struct {
		Simulation bool          `json:"simulation"`
		Machine    machine       `json:"machine"`
		Figures    []scaleFigure `json:"figures"`
	}{true, thisMachine(), s.figures}, "", "  ")
	if err == nil {
		err = os.WriteFile(s.json, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("json: %w", err)
	}
	return nil
}

// scaleConnected holds connected Sessions, publishes beside them, and has each taken over.
func scaleConnected(ctx context.Context, s *scaleRun) error {
	f, err := s.arrived(ctx)
	if err != nil {
		return err
	}
	if err := s.publishBeside(ctx, f); err != nil {
		return err
	}
	if s.takeovers {
		gc, began := readPauses(), time.Now()
		if err := f.takeOver(ctx); err != nil {
			return err
		}
		s.note(fmt.Sprintf("takeover storm: all %d", s.sessions), time.Since(began).Seconds(), "s")
		s.note("takeover storm: one", float64(time.Since(began).Microseconds())/float64(s.sessions), "µs")
		s.pausesOf("takeover storm", readPauses().since(gc))
	}
	runtime.KeepAlive(f)
	return nil
}

// arrived returns a population of connected Sessions, and notes what one costs.
func (s *scaleRun) arrived(ctx context.Context) (*population, error) {
	f := newPopulation(s.loops, s.sessions)
	before, began := liveHeap(), time.Now()
	if err := f.arrive(ctx, codec.QoS1, appendCommand); err != nil {
		return nil, err
	}
	s.each(fmt.Sprintf("connected session of %d", s.sessions), s.sessions, began, before)
	return f, nil
}

// scaleParked holds Sessions whose clients have gone, and publishes beside them.
func scaleParked(ctx context.Context, s *scaleRun) error {
	f := newPopulation(s.loops, s.sessions)
	before, began := liveHeap(), time.Now()
	if err := f.arrive(ctx, codec.QoS1, appendCommand); err != nil {
		return err
	}
	if err := f.park(ctx); err != nil {
		return err
	}
	s.each(fmt.Sprintf("parked session of %d", s.sessions), s.sessions, began, before)
	if n := f.b.Sessions(); n != s.sessions {
		return fmt.Errorf("%d sessions are left of %d", n, s.sessions)
	}
	err := s.publishBeside(ctx, f)
	runtime.KeepAlive(f)
	return err
}

// publishBeside measures messages beside a population that is silent, with the collector at rest and at work.
func (s *scaleRun) publishBeside(ctx context.Context, f *population) error {
	quiet, err := f.beside(ctx, s.rate, s.length)
	if err != nil {
		return err
	}
	s.latency("quiet", quiet)
	gc, stop := readPauses(), collecting()
	busy, err := f.beside(ctx, s.rate, s.length)
	cycle := stop()
	if err != nil {
		return err
	}
	s.latency("while the collector runs", busy)
	s.note("one collection", float64(cycle.Microseconds())/1e3, "ms")
	s.pausesOf("while the collector runs", readPauses().since(gc))
	return nil
}

func (s *scaleRun) latency(when string, h *histogram) {
	for _, q := range []struct {
		name string
		q    float64
	}{{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"longest", 1}} {
		s.note("publish to delivery, "+when+": "+q.name, float64(h.quantile(q.q).Nanoseconds())/1e3, "µs")
	}
}

func (s *scaleRun) pausesOf(when string, p pauses) {
	s.note("collections, "+when, float64(p.cycles), "")
	if p.count() > 0 {
		s.note("pauses of these: p50", float64(p.quantile(0.5).Nanoseconds())/1e3, "µs")
		s.note("pauses of these: longest", float64(p.quantile(1).Nanoseconds())/1e3, "µs")
	}
}

// fanoutRounds is how often the message is sent; the figures are of the middle one.
const fanoutRounds = 3

// scaleFanout sends one message to many.
func scaleFanout(ctx context.Context, s *scaleRun) error {
	const topic = "bench/everybody"
	f := newPopulation(s.loops, s.receivers)
	before, began := liveHeap(), time.Now()
	if err := f.arrive(ctx, codec.QoS1, func(dst []byte, _ int) []byte { return append(dst, topic...) }); err != nil {
		return err
	}
	s.each(fmt.Sprintf("receiver of %d", s.receivers), s.receivers, began, before)
	var took [fanoutRounds]time.Duration
	for i := range took {
		var err error
		if took[i], err = f.spread(topic, codec.QoS0); err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
	slices.Sort(took[:])
	s.delivery("QoS 0", took[fanoutRounds/2])
	once, err := f.spread(topic, codec.QoS1)
	if err != nil {
		return err
	}
	s.delivery("QoS 1", once)
	began = time.Now()
	if err := f.acknowledge(ctx); err != nil {
		return err
	}
	s.note("QoS 1: one acknowledgement", float64(time.Since(began).Nanoseconds())/float64(s.receivers), "ns")
	runtime.KeepAlive(f)
	return nil
}

func (s *scaleRun) delivery(qos string, took time.Duration) {
	s.note(fmt.Sprintf("%s: one message to %d", qos, s.receivers), float64(took.Microseconds())/1e3, "ms")
	s.note(qos+": one delivery", float64(took.Nanoseconds())/float64(s.receivers), "ns")
}
