package broker

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/auth/acl"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/persist"
)

const onlyOpen = "pattern readwrite open/#"

func (c *court) allowAll() { c.enact("pattern readwrite #") }

func TestNewRulesTakeSubscriptionsAwayAndLeaveConnections(t *testing.T) {
	c := newCourt(t, 2)
	c.allowAll()
	var log bytes.Buffer
	c.b.log = slog.New(slog.NewTextHandler(&log, nil))
	here, there := c.in(0, connectAs("here", codec.V5), "", ""), c.in(1, connectAs("there", codec.V311), "", "")
	for _, w := range []*wire{here, there} {
		for _, filter := range []string{"open/x", "secret/x", "secret/#", "$share/g/secret/x", "+/x"} {
			w.trySubscribe(filter)
		}
	}
	forever := c.in(1, durable("forever", codec.V311), "", "") // in no timer wheel
	forever.trySubscribe("secret/x")
	forever.trySubscribe("open/x")
	forever.gone()
	hour := c.in(0, durable("hour", codec.V5), "", "")
	hour.trySubscribe("secret/x")
	hour.gone()

	c.enact(onlyOpen + "\nuser root\ntopic readwrite #")
	c.b.Reauthorize()
	c.Settle()
	if s := c.b.router.Stats(); s.Subscriptions != 1+2*2+1 || s.SharedSubscriptions != 0 {
		t.Errorf("%d subscriptions and %d shared ones are left", s.Subscriptions, s.SharedSubscriptions)
	}
	c.tell("secret/x", "open/x")
	for _, w := range []*wire{here, there} {
		if w.Closed {
			t.Error("closed")
		}
		c.want("it hears", w.topics(), "open/x")
	}
	if n := c.Loops[0].stats.revoked + c.Loops[1].stats.revoked; n != 8 {
		t.Errorf("%d counted, want 8", n)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "sessions=5 subscriptions-removed=8 clients-disconnected=0") {
		t.Errorf("the log says\n%s", log.String())
	}
	c.allowAll()
	c.tell("secret/x")
	c.want("without a new SUBSCRIBE", here.topics(), "secret/x") // by +/x, which it still had
}

func TestWhatIsTakenAwayIsForgottenByTheStore(t *testing.T) {
	store := &persist.Memory{}
	rules := &moody{}
	r := newRigWithStore(t, 1, store, func(o *Options) { o.Session.Authorizer = rules })
	sub := r.connect(0, durable("sub", codec.V5))
	for _, filter := range []string{"r/x", "t", "$share/g/r/y"} {
		sub.subscribe(filter, codec.QoS1)
	}
	sub.gone()
	rules.strict.Store(true)
	r.b.Reauthorize()
	r.Settle()
	next := r.crashAndRestart(store)
	if s := next.b.router.Stats(); s.Subscriptions != 1 || s.SharedSubscriptions != 0 {
		t.Errorf("%+v came back", s)
	}
}

func TestReviewDisconnectsWhoMayNotStay(t *testing.T) {
	c := newCourt(t, 2)
	c.allowAll()
	alice, mallory := c.in(0, connectAs("a", codec.V5), "alice", ""), c.in(1, durable("m", codec.V5), "mallory", "")
	old := c.in(1, connectAs("o", codec.V311), "oscar", "")
	mallory.trySubscribe("x")
	not := func(name string, code codec.ReasonCode) Stays {
		return func(who *session.Credentials, tag any) codec.ReasonCode {
			if who.Addr != "fake" || tag != any(c) || !who.Certain {
				t.Errorf("asked about %+v with %v", who, tag)
			}
			if who.UserName == name {
				return code
			}
			return codec.Success
		}
	}
	c.b.Review(not("mallory", codec.NotAuthorized))
	c.b.Review(not("oscar", codec.AdministrativeAction)) // before the first is done: both count
	c.b.Reauthorize()
	c.Settle()
	if f := mallory.expect(codec.TypeDisconnect); codec.ReasonCode(f.Body[0]) != codec.NotAuthorized {
		t.Errorf("mallory hears % x", f.Body)
	}
	if alice.Closed || c.root.Closed || !mallory.Closed || !old.Closed {
		t.Errorf("closed: alice %t, root %t, mallory %t, oscar %t", alice.Closed, c.root.Closed, mallory.Closed, old.Closed)
	}
	c.in(0, durable("m", codec.V5), "mallory", "") // Review is about those who are connected
	c.b.Review(nil)
	c.Settle()
	if n := c.Loops[0].stats.connected + c.Loops[1].stats.connected; n != 3 {
		t.Errorf("%d are connected", n)
	}
}

func TestVerdictsAuthorizerJudgesItsSession(t *testing.T) {
	c, j := newCourt(t, 1), &slowJudge{}
	w := c.dialJudged(j)
	w.send(hello("a"))
	own := &moody{}
	j.answer(session.Verdict{Authorizer: own})
	c.Settle()
	w.expect(codec.TypeConnack)
	w.trySubscribe("r/x")
	w.trySubscribe("t")
	c.enact("") // nobody may do anything
	c.b.Reauthorize()
	c.Settle()
	if s := c.b.router.Stats(); s.Subscriptions != 2 {
		t.Errorf("%d subscriptions under its own rules, want 2", s.Subscriptions)
	}
	own.strict.Store(true)
	c.b.Reauthorize()
	c.Settle()
	if s := c.b.router.Stats(); s.Subscriptions != 1 {
		t.Errorf("%d subscriptions, want 1", s.Subscriptions)
	}
}

