package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// population is a store of some size: sessions with subscriptions, queues, wills, and retained messages.
func population(sessions int) (records []session.Record) {
	var shared *session.Message
	for i := range sessions {
		id := uint64(i + 1)
		message := func(topic string) *session.Message {
			m := session.Message{Topic: []byte(topic), Payload: fmt.Appendf(nil, "%0100d", i), QoS: codec.QoS1}
			return m.Keep()
		}
		if i%10 == 0 {
			shared = message("shared")
		}
		records = append(records,
			session.Record{Kind: session.SessionPut, Session: id, State: &session.State{ClientID: fmt.Sprintf("client %d", i), Version: codec.V5, Expiry: 60}},
			session.Record{Kind: session.SubscriptionPut, Session: id, Filter: fmt.Sprintf("t/%d/+", i)},
			session.Record{Kind: session.QueuePut, Session: id, Seq: 1, QoS: codec.QoS1, Message: shared},
			session.Record{Kind: session.QueuePut, Session: id, Seq: 2, QoS: codec.QoS1, Message: message("own")},
			session.Record{Kind: session.QueueRelease, Session: id, Seq: 3},
			session.Record{Kind: session.ReceivedPut, Session: id, ID: 7},
			session.Record{Kind: session.RetainedPut, Message: message(fmt.Sprintf("retained/%05d", i))},
		)
		if i%7 == 0 {
			records = append(records, session.Record{Kind: session.WillPut, Session: id, Will: &session.Will{Message: message("will")}})
		}
	}
	return records
}

// populate makes a store with most of the population in tables and some in logs, as a killed process leaves it. Some sessions ended.
func populate(t testing.TB, fs *vfs.MemFS, sessions int) *vfs.MemFS {
	t.Helper()
	p, d := openTest(t, fs, nil)
	records := population(sessions)
	half := len(records) * 3 / 4
	d.wait(p.Append(records[:half]))
	if err := p.db.Compact(t.Context(), []byte{0}, []byte{0xFF}, false); err != nil {
		t.Fatal(err)
	}
	d.wait(p.Append(records[half : half+half/8]))
	d.wait(p.Append([]session.Record{{Kind: session.SessionDelete, Session: 3}, {Kind: session.SessionDelete, Session: 4},
		{Kind: session.QueueDelete, Session: 5, Seq: 2}}))
	if err := p.db.Flush(); err != nil {
		t.Fatal(err)
	}
	for rest := range slices.Chunk(records[half+half/8:], 50) {
		d.wait(p.Append(rest))
	}
	killed := fs.CrashClone(vfs.CrashCloneCfg{})
	closeTest(t, p)
	return killed
}

// pairs is what a store holds, as Pebble sees it.
func pairs(t testing.TB, fs vfs.FS) (all []string) {
	t.Helper()
	r, err := openReadOnly(fs, "dir/store")
	if err != nil {
		t.Fatal(err)
	}
	err = r.visit(nil, func(key, value []byte) error {
		all = append(all, fmt.Sprintf("%x %x", key, value))
		return nil
	})
	if err = errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return all
}

// copyOf lets a test spoil what others use.
func copyOf(t testing.TB, fs vfs.FS) *vfs.MemFS {
	t.Helper()
	c := vfs.NewCrashableMem()
	if _, err := vfs.Clone(fs, c, "dir", "dir", vfs.CloneSync); err != nil {
		t.Fatal(err)
	}
	if err := syncDir(c, ""); err != nil {
		t.Fatal(err)
	}
	return c
}

