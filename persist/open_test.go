package persist

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

var makeFixture = flag.Bool("persist.fixture", false, "write testdata of the newest format anew, once, when it is new")

func TestSecondProcessIsToldSo(t *testing.T) {
	dir := t.TempDir()
	p, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir, Options{})
	if want := "store " + dir + ": in use by another gannet"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	closeTest(t, p)
	if p, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	closeTest(t, p)
}

func TestFormatIsChecked(t *testing.T) {
	tests := []struct {
		name       string
		key, value []byte
		want       string
	}{
		{"newer", formatKey, binary.AppendUvarint(nil, formatVersion+1), "of a newer gannet"},
		{"unreadable", formatKey, []byte{0xFF}, "format version: unreadable"},
		{"none", []byte("x"), nil, "no store of gannet"},
	}
	for _, test := range tests {
		fs := vfs.NewMem()
		db, err := pebble.Open("dir/store", &pebble.Options{FS: fs, Logger: silent{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Set(test.key, test.value, pebble.Sync); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open("dir/store", Options{FS: fs}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// fixture is one record of each kind that is stored, with every field set.
func fixture() []session.Record {
	message := func(topic, payload string) *session.Message {
		m := session.Message{Topic: []byte(topic), Payload: []byte(payload), Properties: []byte{0x01, 0x01}, Expires: 1800000000000,
			From: 7, QoS: codec.QoS1, Retain: true}
		return m.Keep()
	}
	shared := message("t/shared", strings.Repeat("payload ", 40))
	state := &session.State{ClientID: "client", UserName: "user", Version: codec.V5, Expiry: 3600, ExpiresAt: 1800000000000, Connected: true, SentUpTo: 3}
	return []session.Record{
		{Kind: session.SessionPut, Session: 7, State: state},
		{Kind: session.SubscriptionPut, Session: 7, Filter: "$share/g/t/+", Options: session.SubscriptionOptions{
			QoS: codec.QoS2, RetainAsPublished: true, RetainHandling: 2, Identifier: 300}},
		{Kind: session.SubscriptionPut, Session: 7, Filter: "t/#", Options: session.SubscriptionOptions{NoLocal: true}},
		{Kind: session.QueueRelease, Session: 7, Seq: 3},
		{Kind: session.QueuePut, Session: 7, Seq: 4, QoS: codec.QoS1, Retain: true, Message: message("t/1", "inline"), IDs: []uint32{300, 1}},
		{Kind: session.QueuePut, Session: 7, Seq: 5, QoS: codec.QoS2, Message: shared},
		{Kind: session.ReceivedPut, Session: 7, ID: 0x0102},
		{Kind: session.WillPut, Session: 7, Will: &session.Will{Message: message("will", "gone"), DelaySeconds: 30, HasExpiry: true,
			ExpirySeconds: 60, Due: 1800000000000}},
		{Kind: session.SessionPut, Session: 8, State: &session.State{ClientID: "other", Version: codec.V311, ExpiresAt: session.Never}},
		{Kind: session.QueuePut, Session: 8, Seq: 1, QoS: codec.QoS1, Message: shared},
		{Kind: session.RetainedPut, Message: message("r", "kept")},
	}
}

// appended is what a session appends to have all of content stored: what is released was put before.
func appended(content []session.Record) (records []session.Record) {
	for _, r := range content {
		if r.Kind == session.QueueRelease {
			m := session.Message{Topic: []byte("t/released")}
			records = append(records, session.Record{Kind: session.QueuePut, Session: r.Session, Seq: r.Seq, QoS: codec.QoS2, Message: m.Keep()})
		}
		records = append(records, r)
	}
	return records
}

// silent is a Pebble without words.
type silent struct{}

func (silent) Infof(string, ...any)      {}
func (silent) Errorf(string, ...any)     {}
func (silent) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// fixture2 is what format 2 added.
func fixture2() []session.Record {
	all := fixture()
	group := session.State{Group: "$share/g/t/#", ExpiresAt: session.Never}
	return slices.Insert(all, len(all)-1,
		session.Record{Kind: session.SessionPut, Session: 9, State: &group},
		session.Record{Kind: session.QueuePut, Session: 9, Seq: 1, QoS: codec.QoS1, Message: all[5].Message},
	)
}

// TestFormatsAreRead opens stores that were written by programs of each format. A change that breaks this needs a new version and a
// way to read the old one.
func TestFormatsAreRead(t *testing.T) {
	counts := Loaded{Sessions: 2, Subscriptions: 2, Queued: 4, Received: 1, Wills: 1, Retained: 1, Shared: 1}
	counts2 := counts
	counts2.Sessions++
	counts2.Queued++
	tests := []struct {
		format  uint64
		content []session.Record
		counts  Loaded
	}{
		{1, fixture(), counts},
		{2, fixture2(), counts2},
	}
	for _, test := range tests {
		dir := fmt.Sprint("testdata/format", test.format)
		if *makeFixture && test.format == formatVersion {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			p, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			p.Append(appended(test.content))
			closeTest(t, p)
		}
		copied := filepath.Join(t.TempDir(), "store")
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		for range 2 { // it is of the newest format the second time
			p, err := Open(copied, Options{})
			if err != nil {
				t.Fatal(err)
			}
			compare(t, lines(load(t, p)), lines(test.content))
			if got := p.Loaded(); got != test.counts {
				t.Errorf("format %d: counted %+v, want %+v", test.format, got, test.counts)
			}
			checkKeys(t, p)
			closeTest(t, p)
		}
		p, err := Open(copied, Options{Window: 1}) // format 1 does not tell the sizes of messages
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range load(t, p) {
			if m := test.content[i].Message; r.Kind == session.QueuePut && r.Message == nil && r.Bytes != m.Size() {
				t.Errorf("format %d: delivery %d of %d bytes, want %d", test.format, r.Seq, r.Bytes, m.Size())
			}
		}
		closeTest(t, p)
	}
}

// TestOlderProgramRefusesAnUpgradedStore, also if the power fails as soon as it is open.
func TestOlderProgramRefusesAnUpgradedStore(t *testing.T) {
	fs := vfs.NewCrashableMem()
	if _, err := vfs.Clone(vfs.Default, fs, "testdata/format1", "dir/store", vfs.CloneSync); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", "dir"} {
		d, err := fs.OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			t.Fatal(err)
		}
	}
	version := func(fs vfs.FS) []byte {
		t.Helper()
		db, err := pebble.Open("dir/store", &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatTableFormatV6, Logger: silent{}})
		if err != nil {
			t.Fatal(err)
		}
		value, closer, err := db.Get(formatKey)
		if err != nil {
			t.Fatal(err)
		}
		value = slices.Clone(value)
		if err := errors.Join(closer.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}
		return value
	}
	if v, err := checkVersion(version(fs), 1); v != 1 || err != nil {
		t.Fatalf("the fixture is of format %d, %v", v, err)
	}
	p, _ := openTest(t, fs, nil)
	crashed := fs.CrashClone(vfs.CrashCloneCfg{})
	closeTest(t, p)
	for _, fs := range []vfs.FS{fs, crashed} {
		_, err := checkVersion(version(fs), 1)
		if want := fmt.Sprintf("format %d is of a newer gannet: this one reads up to 1", formatVersion); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestLoadSweepsMessagesNobodyIsOwed(t *testing.T) {
	fs := vfs.NewMem()
	p, _ := openTest(t, fs, nil)
	p.Append(appended(fixture()))
	closeTest(t, p)
	p, _ = openTest(t, fs, nil)
	if err := p.db.Set(appendNumberKey(nil, prefixMessage, 99), appendMessage(nil, fixture()[5].Message), nil); err != nil {
		t.Fatal(err)
	}
	compare(t, lines(load(t, p)), lines(fixture()))
	if n := len(keys(t, p, prefixMessage)); n != 1 || p.Loaded().Swept != 1 {
		t.Errorf("%d messages left, %d swept", n, p.Loaded().Swept)
	}
	closeTest(t, p)
}

func TestLoadNamesWhatItCannotRead(t *testing.T) {
	tests := []struct {
		name       string
		key, value []byte
		want       string
	}{
		{"session cut", appendNumberKey(nil, prefixSession, 9), []byte{5}, "session 9: session: value ends early"},
		{"options cut", appendSubscriptionKey(nil, 8, "f"), nil, `session 8: filter "f": subscription: value ends early`},
		{"will cut", appendWillKey(nil, 8), []byte{0, 0, 0}, "session 8: will: message: value ends early"},
		{"message not there", appendChunkKey(nil, 8, 2), []byte{0, 1, 3, 154, 1}, "session 8: delivery 2: message 77 is not in the store"},
		{"chunk cut", appendChunkKey(nil, 8, 2), []byte{0, 1, 3}, "session 8: delivery 2: value ends early"},
		{"marks cut", appendMarksKey(nil, 7, 3), []byte{9}, "session 7: marks: value ends early"},
		{"retained cut", []byte("rt"), nil, `retained "t": message: value ends early`},
		{"strange key", append(appendNumberKey(nil, prefixHot, 8), "zzz"...), nil, "key 7100000000000000087a7a7a: unknown"},
	}
	for _, test := range tests {
		p, d := openTest(t, vfs.NewMem(), nil)
		d.wait(p.Append(appended(fixture())))
		if err := p.db.Set(test.key, test.value, nil); err != nil {
			t.Fatal(err)
		}
		err := p.Load(func() func(session.Record) error { return func(session.Record) error { return nil } })
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "damaged: "+test.want+" (gannet store verify") {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
		closeTest(t, p)
	}
}

// TestManyLoopsAppend: the order of each session is kept, whoever else appends.
func TestManyLoopsAppend(t *testing.T) {
	fs := vfs.NewMem()
	p, d := openTest(t, fs, nil)
	worlds := make([]*world, 4)
	models := make([]model, len(worlds))
	var wg sync.WaitGroup
	for i := range worlds {
		worlds[i], models[i] = newWorld(uint64(i)), model{}
		worlds[i].nextID = uint64(i) * 1000
		wg.Go(func() {
			for range 1000 {
				for _, records := range worlds[i].step() {
					if len(records) > 0 && records[0].Session == 0 {
						continue // retained messages are not one loop's own
					}
					models[i].apply(records)
					ticket := p.Append(records)
					if i == 0 {
						d.wait(ticket)
					}
				}
			}
		})
	}
	wg.Wait()
	closeTest(t, p)
	p, _ = openTest(t, fs, nil)
	var want []string
	for _, m := range models {
		want = append(want, m.lines()...)
	}
	compare(t, lines(load(t, p)), want)
	checkKeys(t, p)
	closeTest(t, p)
}

func TestNothingIsTakenAfterClose(t *testing.T) {
	p, d := openTest(t, vfs.NewMem(), nil)
	last := p.Append(retained(1))
	closeTest(t, p)
	if d.newest() != last {
		t.Error("closed without what was appended")
	}
	if ticket := p.Append(retained(2)); ticket <= last {
		t.Errorf("ticket %d is durable already", ticket)
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range fixture() {
		switch r.Kind {
		case session.QueuePut:
			for id := range uint64(2) {
				var c chunkWriter
				c.begin(r.Seq)
				c.add(&r, id)
				c.add(&session.Record{Kind: session.QueueRelease, Seq: r.Seq + 3}, 0)
				f.Add(c.buf)
			}
		case session.SessionPut:
			f.Add(appendState(nil, r.State))
		case session.SubscriptionPut:
			f.Add(appendOptions(nil, r.Options))
		case session.WillPut:
			f.Add(appendWill(nil, r.Will))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// What parses is what its encoding parses to.
		if st, err := parseState(b); err == nil {
			if again, err := parseState(appendState(nil, st)); err != nil || *again != *st {
				t.Errorf("state %+v became %+v, %v", st, again, err)
			}
		}
		if o, err := parseOptions(b); err == nil {
			if again, err := parseOptions(appendOptions(nil, o)); err != nil || again != o {
				t.Errorf("options %+v became %+v, %v", o, again, err)
			}
		}
		if w, err := parseWill(b); err == nil {
			r := session.Record{Kind: session.WillPut, Will: w}
			again, err := parseWill(appendWill(nil, w))
			if err != nil || line(session.Record{Kind: session.WillPut, Will: again}) != line(r) {
				t.Errorf("%s became %+v, %v", line(r), again, err)
			}
		}
		if m, err := parseMarks(b); err == nil {
			if again, err := parseMarks(m.append(nil)); err != nil || *again != *m {
				t.Errorf("marks %+v became %+v, %v", m, again, err)
			}
		}
		var r session.Record
		w := chunkWriter{}
		w.begin(1)
		var read []session.Record
		for c := readChunk(1, b); ; {
			o, ok, err := c.next(&r)
			if err != nil || ok && r.Seq < w.last {
				return
			}
			if !ok {
				break
			}
			if r.Kind == session.QueuePut {
				if o.inline == nil {
					return
				}
				if r.Message, err = parseMessage(o.inline); err != nil {
					return
				}
			}
			read = append(read, r)
			w.add(&r, 0)
		}
		c := readChunk(1, w.buf)
		for _, want := range read {
			o, ok, err := c.next(&r)
			if err != nil || !ok {
				t.Fatalf("%s is gone: %v", line(want), err)
			}
			if r.Kind == session.QueuePut {
				if r.Bytes != want.Message.Size() {
					t.Errorf("size %d, is %d", r.Bytes, want.Message.Size())
				}
				if r.Message, err = parseMessage(o.inline); err != nil {
					t.Fatal(err)
				}
			}
			if line(r) != line(want) || !slices.Equal(r.IDs, want.IDs) {
				t.Errorf("%s became %s", line(want), line(r))
			}
		}
	})
}

func ExampleOpen() {
	fs := vfs.NewMem()
	p, err := Open("store", Options{FS: fs})
	if err != nil {
		panic(err)
	}
	p.Append([]session.Record{{Kind: session.SessionPut, Session: 1, State: &session.State{ClientID: "c"}}})
	if err := p.Close(); err != nil {
		panic(err)
	}
	if p, err = Open("store", Options{FS: fs}); err != nil {
		panic(err)
	}
	defer func() { _ = p.Close() }()
	_ = p.Load(func() func(session.Record) error {
		return func(r session.Record) error {
			fmt.Println(r.Session, r.State.ClientID)
			return nil
		}
	})
	// Output: 1 c
}
