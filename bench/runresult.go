package bench

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// runResult is what gannet bench run found out, in the form of --json. Times are in
// microseconds where a name does not say otherwise.
type runResult struct {
	Scenario    string            `json:"scenario"`
	About       string            `json:"about"`
	Notes       []string          `json:"notes,omitempty"`
	Broker      string            `json:"broker"`
	PID         int               `json:"pid,omitempty"`
	Protocol    string            `json:"protocol"`
	Parameters  map[string]any    `json:"parameters"`
	Started     time.Time         `json:"started"`
	Machine     string            `json:"machine"`
	Interrupted bool              `json:"interrupted,omitempty"`
	Error       string            `json:"error,omitempty"`
	Faults      map[string]uint64 `json:"faults"` // by kind; none: empty
	Phases      []phaseResult     `json:"phases"`
	Seconds     []second          `json:"seconds"`
}

// phaseResult is what one phase of a run came to.
type phaseResult struct {
	Name    string          `json:"name"`
	Unit    string          `json:"unit"`
	Seconds float64         `json:"seconds"`
	Sent    uint64          `json:"sent"`                    // messages
	Done    uint64          `json:"done"`                    // units: messages received, connections, cycles
	Rate    float64         `json:"rate_per_s"`              // units
	Offered float64         `json:"offered_per_s,omitempty"` // messages
	Behind  float64         `json:"behind_us,omitempty"`     // how late a message left at most
	Broker  *brokerCost     `json:"broker,omitempty"`
	Loader  loaderCost      `json:"loader"`
	Latency []latencyResult `json:"latency"`
}

// brokerCost is what a phase cost the broker, for each message in or out, connection or
// cycle.
type brokerCost struct {
	CPU      float64 `json:"cpu_us"`
	Use      float64 `json:"use"`       // of one processor, 0 to their number
	RSS      int64   `json:"rss_bytes"` // at the end
	Grown    int64   `json:"rss_grown_bytes"`
	Switches float64 `json:"switches"`
	Calls    float64 `json:"calls,omitempty"` // read and write system calls

	Syscalls *syscallCost `json:"syscalls,omitempty"` // with --syscalls
}

// times returns b with the costs of a unit multiplied.
func (b brokerCost) times(factor float64) *brokerCost {
	b.CPU, b.Switches, b.Calls, b.Syscalls = b.CPU*factor, b.Switches*factor, b.Calls*factor, b.Syscalls.times(factor)
	return &b
}

type loaderCost struct {
	CPU float64 `json:"cpu_us"`
	Use float64 `json:"use"`
}

// latencyResult is a distribution. Buckets are pairs of an upper edge in nanoseconds and
// a count, and all that was recorded.
type latencyResult struct {
	Of      string      `json:"of"`
	Group   string      `json:"group,omitempty"`
	Count   uint64      `json:"count"`
	P50     float64     `json:"p50_us"`
	P90     float64     `json:"p90_us"`
	P99     float64     `json:"p99_us"`
	P999    float64     `json:"p999_us"`
	Max     float64     `json:"max_us"`
	Buckets [][2]uint64 `json:"buckets_ns"`
}

// second is what one second came to.
type second struct {
	Phase     string  `json:"phase"`
	At        float64 `json:"at_s"`       // since the beginning
	Done      uint64  `json:"done"`       // units, so far
	Rate      float64 `json:"rate_per_s"` // units
	Sent      float64 `json:"sent_per_s"` // messages
	P50       float64 `json:"p50_us"`
	P90       float64 `json:"p90_us"`
	P99       float64 `json:"p99_us"`
	P999      float64 `json:"p999_us"`
	Max       float64 `json:"max_us"`
	BrokerUse float64 `json:"broker_use"` // of one processor
	BrokerRSS int64   `json:"broker_rss_bytes"`
	Faults    uint64  `json:"faults"` // so far
}

func newResult(o *runOptions) *runResult {
	var machine strings.Builder
	fmt.Fprintln(&machine, thisMachine())
	x := &runResult{
		Scenario: o.scenario.name, About: o.scenario.about, Broker: o.url, PID: o.target.pid,
		Protocol: "MQTT " + versionName(o.target.how.protocol()), Started: time.Now().UTC().Truncate(time.Second),
		Parameters: o.parameters(),
		Machine:    strings.TrimSpace(machine.String()), Faults: map[string]uint64{},
		Phases: []phaseResult{}, Seconds: []second{},
	}
	if changes := o.changes(); len(changes) > 0 && o.share.of <= 1 { // of a share the coordinator says it
		x.note("not as the scenario says: %s.", strings.Join(changes, ", "))
	}
	return x
}

// changes tells which numbers of the scenario the user has changed.
func (o *runOptions) changes() (all []string) {
	s, usual := &o.sizes, &o.scenario.sizes
	for _, n := range []struct {
		name       string
		now, usual any
	}{
		{"connections", s.connections, usual.connections}, {"publishers", s.publishers, usual.publishers}, {"subscribers", s.subscribers, usual.subscribers},
		{"messages", s.messages, usual.messages}, {"payload", s.payload, usual.payload}, {"qos", s.qos, usual.qos}, {"window", s.window, usual.window},
		{"rate", s.rate, usual.rate}, {"connect-rate", o.target.how.connectRate(), o.scenario.connectRate},
	} {
		if n.now != n.usual {
			all = append(all, fmt.Sprintf("%s %v instead of %v", n.name, n.now, n.usual))
		}
	}
	return all
}

