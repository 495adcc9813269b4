package persist

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// worldStore fills a store with what a broker might do, in tables of several levels and in logs, and leaves it as a killed
// process would. It returns what has to be in it.
func worldStore(t testing.TB, fs *vfs.MemFS, seed uint64, steps int) model {
	t.Helper()
	p, d := openTest(t, fs, func(o *Options) { o.MemTableBytes = 64 << 10 })
	w, m := newWorld(seed), model{}
	var last uint64
	for i := range steps {
		for _, records := range w.step() {
			if ticket := p.Append(records); ticket > 0 {
				m.apply(records)
				last = ticket
			}
		}
		if i == steps/2 {
			d.wait(last)
			if err := p.db.Compact(t.Context(), []byte{0}, []byte{0xFF}, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.wait(last)
	closeTest(t, p)
	return m
}

// pairs is what a store holds, as Pebble sees it.
func pairs(t testing.TB, fs vfs.FS, dir string) (all []string) {
	t.Helper()
	r, err := openReadOnly(fs, dir)
	if err != nil {
		t.Fatal(err)
	}
	err = r.visit(nil, func(key, value []byte) error {
		all = append(all, fmt.Sprintf("%x %x", key, value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestScanSeesWhatPebbleSees: the merge of tables and logs that Verify and Repair do on their own yields what Pebble does.
func TestScanSeesWhatPebbleSees(t *testing.T) {
	for seed := range uint64(10) {
		fs := vfs.NewMem()
		worldStore(t, fs, seed, 3000)
		s, err := openScan(fs, "dir/store", nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		err = s.each(func(key, value []byte) error {
			got = append(got, fmt.Sprintf("%x %x", key, value))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.problems) > 0 {
			t.Error(s.problems)
		}
		t.Log(len(got), len(s.tables), len(s.spans))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		compare(t, got, pairs(t, fs, "dir/store"))
		report, err := verify(fs, "dir/store", nil)
		if err != nil || len(report.Problems) > 0 || report.Checked != int64(len(got)) {
			t.Errorf("%+v, %v", report, err)
		}
		report, err = repair(fs, "dir/store", nil, time.Unix(1, 0))
		if err != nil || len(report.Problems) > 0 {
			t.Errorf("%+v, %v", report, err)
		}
	}
}

var _ pebble.Options
