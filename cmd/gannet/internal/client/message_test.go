package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

func TestPublishWaitsForItsAcknowledgement(t *testing.T) {
	c, p := dial(t, Options{Version: codec.V5}, codec.Connack{})
	type outcome struct {
		code codec.ReasonCode
		err  error
	}
	publish := func(qos codec.QoS) <-chan outcome {
		done := make(chan outcome, 1)
		go func() {
			code, err := c.Publish(context.Background(), Message{Topic: "t", Payload: []byte("x"), QoS: qos})
			done <- outcome{code, err}
		}()
		return done
	}

	done := publish(codec.QoS1)
	id := p.expectPublish().PacketID
	p.send(p.ack(codec.TypePuback, id, codec.NoMatchingSubscribers))
	if o := <-done; o != (outcome{codec.NoMatchingSubscribers, nil}) {
		t.Errorf("QoS 1: %v", o)
	}

	done = publish(codec.QoS2)
	id = p.expectPublish().PacketID
	p.send(p.ack(codec.TypePubcomp, id, codec.Success)) // too early, ignored
	p.send(p.ack(codec.TypePubrec, id, codec.Success))
	p.expectAck(codec.TypePubrel, id, codec.Success)
	p.send(p.ack(codec.TypePubrec, id, codec.Success)) // repeated
	p.expectAck(codec.TypePubrel, id, codec.Success)
	p.send(p.ack(codec.TypePubcomp, id, codec.Success))
	if o := <-done; o != (outcome{codec.Success, nil}) {
		t.Errorf("QoS 2: %v", o)
	}

	done = publish(codec.QoS2)
	id = p.expectPublish().PacketID
	p.send(p.ack(codec.TypePubrec, id, codec.QuotaExceeded))
	if o := <-done; o != (outcome{codec.QuotaExceeded, nil}) {
		t.Errorf("QoS 2 refused: %v", o)
	}
	p.send(p.ack(codec.TypePubrec, id, codec.Success))
	p.expectAck(codec.TypePubrel, id, codec.PacketIdentifierNotFound)
}

