package persist

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/gannetmq/gannet/engine/session"
)

// Bringing back what is stored.
//
// A broker with a million sessions must not keep them waiting while one core reads. So the sessions are cut into parts by their
// numbers, and the retained messages by their topics, and as many goroutines as there are cores take part after part. Each walks
// the two halves of its sessions in step (see keys.go), and counts for itself what refers to shared messages; the
// counts are added up at the end. The parts are many more than the goroutines, so that it does not matter that they differ in size.
//
// Where the hot half has something of a session that the cold half does not know, the session has ended. It is deleted here: a
// later session may get the number again.

// partsPerWorker is how many parts there are for each goroutine.
const partsPerWorker = 16

// maxSweepBytes is how much a batch of deletions may hold.
const maxSweepBytes = 1 << 20

// Loaded counts what Load visited.
type Loaded struct {
	Sessions, Subscriptions, Queued, Received, Wills, Retained int

	Shared  int // messages that several of the Queued have in common
	Swept   int // shared messages that nobody was owed any more
	Orphans int // ranges of deliveries whose sessions were gone, deleted
}

func (c *Loaded) add(d Loaded) {
	c.Sessions += d.Sessions
	c.Subscriptions += d.Subscriptions
	c.Queued += d.Queued
	c.Received += d.Received
	c.Wills += d.Wills
	c.Retained += d.Retained
	c.Shared += d.Shared
	c.Swept += d.Swept
	c.Orphans += d.Orphans
}

// Loaded returns what Load visited, so far or in all. Safe for concurrent use.
func (p *Pebble) Loaded() Loaded {
	p.loadedMu.Lock()
	defer p.loadedMu.Unlock()
	return p.loaded
}

func (p *Pebble) count(d Loaded) {
	p.loadedMu.Lock()
	defer p.loadedMu.Unlock()
	p.loaded.add(d)
}

// Load visits what is stored; see broker.Store. visitor is called from this goroutine, for each of those that will visit. Sessions
// come one by one and with ascending numbers to each visit function, and nothing of them is held in memory but what visit keeps. The first
// error of a visit function ends it all and is returned as it is.
func (p *Pebble) Load(visitor func() func(session.Record) error) (err error) {
	defer func() { err = explain(p.dir, err) }()
	defer recoverFatal(&err)
	workers := runtime.GOMAXPROCS(0)
	parts, err := p.parts(partsPerWorker * workers)
	if err != nil {
		return err
	}
	loaders := make([]loader, min(workers, len(parts)))
	for i := range loaders {
		loaders[i] = loader{p: p, visit: visitor(), queues: make(map[uint64]*queue)}
	}
	stopProgress := p.logProgress()
	err = p.orFailed(func() error { return p.runLoaders(loaders, parts) })
	stopProgress()
	if err != nil {
		return err
	}
	for i := range loaders {
		loaders[i].refs.each(p.w.refs.add)
		maps.Copy(p.w.queues, loaders[i].queues)
	}
	return p.orFailed(p.sweep)
}

// runLoaders returns when all have ended, with the first error.
func (p *Pebble) runLoaders(loaders []loader, parts []part) (err error) {
	errs := make(chan error, len(loaders))
	var next atomic.Int64
	for i := range loaders {
		go func() { errs <- loaders[i].run(parts, &next) }()
	}
	for range loaders {
		if e := <-errs; e != nil && err == nil {
			err = e
			next.Store(int64(len(parts))) // no more
		}
	}
	return err
}

// logProgress says every second how far Load is, until the returned function is called.
func (p *Pebble) logProgress() (stop func()) {
	quit := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for {
			select {
			case <-second.C:
				c := p.Loaded()
				p.opts.Log.Info("loading the store", "store", p.dir, "sessions", c.Sessions, "queued", c.Queued, "retained", c.Retained)
			case <-quit:
				return
			}
		}
	})
	return func() {
		close(quit)
		ended.Wait()
	}
}

// part is what one goroutine loads at a time: some sessions, or some retained messages.
type part struct {
	first, last  uint64 // sessions, both included
	lower, upper []byte // keys of retained messages; nil: sessions
}

