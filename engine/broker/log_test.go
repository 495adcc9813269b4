package broker

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// denier lets nobody do anything with a topic that begins with x.
type denier struct{}

func (denier) MayPublish(_ session.Identity, topic []byte) bool    { return topic[0] != 'x' }
func (denier) MaySubscribe(_ session.Identity, filter []byte) bool { return filter[0] != 'x' }
func (denier) MayReceive(_ session.Identity, topic []byte) bool    { return topic[0] != 'x' }

func loggingRig(t *testing.T, level slog.Level) (*rig, *bytes.Buffer) {
	var text bytes.Buffer
	r := newRig(t, 1, func(o *Options) { o.ConnectionLevel, o.Session.Authorizer = level, denier{} })
	r.b.log = slog.New(slog.NewTextHandler(&text, nil))
	return r, &text
}

func TestClientsThatComeAndGoAreLoggedWhereThatIsWanted(t *testing.T) {
	for level, want := range map[slog.Level]bool{slog.LevelInfo: true, slog.LevelDebug: false} {
		r, text := loggingRig(t, level)
		w := r.connect(0, connectAs("a", codec.V5))
		w.send((&codec.Disconnect{}).Append(nil, codec.V5))
		r.Settle()
		r.connect(0, connectAs("b", codec.V5)).gone()
		for _, line := range []string{`msg="client connected" client=a`, `msg="client disconnected" client=a`, `msg="connection lost" client=b`} {
			if got := strings.Contains(text.String(), line); got != want {
				t.Errorf("level %v: line with %s: %v\n%s", level, line, got, text)
			}
		}
	}
}

func TestDenialsAreLoggedNowAndThen(t *testing.T) {
	r, text := loggingRig(t, slog.LevelDebug)
	w := r.connect(0, connectAs("nosy", codec.V5))
	for i := range uint16(100) {
		w.publish("x/secret", "", codec.QoS1, i+1)
	}
	s := codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{{Filter: []byte("x/#")}}}
	w.send(s.Append(nil, codec.V5))
	r.Pass(20_000)
	if n := strings.Count(text.String(), "not authorized"); n != 1 || !strings.Contains(text.String(), `client=nosy topic=x/# count=101`) {
		t.Errorf("%d lines:\n%s", n, text)
	}
	stranger := r.dial(0, false)
	stranger.send(connectAs("stranger", codec.V311).Append(nil, codec.V311))
	r.Pass(20_000)
	if !strings.Contains(text.String(), `msg="client refused" remote=fake listener=fake reason="not authenticated" count=1`) {
		t.Errorf("no line about the stranger:\n%s", text)
	}
}
