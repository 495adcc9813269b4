package persist

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/engine/session"
)

// logLines hands log lines to a test.
type logLines chan string

func (l logLines) Enabled(context.Context, slog.Level) bool { return true }
func (l logLines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l logLines) WithGroup(string) slog.Handler            { return l }

func (l logLines) Handle(_ context.Context, r slog.Record) error {
	l <- r.Message
	return nil
}

// await takes lines until one begins so.
func (l logLines) await(prefix string) {
	for !strings.HasPrefix(<-l, prefix) {
	}
}

// TestStoreBeyondItsBoundRefusesUntilThereIsRoom: it fills up, says so, and takes what is appended nevertheless; when most of it is
// deleted, it makes room without anything new being written.
func TestStoreBeyondItsBoundRefusesUntilThereIsRoom(t *testing.T) {
	for _, session1 := range []bool{true, false} {
		fs := vfs.NewMem()
		lines := make(logLines, 10_000)
		const bound = 4 << 20
		p, d := openTest(t, fs, func(o *Options) {
			o.MaxStoreBytes = bound
			o.Log = slog.New(lines)
		})
		rnd := rand.New(rand.NewPCG(1, 1))
		payload := make([]byte, 10_000)
		var seq, last uint64
		for !p.Unavailable() {
			seq++
			for i := range payload {
				payload[i] = byte(rnd.Uint32())
			}
			m := session.Message{Topic: []byte("t"), Payload: payload}
			d.wait(p.Append([]session.Record{stateOf(1), putOf(1, seq, m.Keep())}))
			if seq > 10*bound/10_000 {
				t.Fatal("never full")
			}
		}
		lines.await("the store is as large as it may be")
		if seq*10_000 < bound/4 { // a log and the table made of it may both be there
			t.Errorf("refused with %d messages of 10,000 bytes", seq)
		}
		if session1 {
			last = p.Append([]session.Record{{Kind: session.SessionDelete, Session: 1}})
		} else {
			for ; seq > 0; seq-- {
				last = p.Append([]session.Record{{Kind: session.QueueDelete, Session: 1, Seq: seq}})
			}
		}
		d.wait(last)
		for p.Unavailable() { // and larger for a moment, while tables are written anew
			lines.await("the store is smaller again")
		}
		closeTest(t, p)
	}
}

func TestFullDiskMakesTheStoreUnavailable(t *testing.T) {
	disk := newTrouble(vfs.NewMem(), writes)
	lines := make(logLines, 10_000)
	p, d := openTest(t, disk.fs, func(o *Options) { o.Log = slog.New(lines) })
	if p.Unavailable() {
		t.Error("unavailable")
	}
	disk.start(syscall.ENOSPC)
	ticket := p.Append(retained(1))
	lines.await("the disk is full")
	if !p.Unavailable() {
		t.Error("available while the disk is full")
	}
	disk.stop()
	d.wait(ticket)
	lines.await("the store has disk space again")
	if p.Unavailable() {
		t.Error("unavailable with space again")
	}
	closeTest(t, p)
}
