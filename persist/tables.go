package persist

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
	"github.com/cockroachdb/pebble/v2/sstable/block/blockkind"
	"github.com/cockroachdb/pebble/v2/sstable/colblk"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// entry is one thing that was once written about a key: the newest counts.
type entry struct {
	key   []byte
	seq   uint64 // higher is newer
	kind  pebble.InternalKeyKind
	value lazyValue
}

// lazyValue is read when it is needed.
type lazyValue interface {
	Value(buf []byte) (value []byte, owned bool, err error)
}

// source yields entries by key, and of one key the newest first.
type source interface {
	// next returns false at the end. What is in the entry is good until the next call.
	next() (entry, bool)
}

// span is a range of keys that was deleted: what is older than seq.
type span struct {
	start, end []byte // end is not in it
	seq        uint64
}

// table reads one table block by block, and passes over those that are damaged. Pebble's own iterators end at the
// first of these.
type table struct {
	name   string
	r      *sstable.Reader
	it     sstable.Iterator
	spans  []span
	whole  []run // between damaged blocks
	inside bool  // it stands in whole[0]
	failed func(what string, from, to []byte)
}

// run is a stretch of readable blocks: keys from from, nil for the beginning, to before to.
type run struct {
	from, to []byte
	last     bool // of the table
}

// openTable opens and checks a table. Of damage to its blocks failed is told, here and later, with the keys that are
// concerned, from from to before to; from nil is its beginning, both nil is all of it. An error is that nothing of it can be read.
func openTable(fsys vfs.FS, path string, failed func(what string, from, to []byte)) (t *table, err error) {
	defer recoverAll(&err)
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	checked, err := checkTable(f, path, nil)
	if err != nil {
		return nil, err
	}
	readable, err := sstable.NewSimpleReadable(checked)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	o := readerOptions()
	_, number, _ := fileKind(fsys.PathBase(path))
	setNumber(&o.CacheOpts.FileNum, number) // for the errors
	r, err := sstable.NewReader(context.Background(), readable, o)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	t = &table{name: fsys.PathBase(path), r: r, failed: failed}
	if err := t.check(); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	if t.it, err = r.NewIter(block.NoTransforms, nil, nil, sstable.TableBlobContext{}); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func readerOptions() sstable.ReaderOptions {
	o := pebble.Options{}
	o.EnsureDefaults()
	return o.MakeReaderOptions()
}

// setNumber sets a number of Pebble whose type has no name outside.
func setNumber[T ~uint64](to *T, n uint64) { *to = T(n) }

// check reads every block once.
func (t *table) check() error {
	layout, err := t.r.Layout()
	if err != nil {
		return err
	}
	var from, to []byte // of the block
	good := false       // the block before was
	for _, h := range layout.Index {
		index, err := t.read(h, blockkind.Index)
		if err != nil {
			return fmt.Errorf("index: %w", err)
		}
		var it colblk.IndexIter
		if err := it.Init(t.r.Comparer, index.BlockData(), block.NoTransforms); err != nil {
			return fmt.Errorf("index: %w", err)
		}
		for ok := it.First(); ok; ok = it.Next() {
			data, err := it.BlockHandleWithProperties()
			if err != nil {
				return fmt.Errorf("index: %w", err)
			}
			from, to = to, append(bytes.Clone(it.Separator()), 0)
			b, err := t.read(data.Handle, blockkind.SSTableData)
			switch {
			case err != nil:
				t.failed(oneLine(err.Error()), from, to)
			case good:
				t.whole[len(t.whole)-1].to = to
			default:
				t.whole = append(t.whole, run{from: from, to: to})
			}
			if good = err == nil; good {
				b.Release()
			}
		}
		index.Release()
	}
	if good {
		t.whole[len(t.whole)-1].last = true
	}
	return t.readSpans()
}

func (t *table) read(h block.Handle, kind block.Kind) (block.BufferHandle, error) {
	return t.r.BlockReader().Read(context.Background(), block.NoReadEnv, nil, h, kind,
		func(*block.Metadata, []byte) error { return nil })
}

// readSpans reads the range deletions.
func (t *table) readSpans() error {
	it, err := t.r.NewRawRangeDelIter(context.Background(), block.NoFragmentTransforms, sstable.NoReadEnv)
	if err != nil {
		t.failed("deletions: "+oneLine(err.Error()), nil, nil)
		return nil
	}
	if it == nil {
		return nil
	}
	defer it.Close()
	s, err := it.First()
	for ; s != nil; s, err = it.Next() {
		for _, k := range s.Keys {
			t.spans = append(t.spans, span{bytes.Clone(s.Start), bytes.Clone(s.End), uint64(k.SeqNum())})
		}
	}
	return err
}

func (t *table) next() (e entry, ok bool) {
	for len(t.whole) > 0 {
		step := t.it.Next
		if !t.inside {
			t.inside = true
			t.it.SetBounds(t.whole[0].from, t.whole[0].to)
			step = t.it.First
		}
		if kv := step(); kv != nil {
			return entry{kv.K.UserKey, uint64(kv.K.SeqNum()), kv.K.Kind(), kv}, true
		}
		// At the end of a run Pebble may look into the damaged block that follows.
		if err := t.it.Error(); err != nil && t.whole[0].last {
			t.failed(oneLine(err.Error()), t.whole[0].from, t.whole[0].to)
		}
		t.whole, t.inside = t.whole[1:], false
	}
	return e, false
}

func (t *table) Close() error {
	if t.it != nil {
		_ = t.it.Close() // what it could not read was told
	}
	return t.r.Close()
}
