package bench

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

// comparison is all that gannet bench compare has found out: results.json, from which
// every report can be made again.
type comparison struct {
	Format    int        `json:"format"`
	Machine   machine    `json:"machine"`
	Rounds    int        `json:"rounds"`
	Seconds   float64    `json:"seconds"` // measured in each run
	Payload   int        `json:"payload_bytes"`
	Ended     string     `json:"ended_early,omitempty"` // why
	Peers     []measured `json:"peers"`
	Absent    []measured `json:"absent,omitempty"` // asked for, and not there
	Scenarios []results  `json:"scenarios"`
}

const (
	resultsFormat = 1
	resultsMax    = 64 << 20 // bytes of a file that is read
)

// measured is a broker of a comparison: what its peer file says, with the transport
// filled in, and what it is.
type measured struct {
	peer
	Release string `json:"version,omitempty"`
	Address string `json:"address,omitempty"` // of one that ran already
	Reason  string `json:"reason,omitempty"`  // why it is absent
}

// results are those of one scenario: a column for each of the peers.
type results struct {
	Name    string         `json:"name"`
	About   string         `json:"about"`
	Unit    string         `json:"unit"`
	Columns []columnResult `json:"columns"`
}

type columnResult struct {
	Runs    []roundResult `json:"runs,omitempty"`
	Failed  []string      `json:"failed,omitempty"` // the errors of runs without a figure
	Faults  faultCounts   `json:"faults"`           // of all runs
	Lacking string        `json:"lacking,omitempty"`
}

// roundResult is one run; see outcome.
type roundResult struct {
	Rate      float64       `json:"rate"`
	CPU       float64       `json:"cpu_us"`
	LoaderCPU float64       `json:"loader_cpu_us"`
	LoaderUse float64       `json:"loader_share"`
	P99       time.Duration `json:"p99_ns"`
	Bytes     float64       `json:"rss_bytes"`
	Units     uint64        `json:"units"`
	Faults    faultCounts   `json:"faults"`
}

type faultCounts struct {
	Lost      uint64 `json:"lost"`
	Duplicate uint64 `json:"duplicate"`
	Reordered uint64 `json:"reordered"`
	Stray     uint64 `json:"stray"`
	Unasked   uint64 `json:"unasked"`

	Unanswered uint64 `json:"unanswered,omitempty"`
	Refused    uint64 `json:"refused,omitempty"`
	Tardy      uint64 `json:"tardy,omitempty"`
}

func countsOf(f faults) faultCounts {
	return faultCounts{f.lost, f.duplicate, f.reordered, f.stray, f.unasked, f.unanswered, f.refused, f.tardy}
}

func (f faultCounts) faults() faults {
	return faults{f.Lost, f.Duplicate, f.Reordered, f.Stray, f.Unasked, f.Unanswered, f.Refused, f.Tardy}
}

// addRows takes what a suite has measured.
func (c *comparison) addRows(rows []row) {
	for _, r := range rows {
		s := results{Name: r.entry.name, About: r.entry.about, Unit: r.entry.unit}
		for i := range r.columns {
			s.Columns = append(s.Columns, r.columns[i].result())
		}
		c.Scenarios = append(c.Scenarios, s)
	}
}

func (c *column) result() (r columnResult) {
	r.Faults, r.Lacking = countsOf(c.faults), c.lacking
	for _, o := range c.outcomes {
		r.Runs = append(r.Runs, roundResult{o.rate, o.serverCPU, o.loaderCPU, o.loaderUse, o.p99, o.rss, o.total, countsOf(o.faults)})
	}
	for _, err := range c.failed {
		r.Failed = append(r.Failed, err.Error())
	}
	return r
}

// rows is the reverse of addRows.
func (c *comparison) rows() (rows []row) {
	for _, s := range c.Scenarios {
		r := row{entry: entry{name: s.Name, about: s.About, unit: s.Unit}}
		for _, k := range s.Columns {
			r.columns = append(r.columns, k.column())
		}
		rows = append(rows, r)
	}
	return rows
}

