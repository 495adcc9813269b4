package bench

import (
	"bytes"
	"cmp"
	"context"
	"debug/buildinfo"
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
	name     string
	cmd      *exec.Cmd
	dir      string
	patience time.Duration // from starting to the first connection
	output   tail
	exited   chan struct{} // closed when the process is gone
}

const (
	startLimit = 10 * time.Second // from starting to the first connection
	stopLimit  = time.Minute      // from asking to going, which may take some writing
	probeEvery = 5 * time.Millisecond
)

// startProcess starts a broker on a free port of the loopback address and returns
// when it accepts connections. stop must be called.
func startProcess(ctx context.Context, r recipe) (*process, error) {
	p, err := newProcess(r)
	if err != nil {
		return nil, err
	}
	if err := p.start(r); err != nil {
		os.RemoveAll(p.dir)
		return nil, err
	}
	if err := p.await(ctx); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// newProcess finds an address and makes a folder for a broker that is to be started.
func newProcess(r recipe) (*process, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(r.parent, "gannet-bench-")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	return &process{target: target{addr: addr}, name: r.name, dir: dir, patience: startLimit}, nil
}

// start starts the broker, again if it was ended before.
func (p *process) start(r recipe) error {
	arguments, env, err := r.prepare(p.dir, p.addr)
	if err != nil {
		return err
	}
	path, err := r.program()
	if err != nil {
		return err
	}
	cmd, exited := exec.Command(path, arguments...), make(chan struct{})
	cmd.Dir = p.dir
	if len(env) > 0 {
		cmd.Env = append(os.Environ(), env...)
	}
	p.output.last = nil
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	p.cmd, p.pid, p.exited = cmd, cmd.Process.Pid, exited
	go func() {
		_ = cmd.Wait() // the status of a broker that was told to end says nothing
		close(exited)
	}()
	return nil
}

// await returns when the broker accepts connections. From then on its process is the one
// that listens: what was started may be a script.
func (p *process) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	probe := time.NewTicker(probeEvery)
	defer probe.Stop()
	var dialer net.Dialer
	for {
		c, err := dialer.DialContext(ctx, "tcp", p.addr.String())
		if err == nil {
			p.pid = cmp.Or(listenerOf(p.addr, p.pid), p.pid)
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

// stop ends the broker and removes what it has kept.
func (p *process) stop() error {
	defer os.RemoveAll(p.dir)
	return p.end(stopLimit)
}

// end asks the broker to end, waits for it, and insists when it takes longer than
// limit. What it has kept stays.
func (p *process) end(limit time.Duration) error {
	// An error means that it is gone already.
	_ = interruptProcess(p.cmd)
	patience := time.NewTimer(limit)
	defer patience.Stop()
	select {
	case <-p.exited:
		return nil
	case <-patience.C:
		p.kill()
		return fmt.Errorf("%s did not end within %v and was killed", p.name, limit)
	}
}

// restart ends the broker, starts it again with what it has kept, and returns when it
// accepts connections.
func (p *process) restart(r recipe) error {
	if err := p.end(stopLimit); err != nil {
		return err
	}
	if err := p.start(r); err != nil {
		return err
	}
	return p.await(context.Background())
}

// kill ends the broker without asking.
func (p *process) kill() {
	_ = killProcess(p.cmd) // an error means that it is gone already
	<-p.exited
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

// versionOf asks a program for its version: the first line that it prints, whatever
// its exit status. A program that cannot be asked is a Go program, whose file tells it.
func versionOf(ctx context.Context, r recipe) (string, error) {
	path, err := r.program()
	if err != nil {
		return "", err
	}
	if len(r.version) == 0 {
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("%s: version: %w", r.name, err)
		}
		return fmt.Sprintf("%s %s, %s", info.Main.Path, info.Main.Version, info.GoVersion), nil
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, r.version...).CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return "", fmt.Errorf("%s: %w", r.name, err)
	}
	line, _, _ := strings.Cut(string(bytes.TrimSpace(out)), "\n")
	return line, nil
}

// tail keeps the end of what a broker prints. exec copies both streams into it by
// one goroutine, as they are the same writer; text is for after that has ended.
type tail struct {
	last  []byte
	watch func(text []byte) // is told what comes, by that goroutine; may be nil
}

const tailSize = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	if t.watch != nil {
		t.watch(b)
	}
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
