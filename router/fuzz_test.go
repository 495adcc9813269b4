package router

import (
	"slices"
	"strings"
	"testing"
)

// program reads names and numbers out of the bytes of a fuzzer. Names come from
// a few letters, so that they meet.
type program struct{ code []byte }

func (p *program) next() byte {
	if len(p.code) == 0 {
		return 0
	}
	b := p.code[0]
	p.code = p.code[1:]
	return b
}

// name reads levels, each drawn from words.
func (p *program) name(words string) string {
	var levels []string
	for b := p.next(); ; b = p.next() {
		level := string(words[int(b>>1)%len(words)])
		if level == "-" {
			level = "" // an empty level
		}
		levels = append(levels, level)
		if b&1 == 0 || level == "#" || len(levels) == 7 {
			break
		}
	}
	if name := strings.Join(levels, "/"); name != "" {
		return name
	}
	return "/"
}

func (p *program) filter() string { return p.name("ab$-+#") }
func (p *program) topic() string  { return p.name("ab$-") }

func FuzzRouter(f *testing.F) {
	f.Add([]byte("\x00\x01\x08\x04\x02\x02\x00"), uint8(0))
	f.Add([]byte("\x00\x03\x08\x00\x0a\x01\x00\x03\x00\x02\x03\x00"), uint8(2))
	f.Add([]byte("\x10\x09\x04\x00\x12\x09\x04\x01\x02\x01\x00\x01\x09\x04\x02\x01\x00"), uint8(6))
	f.Fuzz(func(t *testing.T, code []byte, shards uint8) {
		if len(code) > 1000 {
			return
		}
		r := New[int](Config{Shards: int(shards%64) + 1, MaxLevels: 5})
		c := r.NewCache(8)
		want := model{}
		var m Matches[int]
		for p := (&program{code}); len(p.code) > 0; {
			op := p.next()
			group := []string{"", "g", "h", ""}[op>>4%4]
			switch op % 4 {
			case 0, 1:
				filter, s, o := p.filter(), int(op>>6), Options{QoS: p.next() % 3}
				existed, err := r.Subscribe(group, filter, s, o)
				switch {
				case Levels([]byte(filter)) > 5:
					if err == nil {
						t.Fatalf("subscribe %q: no error", filter)
					}
				case err != nil || existed != want.subscribe(group, filter, s, o):
					t.Fatalf("subscribe %q: existed %v, %v", filter, existed, err)
				}
			case 2:
				topic := p.topic()
				var expected []string
				if Levels([]byte(topic)) > 5 {
					expected = model{}.match(topic)
				} else {
					expected = want.match(topic)
				}
				r.Match([]byte(topic), &m)
				if got := describe(&m); !slices.Equal(got, expected) {
					t.Fatalf("match %q:\n got %v\nwant %v", topic, got, expected)
				}
				if got := describe(c.Match([]byte(topic))); !slices.Equal(got, expected) {
					t.Fatalf("cached match %q:\n got %v\nwant %v", topic, got, expected)
				}
			case 3:
				filter, s := p.filter(), int(op>>6)
				if got := r.Unsubscribe(group, filter, s); got != want.unsubscribe(group, filter, s) {
					t.Fatalf("unsubscribe %q: existed %v", filter, got)
				}
			}
		}
		verifyStats(t, r, want)
		c.check(t)
		for k := range want {
			r.Unsubscribe(k.group, k.filter, k.subscriber)
		}
		r.check(t)
		if got := r.Stats(); got != (Stats{}) {
			t.Errorf("left behind: %+v", got)
		}
	})
}

func FuzzRetained(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x00\x03\x00\x02\x01\x08\x03"), uint8(0))
	f.Add([]byte("\x00\x05\x07\x00\x00\x01\x00\x02\x0a\x07\x01\x01\x00\x02\x09\x08"), uint8(3))
	f.Fuzz(func(t *testing.T, code []byte, shards uint8) {
		if len(code) > 2000 {
			return
		}
		r := NewRetained[int](int(shards%8) + 1)
		want := map[string]int{}
		for p := (&program{code}); len(p.code) > 0; {
			switch op := p.next(); op % 4 {
			case 0:
				topic := p.topic()
				_, had := want[topic]
				if _, existed := r.Set(topic, int(op)); existed != had {
					t.Fatalf("set %q: existed %v", topic, existed)
				}
				want[topic] = int(op)
			case 1:
				topic := p.topic()
				_, had := want[topic]
				if _, existed := r.Delete([]byte(topic)); existed != had {
					t.Fatalf("delete %q: existed %v", topic, existed)
				}
				delete(want, topic)
			case 2:
				verifyRetained(t, r, want, p.filter())
			case 3:
				// Many topics at once, so that the trees grow levels.
				for i := range 40 {
					topic := p.topic() + strings.Repeat("/b", int(op>>6)) + string(rune('0'+i))
					r.Set(topic, i)
					want[topic] = i
				}
			}
		}
		verifyRetained(t, r, want, "#", "+/+", "a/#", "$/+/#")
	})
}
