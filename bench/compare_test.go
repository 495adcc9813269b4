package bench

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const hostile = `x"><script>alert(1)</script>|b`

// sampleComparison has everything that a report must show: a broker that does well, one
// that loses and has a hostile name, one that fails or is not asked, and one that is not
// there.
func sampleComparison() *comparison {
	good := func(rate, cpu float64) columnResult {
		run := roundResult{Rate: rate, CPU: cpu, LoaderCPU: 0.125, LoaderUse: 0.5, P99: 1500 * time.Microsecond, Units: 7}
		slow, fast := run, run
		slow.Rate, fast.Rate = rate/2, rate*1.1
		return columnResult{Runs: []roundResult{run, slow, fast}}
	}
	lossy := good(250_000, 4)
	lossy.Runs[1].Faults.Lost, lossy.Faults.Lost = 7, 7
	idle := func(bytes float64) columnResult { return columnResult{Runs: []roundResult{{Bytes: bytes}}} }
	return &comparison{
		Format: resultsFormat, Machine: thisMachine(), Rounds: 3, Seconds: 0.5, Payload: payloadSize,
		Peers: []measured{
			{peer: peer{Name: "gannet", Program: "gannet", Arguments: []string{"serve"}}, Release: "1.0"},
			{peer: peer{Name: hostile, Program: "b", Files: map[string]string{"b.conf": "<script>\n"}, Notes: "<b>bold</b>"}, Release: "<script>2</script>"},
			{peer: peer{Name: "127.0.0.1:1883"}, Address: "127.0.0.1:1883"},
		},
		Absent: []measured{{peer: peer{Name: "mochi"}, Reason: "not in PATH: <script>"}},
		Scenarios: []results{
			{Name: "p2p", About: "pairs", Unit: unitMessage, Columns: []columnResult{good(500_000, 2), lossy, {Failed: []string{"<script>", "<script>"}}}},
			{Name: "shared", About: "a group", Unit: unitMessage, Columns: []columnResult{good(1000, 2), good(2000, 1), {Lacking: "no groups"}}},
			{Name: "idle", About: "silent", Unit: unitConnection, Columns: []columnResult{idle(2000), idle(1000), {Failed: []string{"it broke"}}}},
		},
	}
}

func TestPageShowsEveryBrokerInEveryChartAndEscapesAll(t *testing.T) {
	c := sampleComparison()
	var b bytes.Buffer
	if err := c.writePage(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if strings.Contains(page, "<script") || strings.Contains(page, "<b>bold") || strings.Contains(page, "ZgotmplZ") {
		t.Errorf("text became an element in\n%s", page)
	}
	charts := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1)
	if len(charts) != 5 { // rate and processor time twice, memory once
		t.Fatalf("%d charts", len(charts))
	}
	for i, want := range []struct{ bars, whiskers, troubles int }{{2, 2, 2}, {2, 0, 2}, {2, 2, 1}, {2, 0, 1}, {2, 0, 1}} {
		chart := charts[i]
		series, bars := strings.Count(chart, `class="series`), strings.Count(chart, `class="bar"`)
		whiskers, troubles := strings.Count(chart, `class="whisker"`), strings.Count(chart, `class="trouble"`)
		if series != len(c.Peers) || bars != want.bars || whiskers != want.whiskers || troubles != want.troubles {
			t.Errorf("chart %d: %d series, %d bars, %d whiskers, %d troubles, want %d and %+v", i, series, bars, whiskers, troubles, len(c.Peers), want)
		}
	}
	for _, want := range []string{
		"mochi was not measured: not in PATH", "7 lost", ">failed</text>", ">not offered</text>", "127.0.0.1:1883 was not asked: no groups",
		"500 k/s", "250 k/s ×0.500", "4.00 µs ×2.00", "2.00 kB", "1.00 kB ×0.500", "prefers-color-scheme: dark", c.Machine.Kernel,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page", want)
		}
	}
}

func TestChartOfARowWithoutFiguresSaysSo(t *testing.T) {
	r := row{entry: entry{name: "p2p", unit: unitMessage}, columns: []column{{failed: []error{io.EOF}}, {}}}
	charts := r.charts([]string{"a", "b"})
	if len(charts) != 1 || charts[0].Bars[0].Trouble != "failed" || charts[0].Bars[1].Trouble != "not run" {
		t.Errorf("%+v", charts)
	}
}

