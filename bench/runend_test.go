package bench

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRunKeepsTheFiguresOfABrokerThatDies(t *testing.T) {
	process := exec.Command("sleep", "3600")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	const last = 1000
	addr := startFake(t, func(n int, deliver func([]byte), payload []byte) {
		if n == last {
			_ = process.Process.Kill()
			_ = process.Wait() // it was killed, and is no process of the system any more
		}
		deliver(payload)
	})
	status, x, stdout, stderr := runMain(t, "p2p", "--qos", "0", "--publishers", "1", "--subscribers", "1", "--warm", "0", "--seconds", "0.3",
		"--pid", strconv.Itoa(process.Process.Pid), addr.String())
	if status != statusFault || len(x.Phases) != 2 || x.Phases[1].Done < last || x.Phases[1].Broker != nil || len(x.Phases[1].Latency) == 0 {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	if !strings.Contains(x.Error, "process "+strconv.Itoa(process.Process.Pid)) {
		t.Errorf("error %q", x.Error)
	}
}

func TestTheLastSecondOfAStageIsTold(t *testing.T) {
	addr := startFake(t, honest)
	status, x, stdout, stderr := runMain(t, "p2p", "--qos", "0", "--publishers", "1", "--subscribers", "1", "--rate", "100", "--warm", "0", "--seconds", "1", addr.String())
	if status != statusOK || len(x.Seconds) != 1 || x.Seconds[0].Phase != "load" || x.Seconds[0].Done == 0 {
		t.Errorf("status %d, seconds %+v\n%s%s", status, x.Seconds, stdout, stderr)
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	err := errors.Join(errors.New("a peer ended: \n  it said this"), fmt.Errorf("second: %w", errors.New("and that\n")))
	if got := oneLine(err); got != "a peer ended: it said this; second: and that" {
		t.Errorf("%q", got)
	}
}

func TestDurableRunThatIsInterruptedAtOnceHasAResult(t *testing.T) {
	running := startEngine(t)
	o, err := runOptionsOf([]string{"durable", running.addr.String()}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout bytes.Buffer
	if err := runBroker(ctx, o, &stdout, io.Discard); err != nil || !strings.Contains(stdout.String(), "Interrupted") {
		t.Errorf("%v\n%s", err, &stdout)
	}
}

// TestChildRun is no test but gannet bench run, when it has arguments.
func TestChildRun(t *testing.T) {
	if flag.NArg() == 0 {
		return
	}
	os.Exit(Main(append([]string{"run"}, flag.Args()...), os.Stdout, os.Stderr))
}

func TestASecondInterruptEndsARunAtOnce(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The broker swallows what it is sent: after the first interrupt the run waits for it.
	got := make(chan struct{}, 1)
	addr := startFake(t, func(n int, _ func([]byte), _ []byte) {
		if n == 0 {
			got <- struct{}{}
		}
	})
	cmd := exec.Command(path, "-test.run=^TestChildRun$", "--", "p2p", "--qos", "0", "--publishers", "1", "--subscribers", "1",
		"--patience", "3600", "--seconds", "3600", "--warm", "0", addr.String())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-got
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		_ = cmd.Process.Signal(syscall.SIGINT) // it may be gone already
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
				t.Errorf("%v, want the end by a signal", err)
			}
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func TestMemoryThatABrokerGivesBackIsNoMemoryOfAConnection(t *testing.T) {
	if text := growth(-3<<20, 100); !strings.Contains(text, "gave 3.0 MiB") {
		t.Errorf("%s", text)
	}
	if text := growth(3000, 100); !strings.HasPrefix(text, "30 bytes") {
		t.Errorf("%s", text)
	}
}
