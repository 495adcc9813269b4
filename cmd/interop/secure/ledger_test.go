package secure

import (
	"regexp"
	"testing"
)

// ledger is what one maker's broker had the clients print, step by step.
type ledger struct {
	steps []step
	even  []replacement
}

type step struct {
	name string
	said result
}

// replacement evens out what differs between two runs without meaning anything.
type replacement struct {
	from *regexp.Regexp
	to   string
}

// madeUp are the Client Identifiers that mosquitto's clients and the brokers make up.
var madeUp = regexp.MustCompile(`\b(mosq-\w{18}|auto-[0-9A-Za-z-]{20,})`)

// reasonString is what mosquitto_pub prints of Gannet's Reason String. mosquitto sends none.
var reasonString = regexp.MustCompile(`(?m)^not authorized\n`)

// even replaces text, such as a port, by a word.
func (l *ledger) evenOut(text, word string) {
	l.even = append(l.even, replacement{regexp.MustCompile(`\b` + regexp.QuoteMeta(text) + `\b`), word})
}

// tell notes what a step came to, and returns it.
func (l *ledger) tell(name string, r result) result {
	r.stdout, r.stderr = l.level(r.stdout), reasonString.ReplaceAllString(l.level(r.stderr), "")
	l.steps = append(l.steps, step{name, r})
	return r
}

func (l *ledger) level(s string) string {
	s = madeUp.ReplaceAllString(s, "ID")
	for _, r := range l.even {
		s = r.from.ReplaceAllString(s, r.to)
	}
	return s
}

// alike tells one story of every maker's broker, and expects that the clients print the
// same, byte for byte.
func alike(t *testing.T, story func(t *testing.T, m maker, l *ledger)) {
	var ledgers []*ledger
	each(t, func(t *testing.T, m maker) {
		l := new(ledger)
		ledgers = append(ledgers, l)
		story(t, m, l)
	})
	if len(ledgers) < 2 || t.Failed() {
		return
	}
	want, got := ledgers[0].steps, ledgers[1].steps
	if len(want) != len(got) {
		t.Fatalf("%d steps with mosquitto, %d with gannet", len(want), len(got))
	}
	for i := range want {
		if want[i] != got[i] {
			t.Errorf("%s\nwith mosquitto: %v\nwith gannet: %v", want[i].name, want[i].said, got[i].said)
		}
	}
}
