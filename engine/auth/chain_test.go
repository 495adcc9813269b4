package auth

import (
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

type fixedJudge struct {
	answer Answer
	later  bool
	asked  int
}

func (j *fixedJudge) Judge(_ *session.Credentials, done func(Answer)) {
	j.asked++
	if j.later {
		go done(j.answer)
		return
	}
	done(j.answer)
}

func TestChainTakesTheFirstOpinion(t *testing.T) {
	allow := Answer{Allow, session.Verdict{UserName: "u"}}
	for _, test := range []struct {
		name   string
		judges []Answer
		code   codec.ReasonCode
		user   string
		asked  []int
	}{
		{"nobody", nil, codec.NotAuthorized, "", nil},
		{"no opinion", []Answer{{}, {}}, codec.NotAuthorized, "", []int{1, 1}},
		{"the first could not find out", []Answer{{NoOpinion, session.Verdict{Code: codec.ServerUnavailable}}, {}}, codec.ServerUnavailable, "", []int{1, 1}},
		{"the first could not find out, the second can", []Answer{{NoOpinion, session.Verdict{Code: codec.ServerUnavailable}}, {Opinion: Deny}}, codec.NotAuthorized, "", []int{1, 1}},
		{"second allows", []Answer{{}, allow, {Opinion: Deny}}, codec.Success, "u", []int{1, 1, 0}},
		{"first denies", []Answer{{Opinion: Deny}, allow}, codec.NotAuthorized, "", []int{1, 0}},
		{"denies with a code", []Answer{{Deny, session.Verdict{Code: codec.Banned}}, allow}, codec.Banned, "", []int{1, 0}},
		{"allows whatever the code", []Answer{{Allow, session.Verdict{Code: codec.Banned}}}, codec.Success, "", []int{1}},
	} {
		for _, later := range []bool{false, true} {
			var ch Chain
			var judges []*fixedJudge
			for _, a := range test.judges {
				j := &fixedJudge{answer: a, later: later}
				judges = append(judges, j)
				ch = append(ch, j)
			}
			said := make(chan session.Verdict, 2)
			ch.Authenticate(&session.Credentials{}, func(v session.Verdict) { said <- v })
			if v := <-said; v.Code != test.code || v.UserName != test.user {
				t.Errorf("%s: %v %q, want %v %q", test.name, v.Code, v.UserName, test.code, test.user)
			}
			for i, j := range judges {
				if j.asked != test.asked[i] {
					t.Errorf("%s: judge %d was asked %d times, want %d", test.name, i, j.asked, test.asked[i])
				}
			}
		}
	}
}
