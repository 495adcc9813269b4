package client

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gannetmq/gannet/codec"
)

func TestAcceptedFillsInDefaultsAndTheServersOverrides(t *testing.T) {
	c, _ := dial(t, Options{ClientID: "me", KeepAlive: 90 * time.Second}, codec.Connack{SessionPresent: false})
	a := c.Accepted()
	if a.ClientID != "me" || a.KeepAlive != 90*time.Second || a.ReceiveMaximum != 65535 || a.MaximumQoS != codec.QoS2 || !a.RetainAvailable {
		t.Errorf("defaults: %+v", a)
	}

	var p codec.Properties
	p.AssignedClientIdentifier, p.ServerKeepAlive, p.ReceiveMaximum, p.MaximumQoS, p.RetainAvailable = []byte("given"), 7, 3, 1, 0
	for _, id := range []codec.PropertyID{codec.PropAssignedClientIdentifier, codec.PropServerKeepAlive, codec.PropReceiveMaximum,
		codec.PropMaximumQoS, codec.PropRetainAvailable} {
		p.Set(id)
	}
	c, _ = dial(t, Options{Version: codec.V5, KeepAlive: time.Minute}, codec.Connack{Properties: p})
	a = c.Accepted()
	if a.ClientID != "given" || a.KeepAlive != 7*time.Second || a.ReceiveMaximum != 3 || a.MaximumQoS != codec.QoS1 || a.RetainAvailable {
		t.Errorf("overrides: %+v", a)
	}
	for _, m := range []Message{{Topic: "t", QoS: codec.QoS2}, {Topic: "t", Retain: true}} {
		if _, err := c.Publish(t.Context(), m); !errors.Is(err, ErrNotSupported) {
			t.Errorf("publish of what the server does not support: %v", err)
		}
	}
}

func TestConnectCarriesTheOptions(t *testing.T) {
	options := Options{
		Version: codec.V5, ClientID: "me", Resume: true, UserName: "u", Password: []byte("p"), KeepAlive: 1500 * time.Millisecond,
		Will: &Message{Topic: "w", Payload: []byte("gone"), QoS: codec.QoS1, Retain: true}, WillDelay: 5,
	}
	p, connected := startDial(t, t.Context(), options)
	frame := p.expect(codec.TypeConnect)
	var got codec.Connect
	if err := got.Parse(frame.Flags, frame.Body); err != nil {
		t.Fatal(err)
	}
	if got.Version != codec.V5 || got.CleanStart || got.KeepAlive != 1 || string(got.ClientID) != "me" ||
		string(got.UserName) != "u" || string(got.Password) != "p" ||
		string(got.WillTopic) != "w" || string(got.WillPayload) != "gone" || got.WillQoS != codec.QoS1 || !got.WillRetain ||
		got.WillProperties.WillDelayInterval != 5 {
		t.Errorf("got %+v", got)
	}
	p.reader.conn.Close()
	if result := <-connected; !errors.Is(result.err, io.EOF) {
		t.Errorf("dial after the server closed: %v", result.err)
	}
}

