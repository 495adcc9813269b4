package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// storeOf returns a run against the child with a behaviour.
func storeOf(t *testing.T, behaviour string, figures io.Writer) *storeRun {
	r := childRecipe(t, behaviour)
	r.parent = t.TempDir()
	return &storeRun{recipe: r, n: 200, patience: 10 * time.Second, figures: figures, log: io.Discard}
}

func TestStoreRunsAgainstABrokerThatKeepsEverything(t *testing.T) {
	want := map[string]string{
		"sessions": "exec to a message through each of 200 stored sessions",
		"retained": "200 of 200",
		"queue":    "200 of 200",
	}
	for _, k := range storeKinds() {
		for _, kill := range []bool{false, true} {
			var figures bytes.Buffer
			s := storeOf(t, "keeps", &figures)
			s.kill = kill
			if err := errors.Join(k.run(context.Background(), s), s.close()); err != nil || !strings.Contains(figures.String(), want[k.name]) {
				t.Errorf("%s, kill %v: %v\n%s", k.name, kill, err, &figures)
			}
		}
	}
}

func TestStoreFindsThatABrokerForgets(t *testing.T) {
	for name, want := range map[string]string{"sessions": "a session is gone", "retained": "200 lost"} {
		for _, k := range storeKinds() {
			if k.name != name {
				continue
			}
			s := storeOf(t, "forgets", io.Discard)
			s.kill, s.patience = true, 3*time.Second
			if err := errors.Join(k.run(context.Background(), s), s.close()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
}

func TestStoreOfABrokerThatDoesNotStartIsAnError(t *testing.T) {
	s := storeOf(t, "fails", io.Discard)
	if err := errors.Join(storeQueue(context.Background(), s), s.close()); err == nil || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("%v", err)
	}
	s.recipe.path = "no-such-broker"
	if err := errors.Join(storeQueue(context.Background(), s), s.close()); err == nil || !strings.Contains(err.Error(), "no-such-broker") {
		t.Errorf("%v", err)
	}
}

func TestJournalReadsWhatABrokerPrints(t *testing.T) {
	j := newJournal()
	for _, piece := range []string{
		"gc 1 @0.005s 2%: 0.02+0.5+0.01 ms clock, 0.05+0.1/0.4/0.1+0.03 ms cpu, 3->4->1 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P\nlevel=INFO msg=\"broker sta",
		"rted\" version=1\nlevel=INFO msg=\"gc 12->3->9 MB, \"\ngc 7 @9.1s 0%: 0+1+0 ms clock, 0+0/1/0+0 ms cpu, 130->131->",
		"120 MB, 240 MB goal, 0 MB stacks, 0 MB globals, 2 P (forced)\ngc 8 broken\n",
		strings.Repeat("long", 4000) + "\ngc 9 unfinished, 1->1->1 MB, ",
	} {
		j.write([]byte(piece))
	}
	if j.heapBytes() != 120<<20 || j.startedAfter() <= 0 {
		t.Errorf("heap %d, started %v", j.heapBytes(), j.startedAfter())
	}
}