func (r *columnResult) column() column {
	c := column{faults: r.Faults.faults(), lacking: r.Lacking}
	for _, o := range r.Runs {
		c.outcomes = append(c.outcomes, outcome{
			rate: o.Rate, serverCPU: o.CPU, loaderCPU: o.LoaderCPU, loaderUse: o.LoaderUse, p99: o.P99, rss: o.Bytes,
			total: o.Units, faults: o.Faults.faults(),
		})
	}
	for _, text := range r.Failed {
		c.failed = append(c.failed, errors.New(text))
	}
	return c
}

func (c *comparison) names() (names []string) {
	for _, p := range c.Peers {
		names = append(names, p.Name)
	}
	return names
}

func (c *comparison) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(c)
}

// readComparison reads a file that writeJSON has written.
func readComparison(file string) (*comparison, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	if info.Size() > resultsMax {
		return nil, fmt.Errorf("results: %s has more than %d bytes", file, resultsMax)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	c := &comparison{}
	if err := json.Unmarshal(bytes.TrimSpace(text), c); err != nil {
		return nil, fmt.Errorf("results: %s: %w", file, err)
	}
	if c.Format != resultsFormat {
		return nil, fmt.Errorf("results: %s has format %d, and this program knows %d: use the gannet that wrote it", file, c.Format, resultsFormat)
	}
	if len(c.Peers) == 0 {
		return nil, fmt.Errorf("results: %s is about no broker", file)
	}
	for _, s := range c.Scenarios {
		if len(s.Columns) != len(c.Peers) {
			return nil, fmt.Errorf("results: %s: scenario %q has %d columns for %d brokers", file, s.Name, len(s.Columns), len(c.Peers))
		}
	}
	return c, nil
}

// The words of the CSV file's column status.
const (
	statusDone    = "done"
	statusFaulty  = "faulty"
	statusFailed  = "failed"
	statusLacking = "not offered"
	statusAbsent  = "absent"
)

func csvHeader() []string {
	return []string{
		"scenario", "unit", "broker", "run", "status", "rate_per_s", "cpu_us", "loader_cpu_us", "loader_share", "p99_us",
		"rss_bytes", "units", "lost", "duplicate", "reordered", "stray", "unasked", "reason",
	}
}

// writeCSV writes a line for each run, and for each broker that was not measured.
func (c *comparison) writeCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	lines := [][]string{csvHeader()}
	for _, s := range c.Scenarios {
		for i, k := range s.Columns {
			start := []string{s.Name, s.Unit, c.Peers[i].Name}
			for n, r := range k.Runs {
				lines = append(lines, r.csv(append(start[:3:3], strconv.Itoa(n+1))))
			}
			for n, text := range k.Failed {
				lines = append(lines, csvReason(append(start[:3:3], strconv.Itoa(len(k.Runs)+n+1), statusFailed), text))
			}
			if k.Lacking != "" {
				lines = append(lines, csvReason(append(start[:3:3], "", statusLacking), k.Lacking))
			}
		}
	}
	for _, p := range c.Absent {
		lines = append(lines, csvReason([]string{"", "", p.Name, "", statusAbsent}, p.Reason))
	}
	if err := out.WriteAll(lines); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return nil
}

// csv returns the line of a run that begins with start.
func (r *roundResult) csv(start []string) []string {
	status := statusDone
	if f := r.Faults.faults(); f.any() {
		status = statusFaulty
	}
	line := append(start, status)
	for _, v := range []float64{r.Rate, r.CPU, r.LoaderCPU, r.LoaderUse, micros(r.P99), r.Bytes} {
		line = append(line, strconv.FormatFloat(v, 'g', -1, 64))
	}
	for _, n := range []uint64{r.Units, r.Faults.Lost, r.Faults.Duplicate, r.Faults.Reordered, r.Faults.Stray, r.Faults.Unasked} {
		line = append(line, strconv.FormatUint(n, 10))
	}
	return append(line, "")
}

// csvReason returns a line without figures.
func csvReason(start []string, reason string) []string {
	line := make([]string, len(csvHeader()))
	copy(line, start)
	line[len(line)-1] = reason
	return line
}
