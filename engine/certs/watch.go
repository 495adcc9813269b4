package certs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// DefaultWatchInterval is how often Watch looks at the files when it is not told.
const DefaultWatchInterval = 10 * time.Second

// Event is something about the certificates that an operator wants to know.
type Event struct {
	Reloaded bool       // changed files are in use now
	Err      error      // changed files could not be used, and those before are: said once for each change
	Warnings []string   // of what was reloaded
	Expiring []Expiring // have come closer to their end than one of ExpiryDays since the last event
}

// Watch looks at the files in every interval, reloads when they have changed, and tells of it. It returns when ctx ends: the caller runs it on a
// goroutine of its own and joins it. tell is called on that goroutine.
//
// A change is acted upon once the files have looked the same twice in a row, so that a certificate whose key is just being replaced is not taken
// for a mistake. What counts is the time of change, size and identity of the file behind every link, which is how mounted secrets change.
func (s *Store) Watch(ctx context.Context, interval time.Duration, tell func(Event)) {
	if interval <= 0 {
		interval = DefaultWatchInterval
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	w := watcher{store: s}
	for {
		if e := w.look(); e.Reloaded || e.Err != nil || len(e.Expiring) > 0 {
			tell(e)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// watcher is what Watch remembers from look to look. Owned by one goroutine.
type watcher struct {
	store  *Store
	seen   fingerprint // by the last look
	failed fingerprint // could not be used
	told   expiryLog
}

// look is one look at everything.
func (w *watcher) look() (e Event) {
	snap := w.store.current.Load()
	files := lookAt(&snap.options)
	settled := bytes.Equal(files, w.seen)
	w.seen = files
	if settled && !snap.sameFiles(files) && !bytes.Equal(files, w.failed) {
		if e.Err = w.store.Reload(); e.Err != nil {
			w.failed = files
		} else {
			w.failed, e.Reloaded, e.Warnings = nil, true, w.store.Warnings()
		}
	}
	e.Expiring = w.told.next(w.store.Expiry(), snap.options.now())
	return e
}

// fingerprint is how the files look from outside: it changes when one of them does.
type fingerprint []byte

// lookAt takes the fingerprint of all files that o names, and of those in its CA folder.
func lookAt(o *Options) (f fingerprint) {
	for _, p := range o.Pairs {
		f = f.add(p.CertFile).add(p.KeyFile)
	}
	f = f.add(o.CAFile)
	for _, file := range o.CRLFiles {
		f = f.add(file)
	}
	if o.CAPath == "" {
		return f
	}
	entries, err := os.ReadDir(o.CAPath)
	if err != nil {
		return fmt.Appendf(f, "%v\n", err)
	}
	for _, e := range entries[:min(len(entries), MaxCAPathFiles)] {
		f = f.add(filepath.Join(o.CAPath, e.Name()))
	}
	return f
}

// add appends one file.
func (f fingerprint) add(path string) fingerprint {
	if path == "" {
		return f
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Appendf(f, "%q %v\n", path, err)
	}
	return fmt.Appendf(f, "%q %d %d %o %s\n", path, info.ModTime().UnixNano(), info.Size(), info.Mode(), fileIdentity(info))
}
