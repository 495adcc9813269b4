package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

var (
	rounds  = flag.Int("rounds", 0, "rounds of the table; 0: one short one, of which the times say nothing")
	seconds = flag.Float64("seconds", 2, "length of a load in a round")
	place   = flag.String("place", "free", "free: as the kernel likes; apart: broker and loader on a processor each")
)

// TestMain is also the loader, in a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv(asLoader) != "" {
		main()
		return
	}
	if os.Getenv("INTEROP_BIN") == "" {
		fmt.Fprintln(os.Stderr, "INTEROP_BIN is not set: start the suite with run.sh")
		os.Exit(2)
	}
	os.Exit(m.Run())
}

const asLoader = "INTEROP_LOADER"

// payload is what both loaders send, in bytes.
const payload = 64

// scenario is one that both loaders know.
type scenario struct {
	name        string
	fan         bool
	clients     int     // pairs, or receivers
	connections int     // instead of messages
	rate        float64 // messages or connections a second
	qos         int
}

// scenarios have rates at which both loaders use less than half of a processor.
var scenarios = []scenario{
	{name: "50 pairs, QoS 0", clients: 50, rate: 4000},
	{name: "50 pairs, QoS 1", clients: 50, rate: 4000, qos: 1},
	{name: "1 to 100, QoS 0", clients: 100, rate: 40, fan: true},
	{name: "connections", connections: 800, rate: 400},
}

// audience is how many receivers each message has.
func (s *scenario) audience() uint64 {
	if s.fan {
		return uint64(s.clients)
	}
	return 1
}

// loader is one of the two.
type loader struct {
	name string
	run  func(t *testing.T, p placement, s *scenario, b *broker, length time.Duration) *result
}

var loaders = []loader{{"gannet bench run", runOurs}, {"paho", runTheirs}}

// TestLoadersAgree has both loaders in turn put the same loads on every broker.
func TestLoadersAgree(t *testing.T) {
	p, known := placements[*place]
	if !known {
		t.Fatalf("-place: %q is none of apart and free", *place)
	}
	all := brokers(t, p)
	for i := range scenarios {
		s := &scenarios[i]
		t.Run(s.name, func(t *testing.T) {
			s.compare(t, p, all)
		})
	}
}

// compare runs a scenario. Whether a run of one broker was counted right is looked up when
// the other broker has had its turn: by then its counts have come to rest.
func (s *scenario) compare(t *testing.T, p placement, all []*broker) {
	table := map[[2]string][]*result{}
	pending := map[*broker]func(){}
	for round := range *rounds + 1 {
		length := time.Second // of the first round, which is for warming up
		if round > 0 {
			length = time.Duration(*seconds * float64(time.Second))
		}
		turn := slices.Clone(loaders)
		if round%2 == 1 {
			slices.Reverse(turn)
		}
		for _, l := range turn {
			for _, b := range all {
				if check := pending[b]; check != nil {
					check()
				}
				r := l.run(t, p, s, b, length)
				tick := b.watcher.tick()
				pending[b] = func() { s.check(t, l.name, b, tick, length, r) }
				if round > 0 || *rounds == 0 {
					table[[2]string{b.name, l.name}] = append(table[[2]string{b.name, l.name}], r)
				}
			}
		}
	}
	for _, b := range all {
		pending[b]()
	}
	s.print(t, all, table)
}

// check holds what a loader says of a run that ended before a tick against the scenario
// and the broker's counts.
func (s *scenario) check(t *testing.T, name string, b *broker, tick int, length time.Duration, r *result) {
	t.Helper()
	now := b.watcher.after(t, tick)
	did := now.since(b.before)
	b.before = now
	complain := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s on %s: %s", name, b.name, fmt.Sprintf(format, args...))
	}
	if r.Faults != (faults{}) {
		complain("%v", r.Faults)
	}
	if s.connections > 0 {
		const each, answers = 3, 2 // CONNECT, SUBSCRIBE, DISCONNECT; CONNACK, SUBACK
		if n := uint64(s.connections); r.Received != n || did.packetsIn != each*n || did.packetsOut != answers*n {
			complain("%d connections instead of %d, for which the broker counts %d packets in and %d out", r.Received, n, did.packetsIn, did.packetsOut)
		}
		return
	}
	if due := float64(dueWithin(length, s.rate)); float64(r.Sent) < 0.99*due || float64(r.Sent) > 1.01*due {
		complain("%d sent, where %.0f were due", r.Sent, due)
	}
	if r.Received != r.Sent*s.audience() {
		complain("%d received of %d sent to %d", r.Received, r.Sent, s.audience())
	}
	if did.publishIn != r.Sent || did.publishOut != r.Received {
		complain("%d sent and %d received, and the broker counts %d and %d", r.Sent, r.Received, did.publishIn, did.publishOut)
	}
}

// command runs a loader on its processors to its end, and returns what it printed.
func (p placement) command(t *testing.T, environment string, argv ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	argv = on(p.loader, argv)
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	c.Env, c.Stdout, c.Stderr = append(os.Environ(), environment), &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(argv, " "), err, &stdout, &stderr)
	}
	return stdout.Bytes()
}