func TestBarsBeginAtZeroAndEndWithTheLargestRun(t *testing.T) {
	r := row{entry: entry{unit: unitMessage}, columns: []column{
		{outcomes: []outcome{{rate: 80}, {rate: 100}, {rate: 90}}}, {outcomes: []outcome{{rate: 45}}},
	}}
	c := r.chart(comparedFigures()[0], []string{"a", strings.Repeat("é", 99)})
	a, b := c.Bars[0], c.Bars[1]
	if a.Width != 0.9*chartWidth || a.Low != 0.8*chartWidth || a.High != chartWidth || b.Width != 0.45*chartWidth || b.Low != b.High {
		t.Errorf("%+v", c.Bars)
	}
	if b.Label != strings.Repeat("é", peerNameMax-1)+"…" || b.Y <= a.Y || c.Height <= b.BarY() {
		t.Errorf("%+v, height %d", b, c.Height)
	}
}

func TestMarkdownNamesWhoIsAheadAndWhoIsMissing(t *testing.T) {
	var b bytes.Buffer
	if err := sampleComparison().writeMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	safe := marked(hostile)
	for _, want := range []string{
		"# gannet beside " + safe + ", 127.0.0.1:1883\n",
		"| p2p | 500 k/s, 2.00 µs | ×0.500 7 lost | ×2.00 | failed | – |\n",
		"| shared | 1.00 k/s, 2.00 µs | ×2.00 | ×0.500 | not offered | – |\n",
		"| p2p | gannet | 500000 (250000 to 550000) | ×1.00 | 2.00 | ×1.00 | – | – | 1500 | 0.125 (50 %) | 3 | none |\n",
		"| idle | 127.0.0.1:1883 | – | – | – | – | – | – | – | – (0 %) | 0 | 1 of 1 runs failed |\n",
		"By rate ahead of gannet: shared (" + safe + " ×2.00).\n",
		"By memory ahead of gannet: idle (" + safe + " ×0.500).\n",
		"mochi was not measured: not in PATH: &lt;script>.\n",
		"  - " + safe + " mistreated messages: 7 lost. A rate with losses is not a rate.\n",
		"    gannet serve\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
	if n := strings.Count(b.String(), "127.0.0.1:1883 failed: &lt;script>."); n != 1 {
		t.Errorf("an error of two runs is told %d times in\n%s", n, &b)
	}
}

func TestFirstBrokerThatFailsIsNotCalledFirst(t *testing.T) {
	c := sampleComparison()
	c.Scenarios = c.Scenarios[:1]
	c.Scenarios[0].Columns[0].Faults.Duplicate = 2
	if got := c.behind(); len(got) != 1 || got[0] != "gannet itself has no honest figures of p2p (2 duplicate)." {
		t.Errorf("%q", got)
	}
}

func TestResultsAreTheSameAfterJSON(t *testing.T) {
	c := sampleComparison()
	file := filepath.Join(t.TempDir(), "results.json")
	var b bytes.Buffer
	if err := errors.Join(c.writeJSON(&b), os.WriteFile(file, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	got, err := readComparison(file)
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, c)
	}
	again := &comparison{}
	again.addRows(c.rows())
	if !reflect.DeepEqual(again.Scenarios, c.Scenarios) {
		t.Errorf("rows and back: got %+v\nwant %+v", again.Scenarios, c.Scenarios)
	}
}

func TestResultsOfAnotherShapeAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"{":            "JSON",
		`{"format":2}`: "format 2",
		`{"format":1}`: "no broker",
		`{"format":1,"peers":[{"name":"a"}],"scenarios":[{"name":"p2p","columns":[]}]}`: `scenario "p2p" has 0 columns for 1`,
	} {
		file := filepath.Join(t.TempDir(), "results.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readComparison(file); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestCSVHoldsEveryRunExactly(t *testing.T) {
	c := sampleComparison()
	var b bytes.Buffer
	if err := c.writeCSV(&b); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for i, name := range lines[0] {
		at[name] = i
	}
	statuses := map[string]int{}
	runs := map[string][]float64{}
	for _, line := range lines[1:] {
		statuses[line[at["status"]]]++
		if line[at["rate_per_s"]] == "" {
			continue
		}
		rate, err := strconv.ParseFloat(line[at["rate_per_s"]], 64)
		if err != nil {
			t.Fatal(err)
		}
		key := line[at["scenario"]] + " " + line[at["broker"]]
		runs[key] = append(runs[key], rate)
		if p99 := line[at["p99_us"]]; rate > 0 && p99 != "1500" {
			t.Errorf("p99 %s", p99)
		}
	}
	if want := map[string]int{statusDone: 13, statusFaulty: 1, statusFailed: 3, statusLacking: 1, statusAbsent: 1}; !reflect.DeepEqual(statuses, want) {
		t.Errorf("%v, want %v", statuses, want)
	}
	for _, s := range c.Scenarios {
		for i, k := range s.Columns {
			var want []float64
			for _, r := range k.Runs {
				want = append(want, r.Rate)
			}
			if got := runs[s.Name+" "+c.Peers[i].Name]; !reflect.DeepEqual(got, want) {
				t.Errorf("%s %s: %v, want %v", s.Name, c.Peers[i].Name, got, want)
			}
		}
	}
}

// compareArguments are those of a short comparison that writes to a new folder.
func compareArguments(t *testing.T, more ...string) (args []string, dir string) {
	dir = filepath.Join(t.TempDir(), "out")
	return append([]string{"compare", "--scenarios", "p2p-qos0", "--rounds", "2", "--seconds", "0.05", "--out", dir}, more...), dir
}

func TestCompareOfBrokersThatRunTellsALossFromASuccess(t *testing.T) {
	drop := func(n int, deliver func([]byte), payload []byte) {
		if n != 3 {
			deliver(payload)
		}
	}
	honestAddr := startFake(t, honest).String()
	tests := []struct {
		name   string
		tamper func(int, func([]byte), []byte)
		status int
	}{
		{"honest", honest, statusOK},
		{"lossy", drop, statusFault},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := startFake(t, tt.tamper).String()
			args, dir := compareArguments(t, "--peers", honestAddr+","+addr)
			var stdout, stderr bytes.Buffer
			if status := Main(args, &stdout, &stderr); status != tt.status {
				t.Fatalf("status %d, want %d\n%s%s", status, tt.status, &stdout, &stderr)
			}
			c, err := readComparison(filepath.Join(dir, "results.json"))
			if err != nil {
				t.Fatal(err)
			}
			k := c.Scenarios[0].Columns
			if len(k[0].Runs) != 2 || len(k[1].Runs) != 2 || (k[1].Faults.Lost == 1) != (tt.status == statusFault) || k[0].Faults.Lost != 0 {
				t.Errorf("%+v", k)
			}
			for _, name := range []string{"report.html", "report.md", "results.csv"} {
				text, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil || !strings.Contains(string(text), addr) || strings.Contains(string(text), "1 lost") != (tt.status == statusFault && name != "results.csv") {
					t.Errorf("%s: %v\n%s", name, err, text)
				}
			}
		})
	}
}