func TestReviewIsCutIntoTurns(t *testing.T) {
	const sessions = 3 * reviewBatch
	c := newCourt(t, 1)
	c.allowAll()
	for i := range sessions {
		w := c.in(0, durable(fmt.Sprint("s", i), codec.V311), "", "")
		w.trySubscribe("secret/x")
		w.gone()
	}
	c.enact(onlyOpen + "\nuser root\ntopic readwrite #")
	c.b.Reauthorize()
	left, turns := sessions+1, 0
	for l := c.Loops[0]; left > 1; turns++ {
		l.Turn(c.Now)
		now := c.b.router.Stats().Subscriptions
		if left-now > reviewBatch {
			t.Fatalf("%d sessions in one turn", left-now)
		}
		if left = now; left > 1 && !l.NeedsTurn() {
			t.Fatalf("%d left, and no turn is asked for", left)
		}
	}
	if turns < sessions/reviewBatch {
		t.Errorf("%d turns", turns)
	}
	c.Settle()
	if r := &c.Loops[0].review; r.active || r.running || r.batch != nil || c.b.reviews.loops != 0 {
		t.Errorf("the review goes on: %+v", r)
	}
}

func TestReviewBeginsAgainWhenTheRulesChangeAgain(t *testing.T) {
	c := newCourt(t, 2)
	c.allowAll()
	for i := range 4 * reviewBatch {
		w := c.in(i%2, durable(fmt.Sprint("s", i), codec.V311), "", "")
		w.trySubscribe([]string{"open/x", "secret/x"}[i/2%2])
		w.gone()
	}
	c.enact(onlyOpen + "\nuser root\ntopic readwrite #")
	c.b.Reauthorize()
	c.b.Reauthorize() // before it has begun: one review
	c.Loops[0].Turn(c.Now)
	c.Loops[1].Turn(c.Now)
	c.enact("user root\ntopic readwrite #")
	c.b.Reauthorize()
	c.Settle()
	if s := c.b.router.Stats(); s.Subscriptions != 1 {
		t.Errorf("%d subscriptions are left", s.Subscriptions)
	}
	if c.b.reviews.loops != 0 {
		t.Errorf("%d loops are not done", c.b.reviews.loops)
	}
}

func TestSessionThatMovesDuringAReviewIsNotMissed(t *testing.T) {
	c := newCourt(t, 2)
	c.allowAll()
	w := c.in(1, durable("mover", codec.V5), "", "")
	w.trySubscribe("secret/x")
	c.enact(onlyOpen + "\nuser root\ntopic readwrite #")
	c.b.Reauthorize()
	for c.Loops[0].NeedsTurn() || c.Woken[0] { // this one is done
		c.Woken[0] = false
		c.Loops[0].Turn(c.Now)
	}
	young := c.knock(0, durable("mover", codec.V5), "", "")
	c.Settle()
	young.expect(codec.TypeConnack)
	c.tell("secret/x")
	c.want("it hears", young.topics(), "")
	if s := c.b.router.Stats(); s.Subscriptions != 1 {
		t.Errorf("%d subscriptions are left", s.Subscriptions)
	}
}

func TestReplayEndsWithASubscriptionThatIsTakenAway(t *testing.T) {
	c := newCourt(t, 1)
	c.allowAll()
	c.retain(3 * replayBatch)
	w := c.in(0, connectAs("w", codec.V5), "", "")
	w.send(subscribeTo(codec.V5, "r/+", 0))
	c.enact(onlyOpen + "\nuser root\ntopic readwrite #")
	c.b.Reauthorize()
	c.Settle()
	if n := len(strings.Fields(w.topics())); n != replayBatch {
		t.Errorf("%d retained messages, want those of the turn before", n)
	}
}

// BenchmarkReview holds a hundred thousand parked sessions with one subscription each against the rules of their user.
func BenchmarkReview(b *testing.B) {
	const sessions = 100_000
	l, err := acl.Parse("rules", strings.NewReader("pattern read dev/%c/#\npattern write dev/%c/up\npattern deny dev/%c/down/secret"))
	if err != nil {
		b.Fatal(err)
	}
	r := newRig(b, 2, func(o *Options) { o.Session.Authorizer = l.Strict() })
	for i := range sessions {
		w := r.connect(i%2, durable(fmt.Sprint(i), codec.V311))
		w.subscribe(fmt.Sprintf("dev/%d/down/#", i), codec.QoS1)
		w.gone()
	}
	turns := 0
	for b.Loop() {
		r.b.Reauthorize()
		for busy := true; busy; {
			busy = false
			for i, loop := range r.Loops {
				if r.Woken[i] || loop.NeedsTurn() {
					r.Woken[i], busy = false, true
					loop.Turn(r.Now)
					turns++
				}
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/sessions, "ns/session")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(turns), "us/turn")
	if s := r.b.router.Stats(); s.Subscriptions != sessions {
		b.Fatalf("%d subscriptions are left", s.Subscriptions)
	}
}
