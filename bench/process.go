package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"
)

// process is a broker that this command has started and ends again.
type process struct {
	target
	name   string
	cmd    *exec.Cmd
	dir    string
	output tail
	exited chan struct{} // closed when the process is gone
}

const (
	startLimit = 10 * time.Second // from starting to the first connection
	stopLimit  = 10 * time.Second // from asking to going
	probeEvery = 5 * time.Millisecond
)

// startProcess starts a broker on a free port of the loopback address and returns
// when it accepts connections. stop must be called.
func startProcess(ctx context.Context, r recipe) (*process, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gannet-bench-")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	p := &process{target: target{addr: addr}, name: r.name, dir: dir, exited: make(chan struct{})}
	if err := p.start(r); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := p.await(ctx); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func (p *process) start(r recipe) error {
	arguments, err := r.arguments(p.dir, p.addr)
	if err != nil {
		return err
	}
	p.cmd = exec.Command(r.path, arguments...)
	p.cmd.Dir = p.dir
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	detach(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	p.pid = p.cmd.Process.Pid
	go func() {
		_ = p.cmd.Wait() // the status of a broker that was told to end says nothing
		close(p.exited)
	}()
	return nil
}

// await returns when the broker accepts connections.
func (p *process) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	probe := time.NewTicker(probeEvery)
	defer probe.Stop()
	var dialer net.Dialer
	for {
		c, err := dialer.DialContext(ctx, "tcp", p.addr.String())
		if err == nil {
			return c.Close()
		}
		select {
		case <-p.exited:
			return p.died()
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s: %w", p.name, p.addr, err)
		case <-probe.C:
		}
	}
}

// died describes a broker that has gone by itself.
func (p *process) died() error {
	<-p.exited
	return fmt.Errorf("%s ended: %s: %s", p.name, p.cmd.ProcessState, p.output.text())
}

// gone returns an error if the broker has ended by itself.
func (p *process) gone() error {
	select {
	case <-p.exited:
		return p.died()
	default:
		return nil
	}
}

// stop asks the broker to end, waits for it, and insists when it takes too long.
func (p *process) stop() error {
	defer os.RemoveAll(p.dir)
	// An error means that it is gone already.
	_ = interruptProcess(p.cmd)
	patience := time.NewTimer(stopLimit)
	defer patience.Stop()
	select {
	case <-p.exited:
		return nil
	case <-patience.C:
		_ = p.cmd.Process.Kill()
		<-p.exited
		return fmt.Errorf("%s did not end within %v and was killed", p.name, stopLimit)
	}
}

// freeAddress returns a loopback address that nobody listens on at the moment.
func freeAddress() (netip.AddrPort, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find a free port: %w", err)
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	return addr, l.Close()
}

// versionOf asks a program for its version: the first line that it prints. The exit
// status does not matter.
func versionOf(ctx context.Context, r recipe) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, r.path, r.version...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return "", fmt.Errorf("%s: %w", r.name, err)
	}
	line, _, _ := strings.Cut(string(bytes.TrimSpace(out)), "\n")
	return line, nil
}

// tail keeps the end of what a broker prints. exec copies both streams into it by
// one goroutine, as they are the same writer; text is for after that has ended.
type tail struct{ last []byte }

const tailSize = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.last = append(t.last, b...)
	if extra := len(t.last) - tailSize; extra > 0 {
		t.last = append(t.last[:0], t.last[extra:]...)
	}
	return len(b), nil
}

func (t *tail) text() string {
	if s := strings.TrimSpace(string(t.last)); s != "" {
		return s
	}
	return "it printed nothing"
}
