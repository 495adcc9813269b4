package bench

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
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