func TestRefusalIsAnErrorWithTheCode(t *testing.T) {
	for _, test := range []struct {
		version codec.Version
		connack codec.Connack
		code    byte
	}{
		{codec.V31, codec.Connack{Return: codec.RefusedIdentifier}, 2},
		{codec.V311, codec.Connack{Return: codec.RefusedNotAuthorized}, 5},
		{codec.V5, codec.Connack{Reason: codec.Banned}, 0x8A},
	} {
		p, connected := startDial(t, t.Context(), Options{Version: test.version, ClientID: "me"})
		p.expect(codec.TypeConnect)
		p.send(test.connack.Append(nil, test.version))
		var refused *RefusedError
		if result := <-connected; !errors.As(result.err, &refused) || refused.Code() != test.code {
			t.Errorf("%v: got %v, want code %d", test.version, result.err, test.code)
		}
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, connected := startDial(t, ctx, Options{})
	p.expect(codec.TypeConnect)
	cancel()
	if result := <-connected; !errors.Is(result.err, context.Canceled) {
		t.Errorf("got %v", result.err)
	}
}

func TestContextOfDialDoesNotEndTheClient(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, connected := startDial(t, ctx, Options{})
	p.expect(codec.TypeConnect)
	connack := codec.Connack{}
	p.send(connack.Append(nil, p.version))
	c := (<-connected).client
	defer c.Close()
	cancel()
	if _, err := c.Send(t.Context(), Message{Topic: "t"}); err != nil {
		t.Fatal(err)
	}
	p.expectPublish()
}

func TestDisconnectComesAfterEverythingSent(t *testing.T) {
	c, p := dial(t, Options{}, codec.Connack{})
	const count = 100
	for range count {
		if _, err := c.Send(t.Context(), Message{Topic: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Disconnect(context.Background()) }()
	for range count {
		p.expectPublish()
	}
	p.expect(codec.TypeDisconnect)
	if err := <-ended; err != nil {
		t.Errorf("disconnect: %v", err)
	}
	if _, err := c.Publish(t.Context(), Message{Topic: "t"}); !errors.Is(err, ErrClosed) {
		t.Errorf("publish after disconnect: %v", err)
	}
	if !errors.Is(c.Err(), ErrClosed) {
		t.Errorf("err: %v", c.Err())
	}
}

func TestDisconnectReportsWhatCouldNotBeWritten(t *testing.T) {
	c, _ := dial(t, Options{}, codec.Connack{})
	if _, err := c.Send(t.Context(), Message{Topic: "t"}); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Disconnect(ended); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got %v", err)
	}
}

func TestCloseEndsWhatIsPendingAndClosesMessages(t *testing.T) {
	c, p := dial(t, Options{}, codec.Connack{})
	pending, err := c.Send(t.Context(), Message{Topic: "t", QoS: codec.QoS1})
	if err != nil {
		t.Fatal(err)
	}
	p.expectPublish()
	c.Close()
	if _, err := pending.Wait(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("pending: %v", err)
	}
	if _, open := <-c.Messages(); open {
		t.Error("messages are still open")
	}
	c.Close()
}

func TestServerThatClosesEndsTheClientWithEOF(t *testing.T) {
	c, p := dial(t, Options{}, codec.Connack{})
	p.reader.conn.Close()
	<-c.Done()
	if !errors.Is(c.Err(), io.EOF) {
		t.Errorf("got %v", c.Err())
	}
}

func TestDisconnectOfTheServerIsAnError(t *testing.T) {
	c, p := dial(t, Options{Version: codec.V5}, codec.Connack{})
	d := codec.Disconnect{Reason: codec.SessionTakenOver}
	p.send(d.Append(nil, codec.V5))
	<-c.Done()
	var ended *DisconnectedError
	if !errors.As(c.Err(), &ended) || ended.Reason != codec.SessionTakenOver {
		t.Errorf("got %v", c.Err())
	}
}

func TestMalformedPacketIsAnsweredWithDisconnect(t *testing.T) {
	c, p := dial(t, Options{Version: codec.V5}, codec.Connack{})
	p.send([]byte{byte(codec.TypePuback)<<4 | 1, 2, 0, 1}) // reserved flag set
	frame := p.expect(codec.TypeDisconnect)
	var d codec.Disconnect
	if err := d.Parse(codec.V5, frame.Flags, frame.Body); err != nil || d.Reason != codec.MalformedPacket {
		t.Errorf("disconnect %v, %v", d.Reason, err)
	}
	<-c.Done()
	var fault *codec.Error
	if !errors.As(c.Err(), &fault) {
		t.Errorf("err: %v", c.Err())
	}
}

func TestPacketOutOfPlaceEndsTheConnection(t *testing.T) {
	connect, subscribe := codec.Connack{}, codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{{Filter: []byte("a")}}}
	for name, packet := range map[string][]byte{
		"CONNACK": connect.Append(nil, codec.V311), "SUBSCRIBE": subscribe.Append(nil, codec.V311), "PINGREQ": codec.AppendPingreq(nil),
	} {
		c, p := dial(t, Options{}, codec.Connack{})
		p.send(packet)
		<-c.Done()
		if want := "server sent " + name + " out of place"; c.Err().Error() != want {
			t.Errorf("got %v, want %s", c.Err(), want)
		}
	}
}

func TestIdleClientPingsAndEndsWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dial(t, Options{KeepAlive: 10 * time.Second}, codec.Connack{})
		start := time.Now()
		p.expect(codec.TypePingreq)
		p.send(codec.AppendPingresp(nil))
		p.expect(codec.TypePingreq)
		if idle := time.Since(start); idle != 20*time.Second {
			t.Errorf("two pings after %s", idle)
		}
		<-c.Done()
		if !errors.Is(c.Err(), ErrKeepAlive) {
			t.Errorf("err: %v", c.Err())
		}
	})
}

func TestTrafficPutsThePingOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := dial(t, Options{KeepAlive: 10 * time.Second}, codec.Connack{})
		start := time.Now()
		timer := time.NewTimer(6 * time.Second)
		<-timer.C
		if _, err := c.Send(t.Context(), Message{Topic: "t"}); err != nil {
			t.Fatal(err)
		}
		p.expectPublish()
		p.expect(codec.TypePingreq)
		if idle := time.Since(start); idle != 16*time.Second {
			t.Errorf("ping after %s", idle)
		}
	})
}

// steps is an Authenticator with fixed answers.
type steps struct {
	answers []string
	proof   string
}

func (s *steps) Method() string         { return "STEPS" }
func (s *steps) First() ([]byte, error) { return []byte("first"), nil }
func (s *steps) Answer(data []byte) ([]byte, error) {
	s.answers = append(s.answers, string(data))
	return append([]byte("re:"), data...), nil
}
func (s *steps) Verify(data []byte) error {
	if string(data) != s.proof {
		return errors.New("no proof")
	}
	return nil
}

func authentication(data string) (p codec.Properties) {
	setAuthentication(&p, "STEPS", []byte(data))
	return p
}

func TestEnhancedAuthenticationExchangesUntilConnack(t *testing.T) {
	for _, proof := range []string{"proof", "forged"} {
		a := &steps{proof: "proof"}
		p, connected := startDial(t, t.Context(), Options{Version: codec.V5, Authenticator: a})
		frame := p.expect(codec.TypeConnect)
		var connect codec.Connect
		if err := connect.Parse(frame.Flags, frame.Body); err != nil || string(connect.Properties.AuthenticationData) != "first" {
			t.Fatalf("connect with %q, %v", connect.Properties.AuthenticationData, err)
		}
		challenge := codec.Auth{Reason: codec.ContinueAuthentication, Properties: authentication("challenge")}
		p.send(challenge.Append(nil, codec.V5))
		frame = p.expect(codec.TypeAuth)
		var answer codec.Auth
		if err := answer.Parse(codec.V5, frame.Flags, frame.Body); err != nil || string(answer.Properties.AuthenticationData) != "re:challenge" {
			t.Fatalf("answer %q, %v", answer.Properties.AuthenticationData, err)
		}
		connack := codec.Connack{Properties: authentication(proof)}
		p.send(connack.Append(nil, codec.V5))
		result := <-connected
		if (result.err == nil) != (proof == "proof") {
			t.Errorf("server with %s: %v", proof, result.err)
		}
		if result.client != nil {
			result.client.Close()
		}
	}
}