// parts cuts the store into about n parts of sessions and n of retained messages. What is long begins first.
func (p *Pebble) parts(n int) (all []part, err error) {
	first, last, err := p.keyRange(prefixRetained)
	if err != nil {
		return nil, err
	}
	if first != nil {
		cuts := append(cutKeys(first, last, n), []byte{prefixRetained + 1})
		lower := []byte{prefixRetained}
		for _, upper := range cuts {
			all = append(all, part{lower: lower, upper: upper})
			lower = upper
		}
	}
	sessions, err := p.sessionParts(n)
	if err != nil {
		return nil, err
	}
	sessions[len(sessions)-1].last = math.MaxUint64 // of a session without a state there may be more
	sessions[0].first = 0
	return append(all, sessions...), nil
}

// sessionParts cuts the sessions into about n parts with as many numbers each.
func (p *Pebble) sessionParts(n int) (parts []part, err error) {
	first, last, err := p.keyRange(prefixSession)
	if err != nil {
		return nil, err
	}
	from, _ := keyNumber(first)
	to, _ := keyNumber(last)
	parts = []part{{first: from}}
	for _, x := range cutNumbers(from, to, n) {
		parts[len(parts)-1].last = x - 1
		parts = append(parts, part{first: x})
	}
	parts[len(parts)-1].last = to
	return parts, nil
}

// keyRange returns the first and the last key with a prefix, nil if there is none.
func (p *Pebble) keyRange(prefix byte) (first, last []byte, err error) {
	it, err := p.db.NewIter(prefixBounds(prefix))
	if err != nil {
		return nil, nil, err
	}
	defer closeInto(&err, it)
	if it.First() {
		first = append(first, it.Key()...)
	}
	if it.Last() {
		last = append(last, it.Key()...)
	}
	return first, last, it.Error()
}

// cutNumbers returns up to n-1 numbers above from and up to to, ascending, at even distances.
func cutNumbers(from, to uint64, n int) (cuts []uint64) {
	step := (to-from)/uint64(n) + 1
	for to-from >= step {
		from += step
		cuts = append(cuts, from)
	}
	return cuts
}

// cutKeys returns up to n-1 keys between first and last, ascending, at even distances as far as the eight bytes tell in which the
// two begin to differ.
func cutKeys(first, last []byte, n int) (cuts [][]byte) {
	same := 0
	for same < len(first) && same < len(last) && first[same] == last[same] {
		same++
	}
	number := func(key []byte) uint64 {
		var b [8]byte
		copy(b[:], key[same:])
		return binary.BigEndian.Uint64(b[:])
	}
	for _, x := range cutNumbers(number(first), number(last), n) {
		cuts = append(cuts, binary.BigEndian.AppendUint64(append([]byte(nil), first[:same]...), x))
	}
	return cuts
}

// sweep deletes shared messages that nobody is owed: what a session that ended was owed while its keys were dropped,
// if the process ended before it was counted.
func (p *Pebble) sweep() (err error) {
	n := Loaded{Shared: p.w.refs.n}
	defer func() { p.count(n) }()
	it, err := p.db.NewIter(prefixBounds(prefixMessage))
	if err != nil {
		return err
	}
	defer closeInto(&err, it)
	b := p.db.NewBatch()
	defer closeInto(&err, b)
	for it.First(); it.Valid(); it.Next() {
		id, ok := keyNumber(it.Key())
		if !ok {
			return badKey(it.Key())
		}
		if p.w.refs.get(id) > 0 {
			continue
		}
		n.Swept++
		if err := b.SingleDelete(it.Key(), nil); err != nil {
			return err
		}
		if b.Len() >= maxSweepBytes {
			if err := p.db.Apply(b, pebble.NoSync); err != nil {
				return err
			}
			b.Reset()
		}
	}
	if err := it.Error(); err != nil {
		return err
	}
	return p.db.Apply(b, pebble.NoSync)
}

// closeInto closes an iterator, whose own error counts as well, or a batch.
func closeInto(err *error, c io.Closer) {
	if e := c.Close(); *err == nil {
		*err = e
	}
}

func badKey(key []byte) error { return fmt.Errorf("key %x: %w", key, errUnknownKey) }