func TestSendNeverExceedsTheServersReceiveMaximum(t *testing.T) {
	var properties codec.Properties
	properties.ReceiveMaximum = 2
	properties.Set(codec.PropReceiveMaximum)
	c, p := dial(t, Options{Version: codec.V5}, codec.Connack{Properties: properties})
	full, cancel := context.WithCancel(t.Context())
	cancel() // a Send that had to wait gives up at once

	first, err := c.Send(t.Context(), Message{Topic: "t", QoS: codec.QoS1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Send(t.Context(), Message{Topic: "t", QoS: codec.QoS2}); err != nil {
		t.Fatal(err)
	}
	if _, err = c.Send(full, Message{Topic: "t", QoS: codec.QoS1}); !errors.Is(err, context.Canceled) {
		t.Fatalf("third message: %v", err)
	}
	if _, err = c.Send(full, Message{Topic: "t"}); err != nil {
		t.Fatalf("QoS 0 is not counted: %v", err)
	}
	for range 3 {
		p.expectPublish()
	}
	p.send(p.ack(codec.TypePuback, first.PacketID, codec.Success))
	if _, err := first.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err = c.Send(t.Context(), Message{Topic: "t", QoS: codec.QoS1}); err != nil {
		t.Errorf("after a PUBACK: %v", err)
	}
}

func TestSendWaitsWhileTheNetworkTakesNothing(t *testing.T) {
	c, p := dial(t, Options{}, codec.Connack{})
	full, cancel := context.WithCancel(t.Context())
	cancel()
	payload := make([]byte, 4096)
	sent := 0
	for {
		if _, err := c.Send(full, Message{Topic: "t", Payload: payload}); err != nil {
			break
		}
		sent++
	}
	if bytes := sent * len(payload); bytes < outboundMax || bytes > 4*outboundMax {
		t.Errorf("%d bytes waited", bytes)
	}
	for range sent {
		p.expectPublish()
	}
	if _, err := c.Send(t.Context(), Message{Topic: "t"}); err != nil {
		t.Errorf("after the network took all: %v", err)
	}
	p.expectPublish()
}

func TestMessagesAreAcknowledgedByTheirQoS(t *testing.T) {
	c, p := dial(t, Options{}, codec.Connack{})
	p.send(p.publish("a", codec.QoS0, 0, "0"), p.publish("b", codec.QoS1, 7, "1"))
	p.expectAck(codec.TypePuback, 7, codec.Success)
	p.send(p.publish("c", codec.QoS2, 7, "2"))
	p.expectAck(codec.TypePubrec, 7, codec.Success)
	p.send(p.publish("c", codec.QoS2, 7, "2")) // the same message again
	p.expectAck(codec.TypePubrec, 7, codec.Success)
	p.send(p.ack(codec.TypePubrel, 7, codec.Success))
	p.expectAck(codec.TypePubcomp, 7, codec.Success)
	p.send(p.publish("d", codec.QoS0, 0, "3"))
	got := texts(<-c.Messages(), <-c.Messages(), <-c.Messages(), <-c.Messages())
	if want := []string{"a 0", "b 1", "c 2", "d 3"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestQoS2IsDeliveredOnceAcrossTwoConnections(t *testing.T) {
	session := new(Session)
	options := Options{Version: codec.V5, ClientID: "me", Resume: true, Session: session}
	c, p := dial(t, options, codec.Connack{})
	p.send(p.publish("c", codec.QoS2, 9, "once"))
	p.expectAck(codec.TypePubrec, 9, codec.Success)
	c.Close()

	c, p = dial(t, options, codec.Connack{SessionPresent: true})
	p.send(p.ack(codec.TypePubrel, 9, codec.Success))
	p.expectAck(codec.TypePubcomp, 9, codec.Success)
	p.send(p.ack(codec.TypePubrel, 9, codec.Success)) // PUBCOMP was lost
	p.expectAck(codec.TypePubcomp, 9, codec.PacketIdentifierNotFound)
	p.send(p.publish("end", codec.QoS0, 0, ""))
	if got := texts(<-c.Messages(), <-c.Messages()); !slices.Equal(got, []string{"c once", "end "}) {
		t.Errorf("got %v", got)
	}
}

func TestSessionThatTheServerLostIsForgotten(t *testing.T) {
	session := new(Session)
	options := Options{Version: codec.V5, ClientID: "me", Resume: true, Session: session}
	c, p := dial(t, options, codec.Connack{})
	p.send(p.publish("old", codec.QoS2, 9, ""))
	p.expectAck(codec.TypePubrec, 9, codec.Success)
	c.Close()

	_, p = dial(t, options, codec.Connack{SessionPresent: false})
	p.send(p.ack(codec.TypePubrel, 9, codec.Success))
	p.expectAck(codec.TypePubcomp, 9, codec.PacketIdentifierNotFound)
}

func TestMessageKeepsItsBytes(t *testing.T) {
	c, p := dial(t, Options{Version: codec.V5}, codec.Connack{})
	first := codec.Publish{Topic: []byte("t"), Payload: []byte("first")}
	first.Properties.ContentType = []byte("text")
	first.Properties.Set(codec.PropContentType)
	first.Properties.User = codec.AppendUserProperty(nil, []byte("k"), []byte("v"))
	first.Properties.Set(codec.PropUserProperty)
	p.send(first.Append(nil, codec.V5), p.publish("u", codec.QoS0, 0, "OVERWRITTEN"))
	m, _ := <-c.Messages(), <-c.Messages()
	if string(m.Payload) != "first" || string(m.Properties.ContentType) != "text" {
		t.Errorf("payload %q, content type %q", m.Payload, m.Properties.ContentType)
	}
	for name, value := range m.Properties.User.All() {
		if string(name) != "k" || string(value) != "v" {
			t.Errorf("user property %q %q", name, value)
		}
	}
}

func TestTopicAliasesOfTheServerAreFollowed(t *testing.T) {
	options := Options{Version: codec.V5}
	options.Properties.TopicAliasMaximum = 1
	options.Properties.Set(codec.PropTopicAliasMaximum)
	aliased := func(topic string, alias uint16) []byte {
		m := codec.Publish{Topic: []byte(topic)}
		m.Properties.TopicAlias = alias
		m.Properties.Set(codec.PropTopicAlias)
		return m.Append(nil, codec.V5)
	}
	c, p := dial(t, options, codec.Connack{})
	p.send(aliased("long/topic", 1), aliased("", 1))
	if got := texts(<-c.Messages(), <-c.Messages()); !slices.Equal(got, []string{"long/topic ", "long/topic "}) {
		t.Errorf("got %v", got)
	}
	p.send(aliased("other", 2))
	<-c.Done()
	if !strings.Contains(c.Err().Error(), "above the maximum") {
		t.Errorf("alias 2: %v", c.Err())
	}

	c, p = dial(t, options, codec.Connack{})
	p.send(aliased("", 1))
	<-c.Done()
	if !strings.Contains(c.Err().Error(), "before its Topic Name") {
		t.Errorf("unknown alias: %v", c.Err())
	}
}

func TestSubscribeAndUnsubscribeReturnTheReasons(t *testing.T) {
	c, p := dial(t, Options{Version: codec.V5}, codec.Connack{})
	type outcome struct {
		reasons []codec.ReasonCode
		err     error
	}
	outcomes := make(chan outcome)
	go func() {
		reasons, err := c.Subscribe(t.Context(), Subscription{Filter: "a", QoS: codec.QoS1},
			Subscription{Filter: "b", QoS: codec.QoS2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2})
		outcomes <- outcome{reasons, err}
		reasons, err = c.Unsubscribe(t.Context(), "z")
		outcomes <- outcome{reasons, err}
	}()

	frame := p.expect(codec.TypeSubscribe)
	var subscribe codec.Subscribe
	if err := subscribe.Parse(codec.V5, frame.Flags, frame.Body); err != nil {
		t.Fatal(err)
	}
	if o := subscribe.Filters[1]; string(o.Filter) != "b" || o.QoS != codec.QoS2 || !o.NoLocal || !o.RetainAsPublished || o.RetainHandling != 2 {
		t.Errorf("second subscription: %+v", o)
	}
	suback := codec.Suback{PacketID: subscribe.PacketID, Reasons: []codec.ReasonCode{codec.GrantedQoS1, codec.NotAuthorized}}
	p.send(suback.Append(nil, codec.V5))
	if o := <-outcomes; o.err != nil || !slices.Equal(o.reasons, suback.Reasons) {
		t.Errorf("subscribe: %v", o)
	}

	frame = p.expect(codec.TypeUnsubscribe)
	var unsubscribe codec.Unsubscribe
	if err := unsubscribe.Parse(codec.V5, frame.Flags, frame.Body); err != nil {
		t.Fatal(err)
	}
	unsuback := codec.Unsuback{PacketID: unsubscribe.PacketID, Reasons: []codec.ReasonCode{codec.NoSubscriptionExisted}}
	p.send(unsuback.Append(nil, codec.V5))
	if o := <-outcomes; o.err != nil || !slices.Equal(o.reasons, unsuback.Reasons) {
		t.Errorf("unsubscribe: %v", o)
	}
}

func TestPacketIdentifiersSkipZeroAndThoseInUse(t *testing.T) {
	s := Session{lastSent: 65534}
	taken := map[uint16]bool{65535: true, 1: true}
	if id := s.next(func(id uint16) bool { return taken[id] }); id != 2 {
		t.Errorf("got %d", id)
	}
}
