package interop

import (
	"fmt"
	"slices"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// The tests of this file are about what 5.0 adds to Sessions, Wills and groups.

// TestSharedSubscriptionGivesEachMessageToOneMember publishes to a group of three,
// to a second group of one and to an ordinary subscriber: the group gets each message
// once, everybody of it some, and the others get all.
func TestSharedSubscriptionGivesEachMessageToOneMember(t *testing.T) {
	const count = 300
	topic, fence := unique(t, "topic"), unique(t, "fence")
	var members []*pahoV5Client
	for i := range 3 {
		m := connectV5(t, fmt.Sprint("member", i))
		m.subscribe(t, 1, "$share/workers/"+topic, fence)
		members = append(members, m)
	}
	other, ordinary := connectV5(t, "other"), connectV5(t, "ordinary")
	other.subscribe(t, 1, "$share/auditors/"+topic)
	ordinary.subscribe(t, 1, topic)
	publisher := connectV5(t, "pub")
	for i := range count {
		publisher.publish(t, text(topic, 1, fmt.Sprint(i)))
	}
	publisher.publish(t, text(fence, 1, "end"))
	for i := range count {
		ordinary.inbox().expect(t, text(topic, 1, fmt.Sprint(i)))
		other.inbox().expect(t, text(topic, 1, fmt.Sprint(i)))
	}
	seen := make(map[string]int)
	for i, m := range members {
		share := 0
		for got := m.inbox().next(t); got.topic != fence; got = m.inbox().next(t) {
			seen[string(got.payload)]++
			share++
		}
		if share == 0 {
			t.Errorf("member %d got nothing", i)
		}
	}
	for i := range count {
		if n := seen[fmt.Sprint(i)]; n != 1 {
			t.Errorf("message %d reached the group %d times", i, n)
		}
	}
}

// TestSharedMessagePassesToAnotherMemberWhenTheSessionEnds leaves messages
// unacknowledged at a member whose Session ends with its connection: the member that
// is left gets them [MQTT-4.8.2-5].
func TestSharedMessagePassesToAnotherMemberWhenTheSessionEnds(t *testing.T) {
	const count = 5
	topic := unique(t, "topic")
	filter := "$share/workers/" + topic
	first := connectPahoV5(t, connectOptions{id: unique(t, "first"), manualAck: true}).(*pahoV5Client)
	first.subscribe(t, 1, filter)
	publisher := connectV5(t, "pub")
	for i := range count {
		publisher.publish(t, text(topic, 1, fmt.Sprint(i)))
		first.inbox().expect(t, text(topic, 1, fmt.Sprint(i)))
	}
	second := connectV5(t, "second")
	second.subscribe(t, 1, filter)
	first.drop(t)
	left := map[string]bool{}
	for i := range count {
		left[fmt.Sprint(i)] = true
	}
	for len(left) > 0 {
		got := second.inbox().next(t)
		if !left[string(got.payload)] {
			t.Fatalf("received %v twice or never sent", got)
		}
		delete(left, string(got.payload))
	}
}

// TestServerAssignsAClientIdentifier connects twice without one; the two names
// differ [MQTT-3.2.2-16].
func TestServerAssignsAClientIdentifier(t *testing.T) {
	assigned := map[string]bool{}
	for range 2 {
		c := dialPahoV5(t, &paho.Connect{CleanStart: true}, nil)
		name := c.connack.Properties.AssignedClientID
		if name == "" || assigned[name] {
			t.Errorf("assigned client identifier %q after %v", name, assigned)
		}
		assigned[name] = true
	}
}

// TestSessionExpiryMayBeSetByDisconnect keeps a Session at CONNECT, ends it at
// DISCONNECT and finds it gone.
func TestSessionExpiryMayBeSetByDisconnect(t *testing.T) {
	packet := &paho.Connect{
		ClientID:   unique(t, "c"),
		Properties: &paho.ConnectProperties{SessionExpiryInterval: pointer(uint32(3600))},
	}
	first := dialPahoV5(t, packet, nil)
	first.disconnect(t)
	second := dialPahoV5(t, packet, nil)
	if !second.sessionPresent() {
		t.Error("session present is 0 within the interval")
	}
	err := second.library.Disconnect(&paho.Disconnect{
		Properties: &paho.DisconnectProperties{SessionExpiryInterval: pointer(uint32(0))},
	})
	if err != nil {
		t.Fatal(err)
	}
	third := dialPahoV5(t, packet, nil)
	if third.sessionPresent() {
		t.Error("session present is 1 after the interval was set to 0")
	}
	third.disconnect(t)
	forget(t, flavour{connect: connectPahoV5}, packet.ClientID)
}

// willConnect is a CONNECT with a Will of QoS 1 and a property of its own.
func willConnect(id, topic string, delaySeconds, expirySeconds uint32) *paho.Connect {
	return &paho.Connect{
		ClientID:    id,
		Properties:  &paho.ConnectProperties{SessionExpiryInterval: &expirySeconds},
		WillMessage: &paho.WillMessage{Topic: topic, QoS: 1, Payload: []byte("gone")},
		WillProperties: &paho.WillProperties{
			WillDelayInterval: &delaySeconds,
			User:              paho.UserProperties{{Key: "cause", Value: "unknown"}},
		},
	}
}

// TestWillDelayIsCancelledByReturning comes back before the delay is over: no Will
// [MQTT-3.1.3-9].
func TestWillDelayIsCancelledByReturning(t *testing.T) {
	topic := unique(t, "will")
	watcher := connectV5(t, "watcher")
	watcher.subscribe(t, 1, topic)
	dialPahoV5(t, willConnect(unique(t, "c"), topic, 3600, 7200), nil).drop(t)
	back := dialPahoV5(t, willConnect(unique(t, "c"), topic, 3600, 7200), nil)
	back.publish(t, text(topic, 1, "end"))
	watcher.inbox().expect(t, text(topic, 1, "end"))
	back.disconnect(t)
	forget(t, flavour{connect: connectPahoV5}, unique(t, "c"))
}

// TestWillIsPublishedAtTheLatestWhenTheSessionEnds has a delay of an hour and a
// Session that lives a second [MQTT-3.1.3-9]. The Will's User Properties come along;
// this library does not send the other ones, which commands_test.go looks at.
func TestWillIsPublishedAtTheLatestWhenTheSessionEnds(t *testing.T) {
	topic := unique(t, "will")
	watcher := connectV5(t, "watcher")
	watcher.subscribe(t, 1, topic)
	dialPahoV5(t, willConnect(unique(t, "c"), topic, 3600, 1), nil).drop(t)
	watcher.inbox().expect(t, text(topic, 1, "gone"))
	if got := (<-watcher.packets).Properties.User; !slices.Equal(got, paho.UserProperties{{Key: "cause", Value: "unknown"}}) {
		t.Errorf("will arrived with user properties %v", got)
	}
}

// TestDisconnectMayAskForTheWill sends Reason Code 0x04.
func TestDisconnectMayAskForTheWill(t *testing.T) {
	topic := unique(t, "will")
	watcher := connectV5(t, "watcher")
	watcher.subscribe(t, 1, topic)
	leaving := dialPahoV5(t, willConnect(unique(t, "c"), topic, 0, 0), nil)
	if err := leaving.library.Disconnect(&paho.Disconnect{ReasonCode: 0x04}); err != nil {
		t.Fatal(err)
	}
	watcher.inbox().expect(t, text(topic, 1, "gone"))
}

// TestRefusalOfConnectHasAReason meets a broker that wants credentials.
func TestRefusalOfConnectHasAReason(t *testing.T) {
	socket, err := dial(startGannet(t, "--scram-users", usersFile(t, "rajan", "password123")))
	if err != nil {
		t.Fatal(err)
	}
	library := paho.NewClient(paho.ClientConfig{Conn: socket, PacketTimeout: patience})
	connack, err := library.Connect(t.Context(), &paho.Connect{ClientID: "c", CleanStart: true})
	if err == nil || connack == nil {
		t.Fatalf("connect: CONNACK %v, error %v", connack, err)
	}
	if connack.ReasonCode != 0x87 {
		t.Errorf("refused with %#x, want 0x87", connack.ReasonCode)
	}
}