// runTheirs runs the loader of this package.
func runTheirs(t *testing.T, p placement, s *scenario, b *broker, length time.Duration) *result {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	printed := p.command(t, asLoader+"=yes", self, "-json", "-prefix=agree-1", "-fan="+strconv.FormatBool(s.fan),
		"-clients="+strconv.Itoa(s.clients), "-connections="+strconv.Itoa(s.connections), "-rate="+number(s.rate),
		"-qos="+strconv.Itoa(s.qos), "-payload="+strconv.Itoa(payload), "-length="+length.String(),
		"-pid="+strconv.Itoa(b.pid), b.address)
	r := &result{}
	if err := json.Unmarshal(printed, r); err != nil {
		t.Fatalf("loader: %v\n%s", err, printed)
	}
	return r
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// benchResult is what is needed of the result of gannet bench run.
type benchResult struct {
	Faults map[string]uint64
	Phases []struct {
		Name       string
		Seconds    float64
		Sent, Done uint64
		Broker     struct {
			CPU float64 `json:"cpu_us"`
			Use float64
		}
		Loader struct {
			CPU float64 `json:"cpu_us"`
			Use float64
		}
		Latency []struct {
			Count uint64
			P50   float64 `json:"p50_us"`
			P99   float64 `json:"p99_us"`
			Max   float64 `json:"max_us"`
		}
	}
}

// runOurs runs gannet bench run.
func runOurs(t *testing.T, p placement, s *scenario, b *broker, length time.Duration) *result {
	t.Helper()
	file := filepath.Join(t.TempDir(), "result.json")
	argv := []string{os.Getenv("INTEROP_BIN"), "bench", "run"}
	phase := "load"
	switch {
	case s.connections > 0:
		phase = "connect"
		argv = append(argv, "storm", "--connections="+strconv.Itoa(s.connections), "--connect-rate="+number(s.rate), "--seconds=0.01")
	case s.fan:
		argv = append(argv, "fanout", "--subscribers="+strconv.Itoa(s.clients))
	default:
		argv = append(argv, "p2p", "--publishers="+strconv.Itoa(s.clients), "--subscribers="+strconv.Itoa(s.clients))
	}
	if s.connections == 0 {
		argv = append(argv, "--rate="+number(s.rate), "--arrivals=uniform", "--qos="+strconv.Itoa(s.qos), "--window=4096",
			"--payload="+strconv.Itoa(payload), "--warm=0", "--seconds="+number(length.Seconds()))
	}
	p.command(t, "", append(argv, "--prefix=agree-2", "--pid="+strconv.Itoa(b.pid), "--json="+file, b.address)...)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var from benchResult
	if err := json.Unmarshal(text, &from); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, x := range from.Phases {
		if x.Name != phase || len(x.Latency) != 1 {
			continue
		}
		l := &x.Latency[0]
		r := &result{
			Received: l.Count, Sent: l.Count / s.audience(), // all of both are in the phase; it failed if one was lost
			SentInTime: x.Sent, DoneInTime: x.Done, Seconds: x.Seconds,
			BrokerCPU: x.Broker.CPU, BrokerUse: x.Broker.Use, LoaderCPU: x.Loader.CPU, LoaderUse: x.Loader.Use,
			Latency: spread{l.P50, l.P99, l.Max},
		}
		for _, n := range from.Faults {
			r.Faults.Stray += n
		}
		return r
	}
	t.Fatalf("no phase %q with a latency in\n%s", phase, text)
	return nil
}

// median returns the median of what of takes out of results, and the spread as text.
func median(all []*result, of func(r *result) float64) (float64, string) {
	var values []float64
	for _, r := range all {
		values = append(values, of(r))
	}
	slices.Sort(values)
	m := values[len(values)/2]
	if len(values)%2 == 0 {
		m = (m + values[len(values)/2-1]) / 2
	}
	return m, fmt.Sprintf("%.*f (%.*f–%.*f)", digits(m), m, digits(m), values[0], digits(m), values[len(values)-1])
}

// digits behind the point that a number is worth.
func digits(f float64) int {
	switch {
	case f >= 100:
		return 0
	case f >= 10:
		return 1
	case f >= 1:
		return 2
	}
	return 3
}

// print writes the table of a scenario: medians, and the lowest and highest round.
func (s *scenario) print(t *testing.T, all []*broker, table map[[2]string][]*result) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 1, ' ', tabwriter.Debug)
	fmt.Fprintf(w, "| %s\t loader\t sent /s\t done /s\t broker CPU µs each\t loader µs (busy)\t p50 ms\t p99 ms\t on the wire p50\t p99\t\n", s.name)
	fmt.Fprintf(w, "| ---\t ---\t ---:\t ---:\t ---:\t ---:\t ---:\t ---:\t ---:\t ---:\t\n")
	for _, b := range all {
		for _, l := range loaders {
			runs := table[[2]string{b.name, l.name}]
			of := func(f func(r *result) float64) string {
				m, text := median(runs, f)
				if m == 0 {
					return ""
				}
				return text
			}
			use, _ := median(runs, func(r *result) float64 { return 100 * r.LoaderUse })
			loader, _ := median(runs, func(r *result) float64 { return r.LoaderCPU })
			sent := ""
			if n, _ := median(runs, func(r *result) float64 { return float64(r.SentInTime) / r.Seconds }); s.connections == 0 {
				sent = fmt.Sprintf("%.0f", n)
			}
			done, _ := median(runs, func(r *result) float64 { return float64(r.DoneInTime) / r.Seconds })
			fmt.Fprintf(w, "| %s\t %s\t %s\t %.0f\t %s\t %.1f (%.0f %%)\t %s\t %s\t %s\t %s\t\n", b.name, l.name, sent, done,
				of(func(r *result) float64 { return r.BrokerCPU }), loader, use,
				of(func(r *result) float64 { return r.Latency.P50 / 1e3 }), of(func(r *result) float64 { return r.Latency.P99 / 1e3 }),
				of(func(r *result) float64 { return r.Wire.P50 / 1e3 }), of(func(r *result) float64 { return r.Wire.P99 / 1e3 }))
		}
	}
	w.Flush()
	t.Logf("%d rounds\n%s", max(1, *rounds), &text)
}
