package interop

import (
	"fmt"
	"testing"
)

// TestTakeoverClosesTheFirstConnection connects twice with one Client Identifier:
// the first connection ends, with 0x8E where the protocol can say so, its Will is
// published, and the second one works [MQTT-3.1.4-3].
func TestTakeoverClosesTheFirstConnection(t *testing.T) {
	eachPair(t, func(t *testing.T, f, g flavour) {
		id, topic := unique(t, "twin"), unique(t, "topic")
		watcher := g.connect(t, connectOptions{id: unique(t, "watcher")})
		watcher.subscribe(t, 1, topic)
		will := text(topic, 1, "taken over")
		first := f.connect(t, connectOptions{id: id, will: &will})
		second := g.connect(t, connectOptions{id: id})
		wants := noReason
		if f.version == 5 {
			wants = 0x8E
		}
		if got := await(t, first.lost(), "the first connection's end"); got != wants {
			t.Errorf("first connection ended with %#x, want %#x", got, wants)
		}
		watcher.inbox().expect(t, text(topic, 1, "taken over"))
		second.publish(t, text(topic, 1, "alive"))
		watcher.inbox().expect(t, text(topic, 1, "alive"))
		select {
		case code := <-second.lost():
			t.Errorf("second connection ended too, with %#x", code)
		default:
		}
	})
}

// TestTakeoverResumesTheSession takes a kept Session over from a connection that is
// alive: the subscription moves along.
func TestTakeoverResumesTheSession(t *testing.T) {
	each(t, func(t *testing.T, f flavour) {
		id, topic := unique(t, "twin"), unique(t, "topic")
		first := f.connect(t, connectOptions{id: id, keep: true})
		first.subscribe(t, 1, topic)
		second := f.connect(t, connectOptions{id: id, keep: true})
		await(t, first.lost(), "the first connection's end")
		if !second.sessionPresent() && f.version > 3 {
			t.Error("session present is 0 after a takeover")
		}
		second.publish(t, text(topic, 1, "still subscribed"))
		second.inbox().expect(t, text(topic, 1, "still subscribed"))
		second.disconnect(t)
		forget(t, f, id)
	})
}

// TestResumeDeliversWhatWasMissed publishes QoS 1 and 2 while the subscriber is
// away, after DISCONNECT and after a broken connection: all of it arrives on
// reconnect, in order, with its QoS.
func TestResumeDeliversWhatWasMissed(t *testing.T) {
	const missed = 200
	departures := map[string]func(client, *testing.T){
		"disconnect": client.disconnect,
		"drop":       client.drop,
	}
	eachPair(t, func(t *testing.T, p, s flavour) {
		publisher := p.connect(t, connectOptions{id: unique(t, "pub")})
		for name, leave := range departures {
			id, topic := unique(t, name), unique(t, name)
			sleeper := s.connect(t, connectOptions{id: id, keep: true})
			if sleeper.sessionPresent() {
				t.Errorf("%s: session present is 1 on the first connect", name)
			}
			sleeper.subscribe(t, 2, topic)
			leave(sleeper, t)
			for i := range missed {
				publisher.publish(t, text(topic, byte(1+i%2), fmt.Sprint("missed ", i)))
			}
			sleeper = s.connect(t, connectOptions{id: id, keep: true})
			if !sleeper.sessionPresent() && s.version > 3 {
				t.Errorf("%s: session present is 0 on resume", name)
			}
			for i := range missed {
				sleeper.inbox().expect(t, text(topic, byte(1+i%2), fmt.Sprint("missed ", i)))
			}
			publisher.publish(t, text(topic, 1, "end"))
			sleeper.inbox().expect(t, text(topic, 1, "end"))
			sleeper.disconnect(t)
			forget(t, s, id)
		}
	})
}

// TestUnacknowledgedMessagesAreSentAgain receives without acknowledging, loses the
// connection and gets the same messages once more, in order and marked DUP
// [MQTT-4.4.0-1] [MQTT-3.3.1-1].
func TestUnacknowledgedMessagesAreSentAgain(t *testing.T) {
	const count = 10
	each(t, func(t *testing.T, f flavour) {
		id, topic := unique(t, "c"), unique(t, "topic")
		publisher := f.connect(t, connectOptions{id: unique(t, "pub")})
		silent := f.connect(t, connectOptions{id: id, keep: true, manualAck: true})
		silent.subscribe(t, 1, topic)
		for i := range count {
			publisher.publish(t, text(topic, 1, fmt.Sprint("message ", i)))
			silent.inbox().expect(t, text(topic, 1, fmt.Sprint("message ", i)))
		}
		silent.drop(t)
		again := f.connect(t, connectOptions{id: id, keep: true})
		for i := range count {
			got := again.inbox().next(t)
			if !got.same(text(topic, 1, fmt.Sprint("message ", i))) || !got.dup {
				t.Fatalf("received %v, want message %d with DUP", got, i)
			}
		}
		again.disconnect(t)
		forget(t, f, id)
	})
}

// TestCleanStartDiscardsTheSession leaves a Session with a subscription and a
// waiting message, starts clean and finds neither [MQTT-3.1.2-4].
func TestCleanStartDiscardsTheSession(t *testing.T) {
	each(t, func(t *testing.T, f flavour) {
		id, topic, fence := unique(t, "c"), unique(t, "topic"), unique(t, "fence")
		publisher := f.connect(t, connectOptions{id: unique(t, "pub")})
		kept := f.connect(t, connectOptions{id: id, keep: true})
		kept.subscribe(t, 1, topic)
		kept.disconnect(t)
		publisher.publish(t, text(topic, 1, "for the old session"))
		clean := f.connect(t, connectOptions{id: id})
		if clean.sessionPresent() {
			t.Error("session present is 1 after a clean start")
		}
		clean.subscribe(t, 1, fence)
		publisher.publish(t, text(topic, 1, "nobody subscribes"))
		publisher.publish(t, text(fence, 1, "end"))
		clean.inbox().expect(t, text(fence, 1, "end"))
		clean.disconnect(t)
		resumed := f.connect(t, connectOptions{id: id, keep: true})
		if resumed.sessionPresent() {
			t.Error("session present is 1 after a session that ended with its connection")
		}
		resumed.disconnect(t)
		forget(t, f, id)
	})
}

// forget removes the Session of id, so that a second run against the same broker
// starts as the first did.
func forget(t *testing.T, f flavour, id string) {
	t.Helper()
	f.connect(t, connectOptions{id: id}).disconnect(t)
}
