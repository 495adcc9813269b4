package persist

import (
	"context"
	"time"
)

// The bound on what the store occupies.
//
// What the broker deletes leaves the disk when tables are compacted, and Pebble does that when there are many. While everything new is
// refused no memtable would ever fill up, and the store would stay as large as it is. So as long as it is too large, and
// something was deleted since the last look, all of it is flushed and compacted.

// spaceLooks is how many retryPauses there are between looks.
const spaceLooks = 4

// watchSpace looks at what the store occupies until it is closed.
func (p *Pebble) watchSpace(every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	var compacted uint64
	for {
		select {
		case <-t.C:
		case <-p.failed:
			return
		case <-p.guard.quit:
			return
		}
		p.judgeSpace(p.diskUsage())
		if n := p.stats.records.Load(); p.tooLarge.Load() && n != compacted {
			compacted = n
			if err := p.compact(); err != nil {
				p.opts.Log.Warn("the store could not be compacted", "store", p.dir, "error", err)
			}
		}
	}
}

// compact flushes and compacts everything, unless the store is closed or fails meanwhile.
func (p *Pebble) compact() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.db.Compact(ctx, []byte{0}, []byte{0xFF}, false) }()
	select {
	case err := <-ended:
		return err
	case <-p.failed:
	case <-p.guard.quit:
	}
	return nil
}

// diskUsage is what the store occupies, in bytes.
func (p *Pebble) diskUsage() int64 {
	m := p.db.Metrics()
	usage := m.DiskSpaceUsage()
	if m.WAL.Size > m.WAL.PhysicalSize { // the newest log counts there as it was when it was opened
		usage += m.WAL.Size - m.WAL.PhysicalSize
	}
	return int64(usage)
}

func (p *Pebble) judgeSpace(usage int64) {
	bound := p.opts.MaxStoreBytes
	switch was := p.tooLarge.Load(); {
	case !was && usage > bound:
		p.tooLarge.Store(true)
		p.opts.Log.Error("the store is as large as it may be: what would make it larger is refused", "store", p.dir, "bytes", usage, "bound", bound)
	case was && usage < bound-bound/20:
		p.tooLarge.Store(false)
		p.opts.Log.Info("the store is smaller again: nothing is refused", "store", p.dir, "bytes", usage, "bound", bound)
	}
}
