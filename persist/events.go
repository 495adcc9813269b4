package persist

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/wal"
)

// quietLogger takes what Pebble has to say.
type quietLogger struct {
	p    *Pebble
	logs []string // that were there
}

// Infof looks for one line: how far a log could be read when the store was opened.
func (l *quietLogger) Infof(_ string, args ...any) {
	for _, x := range args {
		if end, ok := x.(wal.Offset); ok && l.p.opening.Load() {
			if err := l.logWasRead(end); err != nil {
				l.p.fail(err)
			}
		}
	}
}

// logWasRead compares what was read of a log with what is in it. Only the newest may end without a mark.
func (l *quietLogger) logWasRead(at wal.Offset) error {
	name := path.Base(at.PhysicalFile)
	_, number, _ := fileKind(name)
	f, err := l.p.opts.FS.Open(at.PhysicalFile)
	if err != nil {
		return err
	}
	end, n, err := inspectEnd(f, at.Physical, number)
	if err = errors.Join(err, f.Close()); err != nil || end == logClosed {
		return err
	}
	for _, other := range l.logs {
		if _, later, _ := fileKind(other); later > number {
			return fmt.Errorf("%w: %s ends too early, at byte %d", ErrDamaged, name, at.Physical)
		}
	}
	if end == logTorn {
		l.p.opts.Log.Warn("the end of the log of the store was torn and is cut off: what was being written when the broker ended", "store", l.p.dir,
			"file", name, "bytes", n)
	}
	return nil
}

func (l *quietLogger) Errorf(format string, args ...any) {
	l.p.opts.Log.Warn("pebble: "+oneLine(fmt.Sprintf(format, args...)), "store", l.p.dir)
}

// Fatalf must not return, and must not end the process: the store fails, and the goroutine stays.
func (l *quietLogger) Fatalf(format string, args ...any) {
	l.p.fail(fmt.Errorf("pebble: "+format, args...))
	select {}
}

// recoverFatal makes an error of a panic of Pebble, which knows no other answer to a failed write in some places. Panics of
// the runtime go on.
func recoverFatal(err *error) {
	switch x := recover().(type) {
	case nil:
	case runtime.Error:
		panic(x)
	case error:
		*err = x
	default:
		*err = fmt.Errorf("pebble: %v", x)
	}
}

// recoverAll makes an error of every panic, where only Pebble can be the cause: it reads what is damaged.
func recoverAll(err *error) {
	switch x := recover().(type) {
	case nil:
	case error:
		*err = fmt.Errorf("pebble: %w", x)
	default:
		*err = fmt.Errorf("pebble: %v", x)
	}
}

// strictLogger is for a Pebble that only reads: what it has to say is in its errors.
type strictLogger struct{}

func (strictLogger) Infof(string, ...any)  {}
func (strictLogger) Errorf(string, ...any) {}
func (strictLogger) Fatalf(format string, args ...any) {
	panic(fmt.Errorf("pebble: "+format, args...))
}

// compacting tells whether the caller is a compaction. One that cannot read a table ends in a panic, which would end the
// process: its goroutine must not get to see the error. Since there is no other way to know, it looks at the stack.
func compacting() bool {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		frame, more := frames.Next()
		if strings.Contains(frame.Function, "/internal/compact.") {
			return true
		}
		if !more {
			return false
		}
	}
}

func (p *Pebble) events() *pebble.EventListener {
	log := p.opts.Log
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			if p.opening.Load() { // Pebble would try for ever
				p.fail(err)
				return
			}
			p.tableFault.Store(&fault{err: err})
			log.Warn("the store could not write a table and tries again", "store", p.dir, "error", classify(p.dir, err))
			p.opts.OnError(classify(p.dir, fmt.Errorf("table: %w", err)))
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			err := classify(p.dir, fmt.Errorf("%w: %s: %w", ErrDamaged, path.Base(info.Path), info.Details))
			if compacting() {
				p.fail(err)
				select {}
			}
			if _, known := p.damaged.LoadOrStore(info.Path, nil); known {
				return
			}
			log.Error("a table of the store is damaged", "error", err)
			p.opts.OnError(err)
		},
		FlushEnd: func(info pebble.FlushInfo) {
			if info.Err == nil {
				p.tableFault.Store(nil)
			}
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			log.Warn("the store is behind: acknowledgements wait", "store", p.dir, "reason", info.Reason)
		},
		WriteStallEnd: func() { log.Info("the store has caught up", "store", p.dir) },
	}
}
