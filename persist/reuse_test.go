package persist

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/engine/session"
)

// TestSequenceNumberMayComeAgain: after a restart a session counts on from what is stored, so that a number whose delivery is
// over may be used for another. Whatever is in a table by then, the new one is there until it is deleted, and not after.
func TestSequenceNumberMayComeAgain(t *testing.T) {
	const sid, seq = 1, 1
	put := func(s string) session.Record { return putOf(sid, seq, letter(s)) }
	over := session.Record{Kind: session.QueueDelete, Session: sid, Seq: seq}
	release := session.Record{Kind: session.QueueRelease, Session: sid, Seq: seq}
	end := session.Record{Kind: session.SessionDelete, Session: sid}
	tests := []struct {
		name   string
		before [][]session.Record // batches
	}{
		{"deleted", [][]session.Record{{put("a")}, {over}}},
		{"released and deleted", [][]session.Record{{put("a")}, {release}, {over}}},
		{"ended", [][]session.Record{{put("a")}, {end}}},
		{"deleted, though never stored", [][]session.Record{{over}}},
		{"twice", [][]session.Record{{put("a"), over, put("b")}, {over}}},
	}
	for _, test := range tests {
		steps := len(test.before) + 2
		for flushes := range 1 << steps {
			for _, compact := range []bool{false, true} {
				fs := vfs.NewMem()
				p, d := openTest(t, fs, nil)
				n := 0
				step := func(records []session.Record) {
					d.wait(p.Append(append(records, stateOf(sid))))
					if flushes&(1<<n) != 0 {
						flush(t, p, compact)
					}
					n++
				}
				expect := func(want string) {
					t.Helper()
					got, err := p.read(session.QueueRead{Session: sid, Messages: 9, Bytes: 99}, nil)
					if err != nil || brief(got) != want {
						t.Fatalf("%s, flushes %b, compacted %v: got %q, want %q, %v", test.name, flushes, compact, brief(got), want, err)
					}
				}
				for _, records := range test.before {
					step(records)
				}
				closeTest(t, p)
				p, d = openTest(t, fs, nil)
				load(t, p)
				expect("")
				step([]session.Record{put("z")})
				expect("1 z")
				step([]session.Record{over})
				expect("")
				flush(t, p, true)
				expect("")
				closeTest(t, p)
			}
		}
	}
}

func flush(t *testing.T, p *Pebble, compact bool) {
	t.Helper()
	flushed, err := p.db.AsyncFlush()
	if err != nil {
		t.Fatal(err)
	}
	<-flushed
	if compact {
		if err := p.db.Compact(context.Background(), []byte("a"), []byte("z"), false); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMessageNumberMayComeAgain: the numbers of shared messages begin anew when there are none.
func TestMessageNumberMayComeAgain(t *testing.T) {
	for flushes := range 8 {
		fs := vfs.NewMem()
		for round := range 3 {
			p, d := openTest(t, fs, nil)
			if got := brief(load(t, p)); got != "" {
				t.Fatalf("flushes %b: %q came back", flushes, got)
			}
			m := letter(fmt.Sprint(round))
			d.wait(p.Append([]session.Record{stateOf(1), stateOf(2), putOf(1, 1, m), putOf(2, 1, m)}))
			if m.StoreID != 1 {
				t.Fatalf("number %d", m.StoreID)
			}
			if flushes&(1<<round) != 0 {
				flush(t, p, false)
			}
			if got, want := brief(load(t, p)), fmt.Sprintf("1 %d, 1 %d", round, round); got != want {
				t.Fatalf("flushes %b: got %q, want %q", flushes, got, want)
			}
			closeTest(t, p)
			p, d = openTest(t, fs, nil)
			load(t, p)
			d.wait(p.Append([]session.Record{{Kind: session.QueueDelete, Session: 1, Seq: 1}, {Kind: session.SessionDelete, Session: 2}}))
			closeTest(t, p)
		}
	}
}
