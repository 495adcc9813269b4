package conformance

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// The versions whose statements the tests cover.
const (
	V311 = codec.V311
	V5   = codec.V5
)

// ledger records which tests cover which statement and how they ended. Safe for concurrent use.
type ledger struct {
	mu      sync.Mutex
	entries map[statement][]entry
}

type entry struct {
	test   string
	result string
}

// covers declares that t would fail if the broker broke one of these statements.
func covers(t *testing.T, v codec.Version, ids ...string) {
	t.Helper()
	for _, id := range ids {
		s := statement{v, id}
		switch {
		case theTables.rows[s] == nil:
			t.Fatalf("covers: there is no statement %s", s)
		case theTables.reasons[s] != "":
			t.Fatalf("covers: testdata/reasons.tsv says why %s has no test", s)
		}
	}
	t.Cleanup(func() {
		result := "pass"
		if t.Failed() {
			result = "FAIL"
		} else if t.Skipped() {
			result = "left out"
		}
		l := &theSuite.ledger
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, id := range ids {
			s := statement{v, id}
			if e := (entry{t.Name(), result}); !slices.Contains(l.entries[s], e) {
				l.entries[s] = append(l.entries[s], e)
			}
		}
	})
}

// rows is a list of statement identifiers.
func rows(ids ...string) []string { return ids }

// bothVersions runs a test with a 5.0 client and with a 3.1.1 client, each for the statements of its version.
func bothVersions(t *testing.T, five, three []string, test func(t *testing.T, v codec.Version)) {
	t.Parallel()
	for _, v := range []codec.Version{V5, V311} {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			covers(t, v, map[codec.Version][]string{V5: five, V311: three}[v]...)
			test(t, v)
		})
	}
}

// result is "pass" only if all tests of the statement passed.
func (l *ledger) result(s statement) string {
	all := "pass"
	for _, e := range l.entries[s] {
		if e.result == "FAIL" {
			return "FAIL"
		} else if e.result != "pass" {
			all = e.result
		}
	}
	return all
}

// print writes the table: version, statement, result, and the tests or the reason why there is none.
func (l *ledger) print(w io.Writer) {
	total := map[codec.Version]map[string]int{V5: {}, V311: {}}
	for _, s := range theTables.order {
		r := theTables.rows[s]
		result, by := l.result(s), make([]string, 0, 4)
		for _, e := range l.entries[s] {
			by = append(by, e.test)
		}
		slices.Sort(by)
		switch {
		case len(by) > 0:
		case theTables.reasons[s] != "":
			result, by = "reason", append(by, theTables.reasons[s])
		case os.Getenv("GANNET_TEST_ADDR") != "" && r.testable != "no":
			result = "left out"
		case r.testable == "no":
			result, by = "reason", append(by, r.expect)
		default:
			result = "MISSING"
		}
		total[s.version][result]++
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.version, s.id, result, strings.Join(by, ", "))
	}
	for _, v := range []codec.Version{V5, V311} {
		n := total[v]
		fmt.Fprintf(w, "MQTT %s: %d passed, %d failed, %d left out, %d with a reason, %d missing\n",
			v, n["pass"], n["FAIL"], n["left out"], n["reason"], n["MISSING"])
	}
}

// missing returns the statements that a complete run must have covered and has not.
func (l *ledger) missing() (ids []statement) {
	for _, s := range theTables.order {
		if theTables.rows[s].testable != "no" && len(l.entries[s]) == 0 && theTables.reasons[s] == "" {
			ids = append(ids, s)
		}
	}
	return ids
}

func TestMain(m *testing.M) {
	table := flag.Bool("table", os.Getenv("GANNET_CONFORMANCE_TABLE") == "1", "print which tests cover which statement")
	flag.Parse()
	// Many tests wait for time to pass, and none needs much else.
	if err := flag.Set("test.parallel", "48"); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := theSuite.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop servers:", err)
		code = 1
	}
	l := &theSuite.ledger
	if *table {
		l.print(os.Stdout)
	}
	if complete() {
		if missing := l.missing(); len(missing) > 0 {
			fmt.Fprintf(os.Stderr, "%d statements have neither a test nor a reason: %v\n", len(missing), missing)
			code = 1
		}
	}
	os.Exit(code)
}

// complete tells whether all tests were asked for and can run.
func complete() bool {
	if os.Getenv("GANNET_TEST_ADDR") != "" {
		return false
	}
	run, skip, list := flag.Lookup("test.run").Value.String(), flag.Lookup("test.skip").Value.String(), flag.Lookup("test.list").Value.String()
	return (run == "" || run == ".") && skip == "" && list == ""
}

func TestReasonsAreForStatementsThatExist(t *testing.T) {
	for s, why := range theTables.reasons {
		if theTables.rows[s] == nil {
			t.Errorf("testdata/reasons.tsv: there is no statement %s", s)
		}
		if why == "" {
			t.Errorf("testdata/reasons.tsv: no reason for %s", s)
		}
	}
}
