package persist

import (
	"fmt"
	"runtime"

	"github.com/cockroachdb/pebble/v2"
)

// quietLogger takes what Pebble has to say.
type quietLogger struct{ p *Pebble }

func (l quietLogger) Infof(string, ...any) {}

func (l quietLogger) Errorf(format string, args ...any) {
	l.p.opts.Log.Warn("pebble: "+fmt.Sprintf(format, args...), "store", l.p.dir)
}

// Fatalf must not return, and must not end the process. Once the store runs, it fails and the goroutine stays; while it
// starts, Open or Load returns the error.
func (l quietLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf("pebble: "+format, args...)
	if l.p.starting.Load() {
		panic(fatal{err})
	}
	l.p.fail(err)
	select {}
}

// fatal is the panic of Fatalf while the store starts.
type fatal struct{ error }

// recoverFatal makes an error of a panic with one, by Fatalf or by Pebble, which knows no other answer to a failed
// write in some places. Panics of the runtime go on.
func recoverFatal(err *error) {
	switch x := recover().(type) {
	case nil:
	case runtime.Error:
		panic(x)
	case fatal:
		*err = x.error
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
	panic(fatal{fmt.Errorf("pebble: "+format, args...)})
}

func (p *Pebble) events() *pebble.EventListener {
	log := p.opts.Log
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			log.Warn("the store could not write a table and tries again", "store", p.dir, "error", err)
			p.opts.OnError(fmt.Errorf("store %s: table: %w", p.dir, err))
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			log.Error("a table of the store is damaged", "store", p.dir, "table", info.Path, "error", info.Details)
			p.opts.OnError(fmt.Errorf("store %s: table %s is damaged: %w", p.dir, info.Path, info.Details))
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			log.Warn("the store is behind: acknowledgements wait", "store", p.dir, "reason", info.Reason)
		},
		WriteStallEnd: func() { log.Info("the store has caught up", "store", p.dir) },
	}
}
