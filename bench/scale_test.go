package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
)

func TestScaleSaysWhatOneOfEachCosts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "scale.json")
	var out bytes.Buffer
	err := run(t.Context(), []string{"scale", "--sessions", "300", "--exact", "400", "--wildcards", "100", "--receivers", "200",
		"--loops", "3", "--rate", "2000", "--seconds", "0.01", "--json", file}, &out, io.Discard)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var saved struct {
		Simulation bool
		Machine    machine
		Figures    []scaleFigure
	}
	if err := json.Unmarshal(text, &saved); err != nil || !saved.Simulation || saved.Machine.Cores < 1 {
		t.Fatalf("%v: %s", err, text)
	}
	for _, want := range []string{
		"connected/live heap for one connected session of 300", "connected/takeover storm: one",
		"connected/publish to delivery, quiet: p99", "parked/publish to delivery, while the collector runs: p99.9",
		"parked/live heap for one parked session of 300", "router/match of nothing: mean",
		"router/live heap for one wildcard filter of 100, its text included", "router/match of one exact filter: mean",
		"router/match of one exact and one wildcard filter: p99, the clock included",
		"fanout/QoS 0: one message to 200", "fanout/QoS 1: one acknowledgement",
	} {
		found := false
		for _, f := range saved.Figures {
			if f.Part+"/"+f.Figure == want {
				found = true
				if f.Value <= 0 || !strings.Contains(out.String(), f.Figure) {
					t.Errorf("%s: %v, or it is not in the report", want, f.Value)
				}
			}
		}
		if !found {
			t.Errorf("there is no %s", want)
		}
	}
}

func TestScaleRefusesWhatDoesNotFit(t *testing.T) {
	checkRefusals(t, "scale", map[string]string{
		"--sessions 0":                  "sessions: 0 is not between",
		"--parts routers":               `there is no "routers"`,
		"--seconds nan":                 "seconds",
		"--memory -1":                   "memory",
		"--parts parked --sessions 1e6": "sessions",
		"--parts connected,router --memory 0.00001": "connected needs about 1.3 GiB of memory and may use 0.0",
	})
}

func TestScaleEndsEarly(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	for _, p := range scaleParts() {
		err := run(ctx, []string{"scale", "--parts", p.name}, io.Discard, io.Discard)
		if !errors.Is(err, gone) {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}

func TestCrowdNoticesWhatIsMissing(t *testing.T) {
	f := newPopulation(2, 3)
	if err := f.arrive(t.Context(), codec.QoS0, appendCommand); err != nil {
		t.Fatal(err)
	}
	if _, err := f.spread("devices/00000001/cmd", codec.QoS0); err == nil {
		t.Error("a message that two of three clients did not get passes for one to all")
	}
	if err := f.takeOver(t.Context()); err != nil {
		t.Error(err)
	}
	if n := f.b.Connections(); n != 3 {
		t.Errorf("%d connections after a takeover of 3", n)
	}
	if err := f.park(t.Context()); err != nil || f.b.Connections() != 0 || f.b.Sessions() != 3 {
		t.Errorf("parked: %v, %d connections, %d sessions", err, f.b.Connections(), f.b.Sessions())
	}
}

func TestPausesAreTheOnesSince(t *testing.T) {
	before := pauses{3, []uint64{5, 1, 0}, []float64{0, 1e-6, 1e-3, 1e300}}
	after := pauses{5, []uint64{8, 1, 1}, before.edges}
	d := after.since(before)
	if d.cycles != 2 || d.count() != 4 {
		t.Fatalf("%+v", d)
	}
	if p50, most := d.quantile(0.5), d.quantile(1); p50 != time.Microsecond || most != time.Millisecond {
		t.Errorf("p50 %v, longest %v", p50, most)
	}
	if (pauses{}).quantile(1) != 0 {
		t.Error("no pause at all is a long one")
	}
}
