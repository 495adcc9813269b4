package password

import (
	"testing"
	"time"
)

func TestDigestTellsEveryPartFromTheOthers(t *testing.T) {
	var key, other [32]byte
	other[0] = 1
	h := parsed(t, otherHash)
	changed := func(change func(*Hash)) *Hash {
		c := h
		change(&c)
		return &c
	}
	seen := map[digest]string{}
	for name, d := range map[string]digest{
		"itself":     digestOf(&key, "user", []byte("password"), &h),
		"key":        digestOf(&other, "user", []byte("password"), &h),
		"moved":      digestOf(&key, "userp", []byte("assword"), &h),
		"no user":    digestOf(&key, "", []byte("userpassword"), &h),
		"scheme":     digestOf(&key, "user", []byte("password"), changed(func(h *Hash) { h.scheme = SHA512 })),
		"iterations": digestOf(&key, "user", []byte("password"), changed(func(h *Hash) { h.iterations++ })),
		"memory":     digestOf(&key, "user", []byte("password"), changed(func(h *Hash) { h.memoryKiB++ })),
		"lanes":      digestOf(&key, "user", []byte("password"), changed(func(h *Hash) { h.lanes++ })),
		"salt":       digestOf(&key, "user", []byte("password"), changed(func(h *Hash) { h.salt = h.salt[1:] })),
		"sum":        digestOf(&key, "user", []byte("password"), changed(func(h *Hash) { h.sum = h.sum[1:] })),
		"unknown":    digestOf(&key, "user", []byte("password"), new(Hash)),
	} {
		if before, ok := seen[d]; ok {
			t.Errorf("%s is the same as %s", name, before)
		}
		seen[d] = name
	}
}

func TestCacheForgetsInTimeAndInOrder(t *testing.T) {
	start := time.Unix(1000, 0)
	c := newCache(3, time.Minute)
	for i := range byte(4) {
		c.add(digest{i}, start.Add(time.Duration(i)*time.Second))
	}
	c.add(digest{3}, start.Add(10*time.Second)) // is there already, and stays as it was
	for _, test := range []struct {
		after time.Duration
		want  string
	}{
		{4 * time.Second, "123"},
		{61*time.Second - 1, "123"},
		{61 * time.Second, "23"},
		{62 * time.Second, "3"},
		{63 * time.Second, ""},
	} {
		got := ""
		for i := range byte(4) {
			if c.has(digest{i}, start.Add(test.after)) {
				got += string('0' + rune(i))
			}
		}
		if got != test.want || len(c.order) != len(c.expires) {
			t.Errorf("after %v: %s, want %s; %d in order, %d known", test.after, got, test.want, len(c.order), len(c.expires))
		}
	}
}

func TestCacheCanBeOff(t *testing.T) {
	for _, c := range []*cache{newCache(-1, time.Minute), newCache(5, -1)} {
		c.add(digest{1}, time.Unix(1000, 0))
		if c.has(digest{1}, time.Unix(1000, 0)) {
			t.Error("remembers")
		}
	}
}