// liveTables are those that belong to the store.
func liveTables(t testing.TB, fs vfs.FS) (names []string) {
	t.Helper()
	s, err := openScan(fs, "dir/store", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range s.tables {
		names = append(names, x.name)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return names
}

func storeFiles(t testing.TB, fs vfs.FS, kinds ...string) (names []string) {
	t.Helper()
	all, err := fs.List("dir/store")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if kind, _, ok := fileKind(name); ok && slices.Contains(kinds, kind) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func readAll(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(fs.PathJoin("dir/store", name))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

func writeAll(t testing.TB, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create(fs.PathJoin("dir/store", name), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(bytes.Clone(b)) // MemFS spoils it under the race detector
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// flip spoils one byte.
func flip(t testing.TB, fs vfs.FS, name string, at int) {
	t.Helper()
	b := readAll(t, fs, name)
	b[at] ^= 0xFF
	writeAll(t, fs, name, b)
}

// tryOpen opens and loads a store, and returns what its log said.
func tryOpen(fs vfs.FS) (records int, log string, err error) {
	var out bytes.Buffer
	p, err := open("dir/store", Options{FS: fs, MemTableBytes: 1 << 20, CacheBytes: 1 << 20, Log: slog.New(slog.NewTextHandler(&out, nil))}, time.Millisecond)
	if err != nil {
		return 0, out.String(), err
	}
	err = p.Load(func() func(session.Record) error { return func(session.Record) error { return nil } })
	c := p.Loaded()
	err = errors.Join(err, p.Close())
	return c.Sessions + c.Subscriptions + c.Queued + c.Received + c.Wills + c.Retained, out.String(), err
}

// checkRepair repairs a store and checks that it can be opened then, that it has nothing that was not there, and that it does
// not lack more than lost. It returns the report.
func checkRepair(t *testing.T, fs vfs.FS, what string, want []string, lost int) Report {
	t.Helper()
	report, err := repair(fs, "dir/store", nil, time.Unix(99, 0))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	got := pairs(t, fs)
	for _, pair := range got {
		if _, ok := slices.BinarySearch(want, pair); !ok && !mayBeBack(pair) {
			t.Errorf("%s: made up %s", what, pair)
		}
	}
	if len(got) < len(want)-lost {
		t.Errorf("%s: %d of %d keys kept: %+v", what, len(got), len(want), report.Problems)
	}
	if int64(len(got)) != report.Kept {
		t.Errorf("%s: kept %d, reported %d", what, len(got), report.Kept)
	}
	if len(got) < len(want) && len(report.Problems) == 0 {
		t.Errorf("%s: %d of %d keys, and no problem", what, len(got), len(want))
	}
	if _, _, err := tryOpen(fs); err != nil {
		t.Errorf("%s: repaired, but: %v", what, err)
	}
	if again, err := repair(fs, "dir/store", nil, time.Unix(100, 0)); err != nil || len(again.Problems) > 0 {
		t.Errorf("%s: repaired again: %+v, %v", what, again.Problems, err)
	}
	return report
}

// mayBeBack tells what comes back if its deletion is lost, and what marks that a message is.
func mayBeBack(pair string) bool {
	var key []byte
	if _, err := fmt.Sscanf(pair, "%x", &key); err != nil {
		return false
	}
	r, err := parseKey(key)
	return err == nil && (r.Session >= 3 && r.Session <= 5 || isMarksKey(key))
}

// checkHint checks that an error is one line that names the store and says what to do.
func checkHint(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("%s: %v", what, err)
		return
	}
	if s := err.Error(); strings.Count(s, "store dir/store: ") != 1 || !strings.Contains(s, "gannet store repair dir/store") || strings.Contains(s, "\n") {
		t.Errorf("%s: %s", what, s)
	}
}

// TestScanSeesWhatPebbleSees: the merge of tables and logs that Verify and Repair do on their own yields what Pebble does.
func TestScanSeesWhatPebbleSees(t *testing.T) {
	check := func(fs vfs.FS) {
		t.Helper()
		s, err := openScan(fs, "dir/store", nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		err = s.each(func(key, value []byte) error {
			got = append(got, fmt.Sprintf("%x %x", key, value))
			return nil
		})
		if err = errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		compare(t, got, pairs(t, fs))
		report, err := verify(fs, "dir/store", nil)
		if err != nil || len(report.Problems) > 0 || report.Checked != int64(len(got)) {
			t.Errorf("%+v, %v", report, err)
		}
		report, err = repair(fs, "dir/store", nil, time.Unix(1, 0))
		if err != nil || len(report.Problems) > 0 || report.Kept != int64(len(got)) {
			t.Errorf("%+v, %v", report, err)
		}
		if names, err := fs.List("dir"); err != nil || len(names) != 1 {
			t.Errorf("%v: %v", names, err)
		}
	}
	for seed := range uint64(6) {
		fs := vfs.NewCrashableMem()
		p, d := openTest(t, fs, func(o *Options) { o.MemTableBytes = 32 << 10 })
		w := newWorld(seed)
		var last uint64
		for range 4000 {
			for _, records := range w.step() {
				last = max(last, p.Append(records))
			}
		}
		d.wait(last)
		killed := fs.CrashClone(vfs.CrashCloneCfg{})
		closeTest(t, p)
		check(killed)
		check(fs)
	}
	check(populate(t, vfs.NewCrashableMem(), 500))
}

func TestDamagedTableLosesNoMoreThanItsBlock(t *testing.T) {
	fs := populate(t, vfs.NewCrashableMem(), 1000)
	want := pairs(t, fs)
	for _, name := range liveTables(t, fs) {
		size := len(readAll(t, fs, name))
		for at := 0; at < size; at += size/7 + 1 {
			c := copyOf(t, fs)
			flip(t, c, name, at)
			what := fmt.Sprintf("%s byte %d of %d", name, at, size)
			_, _, err := tryOpen(copyOf(t, c))
			checkHint(t, what, err)
			if err != nil && !strings.Contains(err.Error(), name) {
				t.Errorf("%s: the error does not name the file: %v", what, err)
			}
			lost := len(want)
			if at < size*8/10 {
				lost = 500 // a block, and what depends on the sessions or messages in it
			}
			report := checkRepair(t, c, what, want, lost)
			if len(report.Problems) == 0 || report.Problems[0].File != name {
				t.Errorf("%s: %+v", what, report.Problems)
			}
			if _, err := c.Stat("dir/store.damaged-99/" + name); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

func TestMissingTableIsNamed(t *testing.T) {
	fs := populate(t, vfs.NewCrashableMem(), 300)
	want := pairs(t, fs)
	for _, name := range liveTables(t, fs) {
		c := copyOf(t, fs)
		if err := c.Remove(path.Join("dir/store", name)); err != nil {
			t.Fatal(err)
		}
		_, _, err := tryOpen(copyOf(t, c))
		checkHint(t, name, err)
		report := checkRepair(t, c, name, want, len(want))
		if len(report.Problems) == 0 || report.Problems[0].File != name || report.Problems[0].Lost == "" {
			t.Errorf("%s: %+v", name, report.Problems)
		}
	}
}

// TestTornLogIsCutOffAndSaid cuts and spoils the end of the newest log everywhere. The store opens with a prefix.
func TestTornLogIsCutOffAndSaid(t *testing.T) {
	fs := vfs.NewCrashableMem()
	p, d := openTest(t, fs, nil)
	var ends []int // of the log after each record
	name := ""
	for n := range 20 {
		d.wait(p.Append(retained(n)))
		logs := storeFiles(t, fs, ".log")
		name = logs[len(logs)-1]
		ends = append(ends, len(bytes.TrimRight(readAll(t, fs, name), "\x00")))
	}
	killed := fs.CrashClone(vfs.CrashCloneCfg{})
	closeTest(t, p)
	whole := readAll(t, killed, name)
	check := func(what string, b []byte, kept int, torn bool) {
		t.Helper()
		c := copyOf(t, killed)
		writeAll(t, c, name, b)
		report, err := verify(c, "dir/store", nil)
		if err != nil || (len(report.Problems) > 0) != torn {
			t.Errorf("%s: %+v, %v", what, report.Problems, err)
		}
		n, log, err := tryOpen(c)
		if err != nil || n != kept {
			t.Errorf("%s: %d of %d records, %v", what, n, kept, err)
		}
		if said := strings.Contains(log, "torn") && strings.Contains(log, "file="+name); said != torn {
			t.Errorf("%s: the log says %s", what, log)
		}
		if _, log, err := tryOpen(c); err != nil || strings.Contains(log, "torn") {
			t.Errorf("%s: opened again: %v, %s", what, err, log)
		}
	}
	for size := ends[15]; size <= len(whole); size += 3 {
		kept, boundary := 0, false
		for i, end := range ends {
			if end <= size {
				kept, boundary = i+1, end == size
			}
		}
		torn := !boundary && len(bytes.TrimRight(whole[:size], "\x00")) > ends[kept-1]
		check(fmt.Sprintf("cut at %d", size), whole[:size], kept, torn)
	}
	for at := ends[18]; at < ends[19]; at += 2 {
		for _, mask := range []byte{0x01, 0xFF} {
			spoiled := bytes.Clone(whole)
			spoiled[at] ^= mask
			check(fmt.Sprintf("byte %d ^ %x", at, mask), spoiled, 19, true)
		}
	}
}

// TestDamagedLogInTheMiddleIsAnError spoils what had been synced before what follows it, and logs that others follow.
func TestDamagedLogInTheMiddleIsAnError(t *testing.T) {
	fs := vfs.NewCrashableMem()
	disk := newTrouble(fs, func(op errorfs.Op) bool { return writes(op) && isTable(op.Path) })
	p, d := openTest(t, disk.fs, func(o *Options) { o.MemTableBytes = 64 << 10 })
	disk.start(errors.New("no tables, so that logs stay"))
	var last uint64
	for n := range 3000 {
		if last = p.Append(retained(n)); n%10 == 0 {
			d.wait(last)
		}
		if logs := storeFiles(t, fs, ".log"); len(logs) == 3 {
			break
		}
	}
	d.wait(last)
	killed := fs.CrashClone(vfs.CrashCloneCfg{})
	_ = p.Close() // it cannot write tables
	want := pairs(t, killed)
	logs := storeFiles(t, killed, ".log")
	if len(logs) != 3 {
		t.Fatal(logs)
	}
	for i, name := range logs[:2] {
		b := readAll(t, killed, name)
		end := len(bytes.TrimRight(b, "\x00"))
		spoil := map[string]func(fs vfs.FS){
			"start":    func(fs vfs.FS) { flip(t, fs, name, 20) },
			"middle":   func(fs vfs.FS) { flip(t, fs, name, end/2) },
			"end":      func(fs vfs.FS) { flip(t, fs, name, end-30) },
			"end mark": func(fs vfs.FS) { flip(t, fs, name, end-2) },
			"cut":      func(fs vfs.FS) { writeAll(t, fs, name, b[:end/2]) },
			"empty":    func(fs vfs.FS) { writeAll(t, fs, name, nil) },
		}
		if i == 1 {
			spoil["gone"] = func(fs vfs.FS) {
				if err := fs.Remove("dir/store/" + name); err != nil {
					t.Fatal(err)
				}
			}
		}
		for what, spoil := range spoil {
			c := copyOf(t, killed)
			spoil(c)
			what = name + " " + what
			if !strings.HasSuffix(what, "gone") { // which Pebble cannot know, but Verify
				_, _, err := tryOpen(copyOf(t, c))
				checkHint(t, what, err)
			}
			lost := len(want)
			if strings.HasSuffix(what, "middle") {
				lost = 30 // a batch
			}
			report := checkRepair(t, c, what, want, lost)
			if len(report.Problems) == 0 {
				t.Errorf("%s: no problem", what)
			}
		}
	}
}

// TestNeverASilentEmptyStart takes away what tells Pebble that there is a store.
func TestNeverASilentEmptyStart(t *testing.T) {
	fs := populate(t, vfs.NewCrashableMem(), 300)
	want := pairs(t, fs)
	remove := func(fs vfs.FS, prefix string) {
		names, err := fs.List("dir/store")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasPrefix(name, prefix) {
				if err := fs.Remove("dir/store/" + name); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, prefix := range []string{"MANIFEST-", "marker.manifest", "marker.format-version", "marker."} {
		c := copyOf(t, fs)
		remove(c, prefix)
		_, _, err := tryOpen(c)
		checkHint(t, prefix, err)
		_, err = readInfo(c, "dir/store", nil)
		checkHint(t, prefix+": info", classify("dir/store", err))
		checkRepair(t, c, prefix, want, 0)
	}
}

func TestDamagedManifestIsNotItsEnd(t *testing.T) {
	fs := populate(t, vfs.NewCrashableMem(), 300)
	want := pairs(t, fs)
	records, _, err := tryOpen(copyOf(t, fs))
	if err != nil {
		t.Fatal(err)
	}
	name := storeFiles(t, fs, "MANIFEST-")[0]
	size := len(readAll(t, fs, name))
	for at := 0; at < size; at += 3 {
		c := copyOf(t, fs)
		flip(t, c, name, at)
		what := fmt.Sprintf("byte %d of %d", at, size)
		if n, _, err := tryOpen(copyOf(t, c)); err != nil || n != records {
			checkHint(t, what, err)
		}
		if at%33 == 0 {
			checkRepair(t, c, what, want, 0)
		}
	}
}

func TestForeignDirectoryIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("dir/store", 0o700); err != nil {
		t.Fatal(err)
	}
	writeAll(t, fs, "letter.txt", []byte("dear"))
	for _, err := range []error{
		func() error { _, _, err := tryOpen(fs); return err }(),
		func() error { _, err := readInfo(fs, "dir/store", nil); return classify("dir/store", err) }(),
		func() error { _, err := verify(fs, "dir/store", nil); return classify("dir/store", err) }(),
		func() error {
			_, err := repair(fs, "dir/store", nil, time.Unix(1, 0))
			return classify("dir/store", err)
		}(),
	} {
		if !errors.Is(err, ErrNoStore) || !strings.HasPrefix(err.Error(), "store dir/store: no store of gannet") {
			t.Errorf("got %v", err)
		}
	}
	if names, err := fs.List("dir/store"); err != nil || slices.ContainsFunc(names, func(n string) bool { return n != "letter.txt" && n != "LOCK" }) {
		t.Errorf("%v, %v", names, err)
	}
}

func TestOptionsFileIsNotNeededForRepair(t *testing.T) {
	fs := populate(t, vfs.NewCrashableMem(), 100)
	want := pairs(t, fs)
	for _, name := range storeFiles(t, fs, "OPTIONS-") {
		writeAll(t, fs, name, []byte("[Options]\n  comparer=nobody\n"))
	}
	if _, _, err := tryOpen(fs); err == nil {
		t.Error("opened")
	}
	checkRepair(t, fs, "options", want, 0)
}