func TestCompareMakesReportsAgainFromResults(t *testing.T) {
	c := sampleComparison()
	first := t.TempDir()
	if err := c.write(first); err != nil {
		t.Fatal(err)
	}
	second := filepath.Join(t.TempDir(), "again")
	var stdout, stderr bytes.Buffer
	if status := Main([]string{"compare", "--from", filepath.Join(first, "results.json"), "--out", second}, &stdout, &stderr); status != statusFault {
		t.Errorf("status %d\n%s%s", status, &stdout, &stderr)
	}
	for _, name := range []string{"report.html", "report.md", "results.json", "results.csv"} {
		a, errA := os.ReadFile(filepath.Join(first, name))
		b, errB := os.ReadFile(filepath.Join(second, name))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs: %v, %v", name, errA, errB)
		}
	}
}

func TestCompareGoesOnWithoutABrokerThatIsNotThereOrDoesNotStart(t *testing.T) {
	text := "name: fails\nprogram: /bin/false\nversion: [x]\n"
	file := filepath.Join(t.TempDir(), "fails.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args, dir := compareArguments(t, "--peers", "mosquitto,"+startFake(t, honest).String(), "--peer", file, "--program", "mosquitto=no-such-mosquitto")
	var stdout, stderr bytes.Buffer
	if status := Main(args, &stdout, &stderr); status != statusFault {
		t.Errorf("status %d\n%s%s", status, &stdout, &stderr)
	}
	c, err := readComparison(filepath.Join(dir, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Absent) != 1 || c.Absent[0].Name != "mosquitto" || !strings.Contains(c.Absent[0].Reason, "apt-get install mosquitto") {
		t.Errorf("absent: %+v", c.Absent)
	}
	if len(c.Peers) != 2 || c.Peers[1].Name != "fails" {
		t.Fatalf("peers: %+v", c.Peers)
	}
	k := c.Scenarios[0].Columns
	if len(k[0].Runs) != 2 || len(k[1].Failed) != 2 || !strings.Contains(k[1].Failed[0], "exit status 1") {
		t.Errorf("%+v", k)
	}
	if !strings.Contains(stdout.String(), "mosquitto was not measured: ") || !strings.Contains(stdout.String(), "| failed |") {
		t.Errorf("%s", &stdout)
	}
}

func TestCompareThatIsEndedEarlyWritesWhatItHas(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	enough := errors.New("enough")
	runs := 0
	e := entry{name: "one", unit: unitMessage, run: func(context.Context, target, budget) (outcome, error) {
		if runs++; runs == 3 {
			cancel(enough)
		}
		return outcome{rate: float64(runs)}, nil
	}}
	addr := netip.MustParseAddrPort(startFake(t, honest).String())
	o := &compareSettings{out: filepath.Join(t.TempDir(), "out")}
	o.rounds, o.entries, o.brokers = 5, []entry{e}, []recipe{{name: "a", running: &target{addr: addr}}}
	if err := compare(ctx, o, io.Discard, io.Discard); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
	c, err := readComparison(filepath.Join(o.out, "results.json"))
	if err != nil || c.Ended != "enough" || len(c.Scenarios[0].Columns[0].Runs) != 2 {
		t.Errorf("%v, %+v", err, c)
	}
}

func TestComparedPeersAreInTheOrderAskedForAndFilesComeLast(t *testing.T) {
	dir := t.TempDir()
	own, mine := filepath.Join(dir, "own.yaml"), filepath.Join(dir, "mochi.yaml")
	if err := errors.Join(os.WriteFile(own, []byte("name: own\nprogram: own\n"), 0o600), os.WriteFile(mine, []byte("name: mochi\nprogram: mine\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	o, err := compareOptions([]string{
		"--peers", "mochi, localhost:1884,gannet", "--peer", own, "--peer", mine, "--program", "own=/opt/own", "--scenarios", "quick",
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(o.names(), " "); got != "mochi 127.0.0.1:1884 gannet own" {
		t.Errorf("%s", got)
	}
	self, _ := os.Executable()
	if o.brokers[0].path != "mine" || o.brokers[1].running == nil || o.brokers[2].path != self || o.brokers[3].path != "/opt/own" {
		t.Errorf("%+v", o.brokers)
	}
	if got := strings.Join(namesOf(o.entries), ","); got != quick {
		t.Errorf("quick is %s", got)
	}
}

func TestSettingsOfAPeerHaveItsListenerFilledIn(t *testing.T) {
	r := shippedRecipe(t, "mosquitto")
	r.listen = map[string]string{"mqtt": "protocol mqtt"}
	m := measured{peer: r.settings()}
	if text := m.settings(); !strings.Contains(text, "mosquitto -c {dir}/mosquitto.conf\n") || !strings.Contains(text, "\nprotocol mqtt\nallow_anonymous true\n") {
		t.Errorf("%s", text)
	}
	if r.peer.Files["mosquitto.conf"] == m.Files["mosquitto.conf"] {
		t.Error("the peer itself has changed")
	}
}

func TestProgramIsBuiltOnlyIfItIsNotThere(t *testing.T) {
	dir := t.TempDir()
	p := peer{Name: "a", Program: "a", Build: "example.invalid/a@v1.2.3"}
	if err := os.WriteFile(filepath.Join(dir, "a-v1.2.3"), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if file, err := p.build(context.Background(), dir, io.Discard); err != nil || file != filepath.Join(dir, "a-v1.2.3") {
		t.Errorf("%s, %v", file, err)
	}
	p.Build = "not a package@v1"
	var log bytes.Buffer
	t.Chdir(dir)
	if _, err := p.build(context.Background(), ".", &log); err == nil || strings.Contains(err.Error(), "GOBIN") || !strings.Contains(err.Error(), "go install not a package@v1: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 || !strings.Contains(log.String(), "a: building") {
		t.Errorf("%v, %s", left, &log)
	}
}

func TestScenariosOfRunAreComparedByTheFiguresOfTheirPhases(t *testing.T) {
	r := newRunner(&runOptions{target: target{how: &access{}}}, io.Discard)
	r.result.Phases = []phaseResult{
		{Name: "queue", Unit: unitMessage, Seconds: 1, Sent: 100, Done: 100, Broker: &brokerCost{CPU: 2, RSS: 5000, Grown: 1000}, Loader: loaderCost{CPU: 1, Use: 0.5},
			Latency: []latencyResult{{P99: 7}}},
		{Name: "drain", Unit: unitMessage, Seconds: 3, Done: 100, Broker: &brokerCost{CPU: 8, RSS: 9000}, Loader: loaderCost{CPU: 4, Use: 0.1}},
		{Name: "after", Unit: unitMessage, Seconds: 50, Done: 100},
	}
	r.faults.lost = 3
	o, err := r.outcome([]string{"queue", "drain"})
	want := outcome{rate: 50, serverCPU: 4, loaderCPU: 2, loaderUse: 0.2, p99: 7 * time.Microsecond, total: 200, faults: faults{lost: 3}}
	if err != nil || o != want {
		t.Errorf("%+v, %v\nwant %+v", o, err, want)
	}
	r.result.Phases[0].Unit, r.result.Phases[1].Name = unitConnection, "idle"
	r.result.Phases = r.result.Phases[:2]
	if o, err = r.outcome([]string{"queue"}); err != nil || o.rss != 50 {
		t.Errorf("%v bytes for each of 100 connections, %v; want 50: it was 4000 before and is 9000 at the end", o.rss, err)
	}
	if _, err := r.outcome([]string{"none"}); err == nil {
		t.Error("figures of a phase that is not there")
	}
}

func TestComparedScenariosOfRunAreThose(t *testing.T) {
	for _, c := range comparedRuns() {
		if e := c.entry(); e.name != c.scenario || e.about == "" || e.unit == "" || len(c.phases) == 0 {
			t.Errorf("%+v", e)
		}
	}
}

func TestOverviewHasABarForEachRivalOnEitherSideOfTheFirst(t *testing.T) {
	c := sampleComparison()
	v := c.overview()
	if len(v.Rows) != len(c.Scenarios) || len(v.Legend) != 2 {
		t.Fatalf("%d rows, %d rivals", len(v.Rows), len(v.Legend))
	}
	one := 0
	for _, g := range v.Grid {
		if g.Class == "one" {
			one = g.X
		}
	}
	dearer, cheaper := v.Rows[0].Bars[0], v.Rows[1].Bars[0]
	if dearer.X != one || dearer.Width <= 1 || !strings.Contains(dearer.Label, "lost") {
		t.Errorf("dearer, and with losses: %+v", dearer)
	}
	if cheaper.X+cheaper.Width != one || cheaper.Label != "×0.500" {
		t.Errorf("cheaper: %+v, the line of the first is at %d", cheaper, one)
	}
	if b := v.Rows[2].Bars[0]; b.Label != "×0.500" {
		t.Errorf("by memory: %+v", b)
	}
	if b := v.Rows[1].Bars[1]; b.Width != 0 || b.Label != "not offered" {
		t.Errorf("not offered: %+v", b)
	}
	var text bytes.Buffer
	if err := c.writeOverview(&text); err != nil {
		t.Fatal(err)
	}
	if s := text.String(); strings.Contains(s, "<script") || strings.Contains(s, "ZgotmplZ") {
		t.Errorf("text became an element in\n%s", s)
	}
	if err := xml.Unmarshal(text.Bytes(), new(struct{})); err != nil {
		t.Errorf("not XML: %v", err)
	}
}
