package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"
)

// storeRun is one run of gannet bench store: one broker and its folder, which may be
// ended and started again. Figures are printed as they come.
type storeRun struct {
	recipe   recipe
	n        int
	kill     bool
	settle   time.Duration // of silence before a look at the memory
	patience time.Duration // without any progress
	figures  io.Writer
	log      io.Writer

	process *process
	journal *journal
}

// figure prints one line of the table.
func (s *storeRun) figure(name, format string, args ...any) {
	writeLine(s.figures, []string{name, fmt.Sprintf(format, args...)})
}

// say prints a line of progress.
func (s *storeRun) say(format string, args ...any) { fmt.Fprintf(s.log, format+"\n", args...) }

// start starts the broker on an empty folder.
func (s *storeRun) start(ctx context.Context) (err error) {
	if s.process, err = newProcess(s.recipe); err != nil {
		return err
	}
	s.process.patience = storePatience
	if err := s.launch(); err != nil {
		os.RemoveAll(s.process.dir)
		s.process = nil
		return err
	}
	return s.process.await(ctx)
}

func (s *storeRun) launch() error {
	s.journal = newJournal()
	s.process.output.watch = s.journal.write
	return s.process.start(s.recipe)
}

// restart ends the broker and starts it again on what it has kept. It returns at
// once, with the time at which the new process was begun.
func (s *storeRun) restart() (began time.Time, err error) {
	how, started := "SIGTERM", time.Now()
	if s.kill {
		how = "SIGKILL"
		s.process.kill()
	} else if err := s.process.end(storePatience); err != nil {
		return began, err
	}
	s.figure("time to end after "+how, "%.2f s", time.Since(started).Seconds())
	s.figure("on disk then", "%.1f MiB", mebi(sizeOf(s.process.dir)))
	began = time.Now()
	return began, s.launch()
}

// rest lets the broker be quiet before its memory is looked at.
func (s *storeRun) rest(ctx context.Context) error {
	t := time.NewTimer(s.settle)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.process.exited:
		return s.process.died()
	case <-t.C:
		return nil
	}
}

// memory waits until the broker is at rest, and prints and returns its resident memory, and
// the live heap if it is told.
func (s *storeRun) memory(ctx context.Context, when string) (rss, heap int64, err error) {
	if err := s.rest(ctx); err != nil {
		return 0, 0, err
	}
	if rss, err = s.process.rss(); err != nil {
		return 0, 0, err
	}
	heap = s.journal.heapBytes()
	if heap > 0 {
		s.figure("memory "+when, "RSS %.1f MiB, live heap %.0f MiB", mebi(rss), mebi(heap))
	} else {
		s.figure("memory "+when, "RSS %.1f MiB", mebi(rss))
	}
	return rss, heap, nil
}

// watchPeak begins to look for the most resident memory, from now on.
func (s *storeRun) watchPeak() error { return resetPeak(s.process.pid) }

// peak prints the most resident memory since watchPeak.
func (s *storeRun) peak(when string) (int64, error) {
	most, err := processPeak(s.process.pid)
	if err == nil {
		s.figure("peak RSS "+when, "%.1f MiB", mebi(most))
	}
	return most, err
}

// explain adds the last words of a broker that has ended to the error of a run.
func (s *storeRun) explain(err error) error {
	if err == nil {
		return nil
	}
	if gone := s.process.gone(); gone != nil {
		return fmt.Errorf("%w; %w", err, gone)
	}
	return err
}

// close ends the broker and removes its folder.
func (s *storeRun) close() error {
	if s.process == nil {
		return nil
	}
	return s.process.stop()
}

// fill feeds the store and prints how that went.
func (s *storeRun) fill(ctx context.Context, spec feedSpec) error {
	x := newFeed(spec)
	l, err := newLoop(s.process.target, x)
	if err != nil {
		return err
	}
	defer l.close()
	if err := x.connect(ctx, l, s.patience); err != nil {
		return err
	}
	from, err := s.process.read(l)
	if err != nil {
		return err
	}
	x.start()
	told := l.clock()
	p := phase{
		limit: storeLimit, stall: s.patience, progress: x.progress,
		done: func() bool {
			if l.now-told >= time.Second {
				told = l.now
				s.say("%d of %d messages acknowledged", x.acked, spec.total)
			}
			return x.finished()
		},
	}
	if err := p.run(ctx, l); err != nil {
		return fmt.Errorf("%d of %d messages acknowledged: %w", x.acked, spec.total, err)
	}
	to, err := s.process.read(l)
	if err != nil {
		return err
	}
	var o outcome
	o.cost(from, to, x.acked, x.acked)
	s.figure("published and acknowledged", "%d messages, %.0f /s, CPU %s µs each, ack p50 %.0f µs, p99 %.0f µs",
		x.acked, o.rate, number(o.serverCPU), micros(x.latency.quantile(0.5)), micros(x.latency.quantile(0.99)))
	if x.faults.any() {
		return fmt.Errorf("publishing: %s", x.faults)
	}
	return nil
}

// journal reads what a broker prints: when it said that it has started, and the live
// heap of its last garbage collection, if it is a Go program that was asked to tell.
// Safe for concurrent use.
type journal struct {
	began time.Time

	mu      sync.Mutex
	line    []byte
	started time.Duration // 0: it has not said so
	heap    int64         // bytes; 0: not known
}

// journalLine bounds a line that is looked at.
const journalLine = 4 << 10

func newJournal() *journal { return &journal{began: time.Now()} }

// write takes the next piece of output.
func (j *journal) write(text []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		piece, rest, whole := bytes.Cut(text, []byte{'\n'})
		if len(j.line)+len(piece) <= journalLine {
			j.line = append(j.line, piece...)
		}
		if !whole {
			return
		}
		j.read(j.line)
		j.line, text = j.line[:0], rest
	}
}

func (j *journal) read(line []byte) {
	if j.started == 0 && bytes.Contains(line, []byte("broker started")) {
		j.started = time.Since(j.began)
	}
	if heap, ok := parseCollection(line); ok {
		j.heap = heap
	}
}

func (j *journal) heapBytes() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.heap
}

func (j *journal) startedAfter() time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.started
}

// parseCollection takes the live heap out of a line that the Go runtime prints for
// each collection with GODEBUG=gctrace=1: the last of three sizes in "12->13->5 MB".
func parseCollection(line []byte) (live int64, ok bool) {
	if !bytes.HasPrefix(line, []byte("gc ")) {
		return 0, false
	}
	before, _, found := bytes.Cut(line, []byte(" MB, "))
	arrow := bytes.LastIndex(before, []byte("->"))
	if !found || arrow < 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(before[arrow+2:]), 10, 32)
	return n << 20, err == nil
}

var errGone = errors.New("a session is gone")
