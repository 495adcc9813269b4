package session

import "testing"

func TestSwitchAsksWhoIsInForce(t *testing.T) {
	who := Identity{ClientID: "c"}
	var s Switch
	for _, step := range []struct {
		in   Authorizer
		want [3]bool
	}{
		{nil, [3]bool{true, true, true}},
		{mute{}, [3]bool{}},
		{nil, [3]bool{true, true, true}},
	} {
		s.Set(step.in)
		topic := []byte("a")
		if got := [3]bool{s.MayPublish(who, topic), s.MaySubscribe(who, topic), s.MayReceive(who, topic)}; got != step.want {
			t.Errorf("%T in force: %v, want %v", step.in, got, step.want)
		}
		if got := inForce(&s); got != step.in {
			t.Errorf("asks %T, want %T", got, step.in)
		}
	}
}