// parameters returns what the run was asked for, as the flags name it.
func (o *runOptions) parameters() map[string]any {
	s := &o.sizes
	all := map[string]any{"prefix": o.prefix, "seed": o.seed, "patience": o.patience.Seconds()}
	if !o.scenario.phased {
		all["seconds"], all["warm"] = o.length.Seconds(), o.warm.Seconds()
	}
	for name, n := range map[string]int{
		"connections": s.connections, "publishers": s.publishers, "subscribers": s.subscribers,
		"messages": s.messages, "payload": s.payload, "window": s.window,
	} {
		if n > 0 {
			all[name] = n
		}
	}
	if s.window > 0 {
		all["qos"] = s.qos
	}
	if s.rate > 0 {
		all["rate"], all["arrivals"] = s.rate, s.arrivals
	}
	if rate := o.target.how.connectRate(); rate > 0 {
		all["connect-rate"] = rate
	}
	return all
}

// note adds a sentence about the circumstances.
func (x *runResult) note(format string, args ...any) {
	x.Notes = append(x.Notes, fmt.Sprintf(format, args...))
}

func (x *runResult) close(err error) {
	if err != nil {
		x.Error = oneLine(err)
	}
}

// book adds faults to those of the run.
func (r *runner) book(f faults) {
	r.faults.add(f)
	for _, kind := range r.faults.kinds() {
		if kind.n > 0 {
			r.result.Faults[kind.name] = kind.n
		}
	}
}

// total returns how many faults there are of all kinds.
func (f faults) total() (n uint64) {
	for _, kind := range f.kinds() {
		n += kind.n
	}
	return n
}

// costs fills in what two readings say about the units between them.
func (p *phaseResult) costs(from, to runReading, units uint64) {
	p.Seconds = (to.at - from.at).Seconds()
	p.Rate = float64(p.Done) / p.Seconds
	loader := to.loader - from.loader
	each := func(amount float64) float64 {
		if units == 0 {
			return 0
		}
		return amount / float64(units)
	}
	p.Loader = loaderCost{CPU: each(micros(loader)), Use: loader.Seconds() / p.Seconds}
	if !from.known || !to.known {
		return
	}
	cpu := to.broker.cpu - from.broker.cpu
	p.Broker = &brokerCost{
		CPU: each(micros(cpu)), Use: cpu.Seconds() / p.Seconds,
		RSS: to.broker.rss, Grown: to.broker.rss - from.broker.rss,
		Switches: each(float64(to.broker.switches - min(from.broker.switches, to.broker.switches))),
		Calls:    each(float64(to.broker.calls - min(from.broker.calls, to.broker.calls))),
	}
	if from.calls != nil && to.calls != nil {
		p.Broker.Syscalls = syscallsBetween(to.names, from.calls, to.calls, each)
	}
}

func (p *phaseResult) addLatency(s latencySource, h *histogram) {
	if h.total() > 0 {
		p.Latency = append(p.Latency, latencyOf(s.of, s.group, h))
	}
}

func latencyOf(what, group string, h *histogram) latencyResult {
	return latencyResult{
		Of: what, Group: group, Count: h.total(),
		P50: micros(h.quantile(0.5)), P90: micros(h.quantile(0.9)), P99: micros(h.quantile(0.99)),
		P999: micros(h.quantile(0.999)), Max: micros(h.quantile(1)), Buckets: h.counts(),
	}
}

// writeResult prints x for people.
func writeResult(w io.Writer, x *runResult) {
	fmt.Fprintf(w, "%s: %s.\n%s, %s", x.Scenario, x.About, x.Broker, x.Protocol)
	if x.PID != 0 {
		fmt.Fprintf(w, ", process %d", x.PID)
	}
	fmt.Fprintf(w, ".\nParameters:")
	for _, name := range slices.Sorted(maps.Keys(x.Parameters)) {
		fmt.Fprintf(w, " %s %v;", name, x.Parameters[name])
	}
	fmt.Fprintf(w, "\n%s\n", x.Machine)
	for _, note := range x.Notes {
		fmt.Fprintf(w, "Note: %s\n", note)
	}
	fmt.Fprintln(w)
	if len(x.Phases) > 0 {
		writePhases(w, x)
		writeSyscalls(w, x)
		writeLatencies(w, x)
	}
	if x.Interrupted {
		fmt.Fprintln(w, "Interrupted: these are the figures until then.")
	}
	if x.Error != "" {
		fmt.Fprintf(w, "It ended early: %s\n", x.Error)
	}
	fmt.Fprintf(w, "Faults: %s.\n", x.troubles())
}

