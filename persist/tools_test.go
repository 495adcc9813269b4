package persist

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/gannetmq/gannet/engine/session"
)

func TestToolsSayThatAStoreIsInUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	p, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, infoErr := ReadInfo(dir, nil)
	_, verifyErr := Verify(dir, nil)
	_, repairErr := Repair(dir, nil)
	for i, err := range []error{infoErr, verifyErr, repairErr, Export(dir, &bytes.Buffer{}, nil), Backup(dir, dir+"2", nil)} {
		if want := "store " + dir + ": in use by another gannet"; !errors.Is(err, ErrInUse) || err.Error() != want {
			t.Errorf("%d: got %v, want %s", i, err, want)
		}
	}
	closeTest(t, p)
	if _, err := ReadInfo(dir, nil); err != nil {
		t.Error(err)
	}
	if _, err := ReadInfo(dir+"3", nil); !errors.Is(err, ErrNoStore) {
		t.Errorf("no directory: %v", err)
	}
}

func TestInfoCounts(t *testing.T) {
	mem := vfs.NewMem()
	p, _ := openTest(t, mem, nil)
	p.Append(appended(fixture()))
	p.Append([]session.Record{{Kind: session.SessionPut, Session: 9, State: &session.State{Group: "$share/g/t/+"}}})
	closeTest(t, p)
	got, err := readInfo(mem, "dir/store", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.DiskBytes == 0 || got.QueuedBytes == 0 || got.RetainedBytes == 0 {
		t.Errorf("got %+v", got)
	}
	got.DiskBytes, got.QueuedBytes, got.RetainedBytes = 0, 0, 0
	want := Info{Format: formatVersion, Dir: "dir/store", Sessions: 2, Subscriptions: 2, Queued: 4, Received: 1, Wills: 1, Retained: 1, Groups: 1}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestExportHasEveryRecord(t *testing.T) {
	mem := vfs.NewMem()
	p, _ := openTest(t, mem, nil)
	p.Append(appended(fixture()))
	closeTest(t, p)
	var out bytes.Buffer
	if err := export(mem, "dir/store", &out, nil); err != nil {
		t.Fatal(err)
	}
	const expires = `"expires_at":"2027-01-15T08:00:00Z"`
	message := func(topic, payload string) string {
		return fmt.Sprintf(`"message":{"topic":%q,"qos":1,"retain":true,%s,"properties":"AQE=","payload":%q}`, topic, expires,
			base64.StdEncoding.EncodeToString([]byte(payload)))
	}
	shared := message("t/shared", strings.Repeat("payload ", 40))
	want := []string{
		`{"kind":"session","session":7,"client_id":"client","user_name":"user","version":5,"connected":true,"expiry_seconds":3600,` + expires + `}`,
		`{"kind":"released","session":7,"client_id":"client","seq":3}`,
		`{"kind":"queued","session":7,"client_id":"client","seq":4,"qos":1,"retain":true,"identifiers":[300,1],` + message("t/1", "inline") + `}`,
		`{"kind":"queued","session":7,"client_id":"client","seq":5,"qos":2,` + shared + `}`,
		`{"kind":"received","session":7,"client_id":"client","packet_id":258}`,
		`{"kind":"subscription","session":7,"client_id":"client","filter":"$share/g/t/+","qos":2,"retain_as_published":true,"retain_handling":2,"identifiers":[300]}`,
		`{"kind":"subscription","session":7,"client_id":"client","filter":"t/#","no_local":true}`,
		`{"kind":"will","session":7,"client_id":"client","delay_seconds":30,"message_expiry_seconds":60,"due_at":"2027-01-15T08:00:00Z",` + message("will", "gone") + `}`,
		`{"kind":"session","session":8,"client_id":"other","version":4}`,
		`{"kind":"queued","session":8,"client_id":"other","seq":1,"qos":1,` + shared + `}`,
		`{"kind":"retained",` + message("r", "kept") + `}`,
	}
	compare(t, strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"), want)
}

// TestBackupOfARunningStore: what was durable before the call is in it, and nothing is torn.
func TestBackupOfARunningStore(t *testing.T) {
	mem := vfs.NewMem()
	p, d := openTest(t, mem, func(o *Options) { o.MemTableBytes = 64 << 10 })
	w, m := newWorld(5), model{}
	tickets, states := []uint64{0}, [][]string{m.lines()}
	for i := range 8 {
		for range 200 {
			for _, records := range w.step() {
				if ticket := p.Append(records); ticket > 0 {
					m.apply(records)
					tickets, states = append(tickets, ticket), append(states, m.lines())
				}
			}
		}
		d.wait(tickets[len(tickets)-1-i]) // the newest may still be on their way
		before := d.newest()
		to := fmt.Sprintf("elsewhere/b%d", i)
		if err := p.Backup(to, func(string, int64, int64) {}); err != nil {
			t.Fatal(err)
		}
		if err := p.Backup(to, nil); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a second one to the same place: %v", err)
		}
		if report, err := verify(mem, to, nil); err != nil || len(report.Problems) > 0 {
			t.Errorf("%+v, %v", report.Problems, err)
		}
		b, err := open(to, Options{FS: mem}, time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		checkPrefix(t, lines(load(t, b)), tickets, states, before)
		closeTest(t, b)
	}
	closeTest(t, p)
	if err := p.Backup("elsewhere/late", nil); err == nil {
		t.Error("backup of a closed store")
	}
	if err := backup(mem, "dir/store", "elsewhere/offline", nil); err != nil {
		t.Fatal(err)
	}
	b, err := open("elsewhere/offline", Options{FS: mem}, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, lines(load(t, b)), m.lines())
	closeTest(t, b)
}

// TestBackupThatFailsLeavesTheStoreAlone: the disk that the backup goes to is not the disk of the store.
func TestBackupThatFailsLeavesTheStoreAlone(t *testing.T) {
	for at := range 60 {
		mem := vfs.NewMem()
		n := 0
		disk := newTrouble(mem, func(op errorfs.Op) bool {
			if !writes(op) || !strings.HasPrefix(op.Path, "elsewhere") {
				return false
			}
			n++
			return n == at+1
		})
		p, d := openTest(t, disk.fs, nil)
		d.wait(p.Append(population(20)))
		disk.start(syscall.ENOSPC)
		err := p.Backup("elsewhere/b", nil)
		if n > at != errors.Is(err, syscall.ENOSPC) {
			t.Errorf("write %d: %v", at, err)
		}
		if err != nil && (p.Err() != nil || p.Unavailable()) {
			t.Errorf("write %d: the store: %v", at, p.Err())
		}
		if _, statErr := mem.Stat("elsewhere/b"); (statErr == nil) != (err == nil) {
			t.Errorf("write %d: %v, but the directory: %v", at, err, statErr)
		}
		d.wait(p.Append(retained(1)))
		disk.stop()
		closeTest(t, p)
		if err == nil {
			return
		}
	}
	t.Error("no end of writes")
}

func TestRepairCanBeInterrupted(t *testing.T) {
	whole := populate(t, vfs.NewCrashableMem(), 50)
	want := pairs(t, whole)
	flip(t, whole, liveTables(t, whole)[0], 100)
	for at := range 300 {
		at *= 3
		mem := copyOf(t, whole)
		n := 0
		disk := newTrouble(mem, func(op errorfs.Op) bool {
			if writes(op) {
				n++
			}
			return n > at && writes(op)
		})
		disk.start(syscall.EIO)
		_, err := repair(disk.fs, "dir/store", nil, time.Unix(int64(at), 0))
		disk.stop()
		if n > at && err == nil {
			t.Errorf("write %d: no error", at)
		}
		crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
		if _, _, err := tryOpen(crashed.CrashClone(vfs.CrashCloneCfg{})); n > at && err != nil {
			checkHint(t, fmt.Sprintf("write %d", at), err)
		}
		if _, err := repair(crashed, "dir/store", nil, time.Unix(9, 0)); err != nil {
			t.Errorf("write %d: repaired again: %v", at, err)
		}
		if _, _, err := tryOpen(crashed); err != nil {
			t.Errorf("write %d: %v", at, err)
		}
		if got := pairs(t, crashed); len(got) < len(want)*3/4 {
			t.Errorf("write %d: %d of %d keys", at, len(got), len(want))
		}
		if n <= at {
			return
		}
	}
	t.Error("no end of writes")
}

func TestRepairOnTheDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	p, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p.Append(population(100))
	closeTest(t, p)
	manifests, err := filepath.Glob(dir + "/MANIFEST-*")
	if err != nil || len(manifests) != 1 {
		t.Fatal(manifests, err)
	}
	if err := os.Remove(manifests[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir+"/", Options{}); !errors.Is(err, ErrDamaged) || !strings.HasPrefix(err.Error(), "store "+dir+": damaged: ") {
		t.Errorf("open: %v", err)
	}
	before, err := Verify(dir+"/", nil)
	if err != nil || len(before.Problems) != 1 {
		t.Errorf("verify: %+v, %v", before, err)
	}
	report, err := Repair(dir+"/", nil)
	if err != nil || report.Kept != before.Checked || !strings.HasPrefix(report.Original, dir+".damaged-") {
		t.Errorf("repair: %+v, %v", report, err)
	}
	if left, err := filepath.Glob(dir + "*"); err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
	if info, err := ReadInfo(dir, nil); err != nil || info.Sessions != 100 || info.Retained != 100 {
		t.Errorf("%+v, %v", info, err)
	}
	if err := Backup(dir, dir+"2/", nil); err != nil {
		t.Error(err)
	}
	if report, err := Verify(dir+"2", nil); err != nil || len(report.Problems) > 0 || report.Checked != before.Checked {
		t.Errorf("backup: %+v, %v", report, err)
	}
}

func TestNewerStoreIsLeftAlone(t *testing.T) {
	newerFormat, newerPebble := vfs.NewMem(), vfs.NewMem()
	for _, mem := range []*vfs.MemFS{newerFormat, newerPebble} {
		p, d := openTest(t, mem, nil)
		d.wait(p.Append(fixture()))
		if mem == newerFormat {
			if err := p.db.Set(formatKey, binary.AppendUvarint(nil, formatVersion+1), nil); err != nil {
				t.Fatal(err)
			}
		}
		closeTest(t, p)
	}
	names, err := newerPebble.List("dir/store")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "marker.format-version.") {
			if err := newerPebble.Rename("dir/store/"+name, "dir/store/marker.format-version.000099.999"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, mem := range []*vfs.MemFS{newerFormat, newerPebble} {
		_, _, openErr := tryOpen(mem)
		_, infoErr := readInfo(mem, "dir/store", nil)
		_, verifyErr := verify(mem, "dir/store", nil)
		_, repairErr := repair(mem, "dir/store", nil, time.Unix(1, 0))
		for i, err := range []error{openErr, classify("dir/store", infoErr), classify("dir/store", verifyErr), classify("dir/store", repairErr)} {
			if !errors.Is(err, ErrNewer) || errors.Is(err, ErrDamaged) || strings.Count(err.Error(), ErrNewer.Error()) != 1 || strings.Contains(err.Error(), "\n") {
				t.Errorf("%d: %v", i, err)
			}
		}
		if names, err := mem.List("dir"); err != nil || len(names) != 1 {
			t.Errorf("left: %v, %v", names, err)
		}
	}
}
