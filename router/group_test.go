package router

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

func TestGroupIsOnePerNameAndFilter(t *testing.T) {
	r := New[int](Config{})
	mustSubscribe(t, r, "g", "a/+", 1, Options{QoS: 1})
	mustSubscribe(t, r, "g", "a/+", 2, Options{QoS: 2})
	mustSubscribe(t, r, "h", "a/+", 1, Options{})
	mustSubscribe(t, r, "g", "a/b", 1, Options{})
	var m Matches[int]
	r.Match([]byte("a/b"), &m)
	if len(m.Subs) != 0 || len(m.Groups) != 3 {
		t.Fatalf("%d subscriptions, %d groups", len(m.Subs), len(m.Groups))
	}
	g := r.Group("g", "a/+")
	if g.Name() != "g" || g.Filter() != "a/+" || g.Len() != 2 || !slices.Contains(m.Groups, g) {
		t.Errorf("group %q %q of %d", g.Name(), g.Filter(), g.Len())
	}
	if got := g.Members(nil); !slices.Contains(got, Match[int]{1, Options{QoS: 1}}) || !slices.Contains(got, Match[int]{2, Options{QoS: 2}}) {
		t.Errorf("members %v", got)
	}
	if r.Group("x", "a/+") != nil || r.Group("g", "b") != nil || r.Group("g", "c/#") != nil || r.Group("", "a/+") != nil {
		t.Error("a group that nobody subscribed to")
	}
}

func TestGroupKeepsItsIdentityWhileItHasMembers(t *testing.T) {
	for _, filter := range []string{"a", "a/#"} {
		r := New[int](Config{})
		mustSubscribe(t, r, "g", filter, 1, Options{})
		g := r.Group("g", filter)
		mustSubscribe(t, r, "g", filter, 2, Options{})
		mustSubscribe(t, r, "", filter, 3, Options{})
		r.Unsubscribe("g", filter, 1)
		if r.Group("g", filter) != g {
			t.Errorf("%s: another group while a member is left", filter)
		}
		r.Unsubscribe("g", filter, 2)
		mustSubscribe(t, r, "g", filter, 2, Options{})
		if r.Group("g", filter) == g {
			t.Errorf("%s: the dead group came back", filter)
		}
		if g.Len() != 0 || len(g.Members(nil)) != 0 {
			t.Errorf("%s: the dead group has members", filter)
		}
		if _, ok := g.Member(0); ok {
			t.Errorf("%s: the dead group names a member", filter)
		}
	}
}

func TestGroupMembersTakeTurns(t *testing.T) {
	r := New[int](Config{})
	for s := range 5 {
		mustSubscribe(t, r, "g", "a", s, Options{})
	}
	g := r.Group("g", "a")
	turns := map[int]int{}
	for range 50 {
		m, ok := g.Member(g.Next())
		if !ok {
			t.Fatal("no member")
		}
		turns[m.Subscriber]++
	}
	for s := range 5 {
		if turns[s] != 10 {
			t.Errorf("member %d: %d turns", s, turns[s])
		}
	}
}

func TestManyGroupsOfOneFilter(t *testing.T) {
	r := New[int](Config{})
	const n = 3 * wideList
	for i := range n {
		mustSubscribe(t, r, fmt.Sprint("g", i), "a", i, Options{})
		r.check(t)
	}
	for i := range n {
		if g := r.Group(fmt.Sprint("g", i), "a"); g == nil || g.Len() != 1 {
			t.Fatalf("group %d is missing", i)
		}
	}
	for i := range n {
		if !r.Unsubscribe(fmt.Sprint("g", (i*7)%n), "a", (i*7)%n) {
			t.Fatalf("group %d is missing", i)
		}
		r.check(t)
	}
	if got := r.Stats(); got != (Stats{}) {
		t.Errorf("left behind: %+v", got)
	}
}

func TestAttachmentIsMadeOnce(t *testing.T) {
	r := New[int](Config{})
	mustSubscribe(t, r, "g", "a", 1, Options{})
	g := r.Group("g", "a")
	if g.Attachment() != nil {
		t.Error("an attachment before there is one")
	}
	var made atomic.Int32
	got := make([]any, 8)
	var wait sync.WaitGroup
	for i := range got {
		wait.Go(func() {
			got[i] = g.AttachOnce(func() any {
				made.Add(1)
				return &[1]int{i}
			})
		})
	}
	wait.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times", made.Load())
	}
	for i := range got {
		if got[i] != g.Attachment() {
			t.Errorf("caller %d got another one", i)
		}
	}
}