func (x *runResult) troubles() string {
	var kinds []string
	for name, n := range x.Faults {
		kinds = append(kinds, fmt.Sprintf("%d %s", n, name))
	}
	if len(kinds) == 0 {
		return "none"
	}
	slices.Sort(kinds)
	return strings.Join(kinds, ", ")
}

func writePhases(w io.Writer, x *runResult) {
	fmt.Fprintln(w, "CPU, switches of context, reads and writes are the broker's, the loader's processor time its own: for each message in or out, connection or cycle. Busy is of one processor.")
	fmt.Fprintln(w)
	writeLine(w, []string{"phase", "s", "of", "done", "rate /s", "sent /s", "due /s", "latest sent ms", "broker CPU µs",
		"busy", "RSS MiB", "grown B each", "switches", "reads, writes", "loader µs (busy)"})
	writeLine(w, append([]string{"---", "---:", "---"}, slices.Repeat([]string{"---:"}, 12)...))
	for i := range x.Phases {
		p := &x.Phases[i]
		cells := []string{p.Name, number(p.Seconds), p.Unit, strconv.FormatUint(p.Done, 10), number(p.Rate),
			number(float64(p.Sent) / p.Seconds), number(p.Offered), number(p.Behind / 1e3)}
		if b := p.Broker; b != nil {
			cells = append(cells, number(b.CPU), percent(b.Use), number(mebi(b.RSS)), p.grown(), number(b.Switches), number(b.Calls))
		} else {
			cells = append(cells, "", "", "", "", "", "")
		}
		writeLine(w, append(cells, fmt.Sprintf("%s (%s)", number(p.Loader.CPU), percent(p.Loader.Use))))
	}
	fmt.Fprintln(w)
}

// grown is how many bytes of memory each connection, or whatever stays, has added.
func (p *phaseResult) grown() string {
	if p.Done == 0 || p.Unit == unitMessage || p.Unit == unitCycle {
		return ""
	}
	return number(float64(p.Broker.Grown) / float64(p.Done))
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

func writeLatencies(w io.Writer, x *runResult) {
	header := false
	for i := range x.Phases {
		for _, l := range x.Phases[i].Latency {
			if !header {
				header = true
				writeLine(w, []string{"latency ms", "phase", "group", "count", "p50", "p90", "p99", "p99.9", "max"})
				writeLine(w, append([]string{"---", "---", "---"}, slices.Repeat([]string{"---:"}, 6)...))
			}
			cells := []string{l.Of, x.Phases[i].Name, l.Group, strconv.FormatUint(l.Count, 10)}
			for _, v := range []float64{l.P50, l.P90, l.P99, l.P999, l.Max} {
				cells = append(cells, number(v/1e3))
			}
			writeLine(w, cells)
		}
	}
	if header {
		fmt.Fprintln(w)
	}
}

// resultFiles are those of --json and --csv, created before the run, which may take
// hours.
type resultFiles struct{ json, csv *os.File }

func (o *runOptions) files() (f resultFiles, err error) {
	if o.json != "" {
		if f.json, err = os.Create(o.json); err != nil {
			return f, fmt.Errorf("json: %w", err)
		}
	}
	if o.csv != "" {
		if f.csv, err = os.Create(o.csv); err != nil {
			f.close()
			return f, fmt.Errorf("csv: %w", err)
		}
	}
	return f, nil
}

func (f *resultFiles) close() {
	for _, file := range []*os.File{f.json, f.csv} {
		if file != nil {
			_ = file.Close() // write has closed it already and told of errors
		}
	}
}

// conclude closes x, which ended with an error or nil, prints it and writes it down. Faults
// are an error, too.
func (f *resultFiles) conclude(x *runResult, err error, stdout io.Writer) error {
	x.close(err)
	writeResult(stdout, x)
	if failed := f.write(x); failed != nil {
		return errors.Join(err, failed)
	}
	if err == nil && len(x.Faults) > 0 {
		return fmt.Errorf("there were faults: %s", x.troubles())
	}
	return err
}

// write writes x to both files, so far as they were asked for.
func (f *resultFiles) write(x *runResult) (err error) {
	if f.json != nil {
		e := json.NewEncoder(f.json)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		err = errors.Join(err, e.Encode(x), f.json.Close())
	}
	if f.csv != nil {
		err = errors.Join(err, writeSeconds(f.csv, x), f.csv.Close())
	}
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// writeSeconds writes a line for every second.
func writeSeconds(w io.Writer, x *runResult) error {
	c := csv.NewWriter(w)
	lines := [][]string{{"phase", "at_s", "done", "rate_per_s", "sent_per_s", "p50_us", "p90_us", "p99_us", "p999_us", "max_us", "broker_use", "broker_rss_bytes", "faults"}}
	for i := range x.Seconds {
		s := &x.Seconds[i]
		line := []string{s.Phase}
		for _, v := range []float64{s.At, float64(s.Done), s.Rate, s.Sent, s.P50, s.P90, s.P99, s.P999, s.Max, s.BrokerUse, float64(s.BrokerRSS), float64(s.Faults)} {
			line = append(line, strconv.FormatFloat(v, 'f', -1, 64))
		}
		lines = append(lines, line)
	}
	return c.WriteAll(lines)
}
