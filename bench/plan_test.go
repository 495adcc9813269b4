package bench

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fixed slopes, round enough to reckon with.
func fixedSlopes() transportSlopes {
	return transportSlopes{
		Few: 1000, Many: 10_000, Empty: 0, Resident: 1024, Kernel: 5120, Loader: 1024,
		Connect: 50, Message: 10, Batched: 1, LoaderMessage: 5,
	}
}

func about(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-6*want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestPlanIsAStraightLineThroughTheSlopes(t *testing.T) {
	const n, rate = 1 << 20, 10_000.0
	d := demand{connections: n, rate: rate, receivers: 2, payload: 100, keepAlive: 1024 * time.Second, reconnect: 1024 * time.Second, perLoader: 1 << 18}
	p := makePlan(d, fixedSlopes())
	about(t, "resident", p.resident, 1<<30)
	about(t, "garbage", p.garbage, 1<<30)
	about(t, "sockets", p.sockets, 5<<30)
	buffers := (3*rate+1024)*8192 + n*0.01*65536
	about(t, "buffers", p.buffers, buffers)
	about(t, "memory", p.memory, (7<<30+buffers)/0.8)
	about(t, "cores for messages", p.messageCores, 0.3) // 30,000 in and out, 10 µs each
	about(t, "cores if they came together", p.batchedCores, 0.03)
	about(t, "cores for pings", p.pingCores, 0.02048)    // 1024 pings a second, in and out
	about(t, "cores for newcomers", p.backCores, 0.0512) // 1024 a second, 50 µs each
	about(t, "cores", p.cores, (0.3+0.02048+0.0512)/0.6) // 60 % busy
	about(t, "in", p.inBits, 8*(rate*214+2*rate*82))     // 100 B with 36 of MQTT and 78 below it; acknowledgements of 4
	about(t, "out", p.outBits, 8*(rate*82+2*rate*214))   // twice as many out
	about(t, "loader", p.loaderBytes, (1<<18)*6144/0.8)  // loader and socket
	about(t, "loader cores", p.loaderCores, 0.15/4/0.6)  // 30,000 by 5 µs, on four
	if p.machines != 1 || p.loops != 2 || p.loaders != 4 || p.addresses != 5 || p.perLoader != 1<<18 || p.per != n {
		t.Errorf("%+v", p)
	}
}

func TestPlanSplitsWhatOneMachineDoesNotHold(t *testing.T) {
	d := demand{connections: 5_000_000, rate: 1e6, receivers: 1, reconnect: time.Hour, perLoader: 500_000}
	whole := makePlan(d, fixedSlopes())
	if whole.machines != 1 || float64(whole.loops) < whole.cores {
		t.Errorf("without bounds: %d machines, %d loops for %v cores", whole.machines, whole.loops, whole.cores)
	}
	d.loops = 8
	if p := makePlan(d, fixedSlopes()); p.machines != ceil(whole.cores/8) || p.loops != 8 || p.machines*p.per < d.connections {
		t.Errorf("by cores: %d machines of %d loops and %d connections", p.machines, p.loops, p.per)
	}
	d.memory = 4
	if p := makePlan(d, fixedSlopes()); float64(p.machines-1)*4 > gibi(int64(whole.memory)) || float64(p.machines)*4 < gibi(int64(whole.memory)) {
		t.Errorf("by memory: %d machines for %v GiB", p.machines, gibi(int64(whole.memory)))
	}
	plain := makePlan(d, fixedSlopes())
	d.tls = true
	if p := makePlan(d, fixedSlopes()); p.inBits <= plain.inBits || p.outBits <= plain.outBits {
		t.Error("records of TLS weigh nothing")
	}
}

func TestPlanLeavesRoomInEveryLimit(t *testing.T) {
	for _, n := range []int{1, 1000, 1_000_000, 10_000_000, 1_000_000_000} {
		if got := files(n); got < n+n/20+600 || got%1024 != 0 {
			t.Errorf("%d connections: %d descriptors", n, got)
		}
		p := makePlan(demand{connections: n, reconnect: time.Minute, rate: float64(n), receivers: 1, perLoader: n}, fixedSlopes())
		low, pressure, high := p.pages()
		if low >= pressure || pressure >= high || float64(high)*pageSize < p.buffers/float64(p.machines) {
			t.Errorf("%d connections: tcp_mem %d %d %d for %v bytes", n, low, pressure, high, p.buffers/float64(p.machines))
		}
		if b := p.backlog(); b < 4096 || b > 65535 {
			t.Errorf("%d connections: backlog %d", n, b)
		}
		if p.addresses*portsEach < n {
			t.Errorf("%d connections: %d addresses", n, p.addresses)
		}
	}
}

func TestPlanSaysWhereEveryFigureComesFrom(t *testing.T) {
	file := filepath.Join(t.TempDir(), "slopes.json")
	s := &slopes{Machine: machine{Date: "2026-01-02 03:04 UTC", CPU: "Testium 9", Cores: 4, Kernel: "7.0", Load: "0.10"}, Version: "gannet 9.9", TCP: fixedSlopes()}
	if err := s.save(file); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	args := []string{"plan", "--slopes", file, "--connections", "1000000", "--reconnect", "500s", "--loops", "4"}
	if err := run(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{
		"2026-01-02 03:04 UTC", "Testium 9", "Linux 7.0", "gannet 9.9", "1000 to 10000 connections", "to 100 times as many",
		"1 000 000 connections over TCP, 16667 messages/s", "| 1024 B | measured |", "extrapolated, 2000 clients/s",
		"fs.nr_open = 1051648", "LimitNOFILE=1051648", "net.core.somaxconn = 4096", "ip_local_port_range = 1024 65535",
		"gannet serve --loops 4 --max-accept-rate 2000", "until there are 9 source addresses",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if !strings.HasPrefix(line, "| ") || cells[0] == "| what" || cells[0] == "| ---" {
			continue
		}
		origins := []string{"measured", "extrapolated", "assumed", "arithmetic", "the same", "the sum", "one broker", "busy at the worst"}
		if len(cells) != 3 || !slices.ContainsFunc(origins, func(word string) bool { return strings.Contains(cells[2], word) }) {
			t.Errorf("no origin: %s", line)
		}
	}
	if err := run(t.Context(), append(args, "--tls"), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "for this transport") {
		t.Errorf("slopes of TCP for a plan with TLS: %v", err)
	}
}

func TestPlanKnowsItsOwnSlopes(t *testing.T) {
	s, err := parseSlopes(reference)
	if err != nil {
		t.Fatal(err)
	}
	if s.TCP.Many == 0 || s.TLS.Many == 0 || s.Machine.Date == "" {
		t.Errorf("%+v", s)
	}
}

func TestSlopesThatMakeNoSenseAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{`:  "slopes: ",
		`{}`: "there are none",
		`{"tcp":{"few":1,"many":2,"resident_bytes":-1}}`: "tcp: resident_bytes is -1",
		`{"tls":{"few":2,"many":2,"resident_bytes":1,"kernel_bytes":1,"loader_bytes":1,"connect_us":1,"message_us":1,"batched_us":1,"loader_message_us":1}}`: "from 2 to 2 connections",
	} {
		if _, err := parseSlopes([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	checkRefusals(t, "plan", map[string]string{
		"--connections 0":                 "connections",
		"--rate -1":                       "rate",
		"--keep-alive 1ms":                "keep-alive",
		"--reconnect 0s":                  "reconnect",
		"--save x":                        "only together with --measure",
		"--measure --slopes x":            "not together",
		"--slopes /nowhere/at/all":        "/nowhere/at/all",
		"--memory nan":                    "memory",
		"--loops -1":                      "loops",
		"--per-loader 0":                  "per-loader",
		"--payload 1000000000":            "payload",
		"--receivers -1":                  "receivers",
		"--connections 10 --receivers 11": "receivers: 11 is not between 0 and the 10",
		"--connections 1 something":       "unexpected argument",
	})
	if _, err := os.Stat("x"); err == nil {
		t.Error("a file was made")
	}
}

func TestPlanAsksForNoMachineThatNobodyHas(t *testing.T) {
	s, err := parseSlopes(reference)
	if err != nil {
		t.Fatal(err)
	}
	p := makePlan(demand{connections: 1e9, rate: 1e9, receivers: 10, payload: 100, reconnect: time.Minute, perLoader: 500_000}, s.TCP)
	if p.loops > loopsMax || float64(p.loops*p.machines) < p.cores {
		t.Errorf("%d machines with %d loops for %.0f cores", p.machines, p.loops, p.cores)
	}
}
