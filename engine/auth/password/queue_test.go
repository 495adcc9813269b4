package password

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestAddressesShareAPlaceByNetwork(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"10.0.0.1:1000", "10.0.0.1:2000", true},
		{"10.0.0.1:1000", "10.0.0.2:1000", false},
		{"[::ffff:10.0.0.1]:1000", "10.0.0.1:1000", true},
		{"[2001:db8:0:1::1]:1000", "[2001:db8:0:1:ffff::2]:1", true},
		{"[2001:db8:0:1::1]:1000", "[2001:db8:0:2::1]:1000", false},
		{"[fe80::1%eth0]:1", "[fe80::2%eth1]:1", true},
		{"", "", true},
		{"/run/gannet.sock", "/run/gannet.sock", true},
		{"/run/gannet.sock", "", false},
		{"host.example:1", "host.example:2", true},
		{"host.example:1", "10.0.0.1:1", false},
	} {
		if got := addressOf(test.a) == addressOf(test.b); got != test.same {
			t.Errorf("%s and %s: same %v", test.a, test.b, got)
		}
	}
}

// named makes the question n of an address.
func named(from string, n int) *question { return &question{user: fmt.Sprintf("%s%d", from, n)} }

// push adds questions and returns the names of those displaced; "-" stands for one that found no place.
func push(t *testing.T, u *queue, from string, numbers ...int) (lost string) {
	t.Helper()
	for _, n := range numbers {
		displaced, ok := u.push(address{other: from}, named(from, n))
		u.check(t)
		if displaced != nil {
			lost += displaced.user
		}
		if !ok {
			lost += "-"
		}
	}
	return lost
}

func popAll(t *testing.T, u *queue) (order string) {
	t.Helper()
	for q := u.pop(); q != nil; q = u.pop() {
		u.check(t)
		order += q.user
	}
	return order
}

// check verifies what holds between any two operations.
func (u *queue) check(t *testing.T) {
	t.Helper()
	length, listed, longest := 0, 0, 0
	for address, s := range u.sources {
		n := len(s.questions)
		if n == 0 || n > u.shareMax || s.address != address || u.byLength[n][s.place] != s {
			t.Fatalf("%v has %d questions and is not listed with them", address, n)
		}
		length += n
		longest = max(longest, n)
	}
	for _, list := range u.byLength {
		listed += len(list)
	}
	if length != u.length || length > u.max || longest != u.longest || listed != len(u.sources) || len(u.turns) != len(u.sources) {
		t.Fatalf("length %d is %d, longest %d is %d; %d sources, %d listed, %d in turn",
			u.length, length, u.longest, longest, len(u.sources), listed, len(u.turns))
	}
}

func TestAddressesTakeTurns(t *testing.T) {
	u := newQueue(100, 100)
	push(t, u, "a", 1, 2, 3, 4)
	push(t, u, "b", 1)
	push(t, u, "c", 1, 2)
	if order := popAll(t, u); order != "a1b1c1a2c2a3a4" {
		t.Errorf("order %s", order)
	}
	push(t, u, "a", 5, 6)
	if order := popAll(t, u); order != "a5a6" {
		t.Errorf("order %s", order)
	}
}

func TestAnAddressHasNoMoreThanItsShare(t *testing.T) {
	u := newQueue(100, 2)
	if lost := push(t, u, "a", 1, 2, 3, 4); lost != "--" {
		t.Errorf("lost %s", lost)
	}
	if lost := push(t, u, "b", 1); lost != "" {
		t.Errorf("lost %s", lost)
	}
	if order := popAll(t, u); order != "a1b1a2" {
		t.Errorf("order %s", order)
	}
}

func TestFullQueueTakesFromWhoHasMost(t *testing.T) {
	u := newQueue(6, 6)
	push(t, u, "a", 1, 2, 3, 4)
	push(t, u, "b", 1, 2)
	for _, test := range []struct{ from, lost string }{
		{"a", "-"},  // has most itself
		{"c", "a4"}, // a 3, b 2, c 1
		{"c", "a3"}, // all have two
		{"c", "-"},  // an exchange would only turn things round
		{"d", "a2"}, // the only one with one
	} {
		if lost := push(t, u, test.from, 9); lost != test.lost && (test.from != "d" || len(lost) != 2) {
			t.Errorf("%s: lost %s, want %s", test.from, lost, test.lost)
		}
	}
	if lost := push(t, u, "e", 1) + push(t, u, "f", 1); len(lost) != 4 {
		t.Errorf("lost %s", lost)
	}
	if lost := push(t, u, "g", 1); lost != "-" {
		t.Errorf("all have one: lost %s", lost)
	}
}

func TestQueueKeepsItsInvariants(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	u := newQueue(20, 8)
	in, out := 0, 0
	for i := range 20_000 {
		if random.IntN(5) < 2 {
			if u.pop() != nil {
				out++
			}
		} else {
			from := string(rune('a' + random.ExpFloat64()*4))
			displaced, ok := u.push(address{other: from}, named(from, i))
			if ok {
				in++
			}
			if displaced != nil {
				out++
			}
		}
		u.check(t)
	}
	for u.pop() != nil {
		out++
	}
	if in != out || in < 1000 {
		t.Errorf("%d in, %d out", in, out)
	}
	if len(u.sources) != 0 || u.longest != 0 {
		t.Errorf("empty, but with %d sources", len(u.sources))
	}
}
