package bench

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gannetmq/gannet/engine"
	"github.com/gannetmq/gannet/persist"
)

func TestMainExitStatusTellsALossFromASuccess(t *testing.T) {
	drop := func(n int, deliver func([]byte), payload []byte) {
		if n != 3 {
			deliver(payload)
		}
	}
	tests := []struct {
		name   string
		tamper func(int, func([]byte), []byte)
		status int
		report string
	}{
		{"honest", honest, statusOK, "| none |"},
		{"lossy", drop, statusFault, "| broker: 1 lost |"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := startFake(t, tt.tamper)
			var stdout, stderr bytes.Buffer
			status := Main([]string{"load", "--connect", addr.String(), "--scenarios", "p2p-qos0", "--rounds", "1", "--seconds", "0.05"},
				&stdout, &stderr)
			if status != tt.status || !strings.Contains(stdout.String(), tt.report) {
				t.Errorf("status %d, want %d and %q in\n%s%s", status, tt.status, tt.report, &stdout, &stderr)
			}
		})
	}
}

func TestSuiteKeepsFailedRunsAndAlternatesBrokers(t *testing.T) {
	var order []string
	failure := errors.New("it broke")
	one := entry{name: "one", unit: unitMessage, run: func(_ context.Context, t target, _ budget) (outcome, error) {
		order = append(order, "run")
		if len(order) == 2 {
			return outcome{}, failure
		}
		return outcome{rate: float64(len(order))}, nil
	}}
	s := suite{entries: []entry{one}, brokers: []recipe{{name: "a", running: &target{}}}, rounds: 3, log: io.Discard}
	rows, err := s.run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c := &rows[0].columns[0]
	if len(c.outcomes) != 2 || len(c.failed) != 1 || c.ok() {
		t.Fatalf("%d outcomes, %d failures", len(c.outcomes), len(c.failed))
	}
	if got := c.median(func(o outcome) float64 { return o.rate }); got != 2 {
		t.Errorf("median of 1 and 3: %v", got)
	}
}

func TestReport(t *testing.T) {
	rows := []row{
		{entry{name: "p2p", unit: unitMessage}, []column{
			{outcomes: []outcome{{rate: 2e6, serverCPU: 0.25, loaderCPU: 0.0761, loaderUse: 0.4, p99: 1500 * time.Microsecond}}},
			{outcomes: []outcome{{rate: 1e5, serverCPU: 4, loaderCPU: 1.5, loaderUse: 0.3, p99: 3 * time.Millisecond}}, faults: faults{lost: 7}},
		}},
		{entry{name: "connect", unit: unitConnection}, []column{
			{outcomes: []outcome{{rate: 1000, rss: 1300}}},
			{failed: []error{io.EOF}},
		}},
	}
	var b bytes.Buffer
	writeReport(&b, []string{"x", "y"}, rows)
	want := `| scenario | per | x rate /s | y rate /s | × | x CPU µs | y CPU µs | × | x p99 µs | y p99 µs | × | x RSS B | y RSS B | × | loader µs (busy) | faults |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |
| p2p | message | 2000000 | 100000 | 20.0 | 0.250 | 4.00 | 0.062 | 1500 | 3000 | 0.500 |  |  |  | 0.076 (40 %), 1.50 (30 %) | y: 7 lost |
| connect | connection | 1000 | – | – | – | – | – | – | – | – | 1300 | – | – | – (0 %), – (0 %) | y: 1 of 1 runs failed |
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
}

// childRecipe runs this test binary as a broker process; see TestChildBroker.
func childRecipe(t *testing.T, behaviour string) recipe {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return recipe{name: "child", path: path, arguments: []string{"-test.run=^TestChildBroker$", "--", behaviour, "{address}"}}
}

// TestChildBroker is no test but the program of childRecipe, when it has arguments.
func TestChildBroker(t *testing.T) {
	if flag.NArg() != 2 {
		return
	}
	if flag.Arg(0) == "fails" {
		os.Stderr.WriteString("no such luck\n")
		os.Exit(3)
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	if flag.Arg(0) != "listens" {
		childEngine(t, flag.Arg(0) == "keeps", flag.Arg(1), asked)
		return
	}
	l, err := net.Listen("tcp", flag.Arg(1))
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	l.Close()
}

// childEngine is a Gannet that keeps what it is given in its working directory, or in
// memory.
func childEngine(t *testing.T, keeps bool, addr string, asked <-chan os.Signal) {
	o := engine.DefaultOptions()
	o.Listeners[0].URL = "mqtt://" + addr
	if keeps {
		p, err := persist.Open("data", persist.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}()
		o.Store = p
	}
	s, err := engine.New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-asked
		cancel()
	}()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestProcessIsAwaitedAndEndedOnRequest(t *testing.T) {
	p, err := startProcess(context.Background(), childRecipe(t, "listens"))
	if err != nil {
		t.Fatal(err)
	}
	if size, err := p.rss(); err != nil || size <= 0 {
		t.Errorf("resident memory %d, %v", size, err)
	}
	if err := p.gone(); err != nil {
		t.Error(err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if p.gone() == nil {
		t.Error("the process is there after stop")
	}
	if _, err := os.Stat(p.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is still there: %v", err)
	}
}

func TestBrokerThatAScriptStartsIsTheOneThatIsMeasuredAndEnded(t *testing.T) {
	r := childRecipe(t, "listens")
	r.path, r.arguments = "/bin/sh", append([]string{"-c", `"$0" "$@"; exit`, r.path}, r.arguments...)
	p, err := startProcess(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if p.pid == p.cmd.Process.Pid || p.pid != listenerOf(p.addr, 0) {
		t.Errorf("process %d is measured, the script is %d", p.pid, p.cmd.Process.Pid)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if pid := listenerOf(p.addr, 0); pid != 0 {
		t.Errorf("process %d was left behind", pid)
	}
}

func TestProcessThatEndsAtOnceIsReportedWithItsWords(t *testing.T) {
	s := suite{entries: catalog()[:1], brokers: []recipe{childRecipe(t, "fails")}, rounds: 2, log: io.Discard}
	_, err := s.run(context.Background())
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("%v", err)
	}
}

func TestProgramThatDoesNotExist(t *testing.T) {
	_, err := versionOf(context.Background(), recipe{name: "mosquitto", path: "no-such-mosquitto"})
	if err == nil || !strings.Contains(err.Error(), "mosquitto") {
		t.Errorf("%v", err)
	}
}
