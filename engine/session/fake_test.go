package session

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/gannetmq/gannet/codec"
)

// denyList is an Authorizer that forbids everything below deny/, delivers nothing below secret/, and lets own/NAME/ to the user NAME only.
type denyList struct{}

func (denyList) may(who Identity, topic []byte) bool {
	if owner, ok := bytes.CutPrefix(topic, []byte("own/")); ok {
		name, _, _ := strings.Cut(string(owner), "/")
		return name == who.UserName
	}
	return !bytes.HasPrefix(topic, []byte("deny/"))
}

func (l denyList) MayPublish(who Identity, topic []byte) bool    { return l.may(who, topic) }
func (l denyList) MaySubscribe(who Identity, filter []byte) bool { return l.may(who, filter) }
func (denyList) MayReceive(_ Identity, topic []byte) bool {
	return !bytes.HasPrefix(topic, []byte("secret/"))
}

// mute lets nobody do anything.
type mute struct{}

func (mute) MayPublish(Identity, []byte) bool   { return false }
func (mute) MaySubscribe(Identity, []byte) bool { return false }
func (mute) MayReceive(Identity, []byte) bool   { return false }

// nobody is an Authenticator that must not be asked: the player does that.
type nobody struct{}

func (nobody) Authenticate(*Credentials, func(Verdict)) { panic("asked by the session") }

// riddle is an EnhancedMethod. The client's data decides: "i-am:NAME" is done at once, "nobody" too but without a name,
// "ask" gets a question, and "fail:CODE" fails with that code. An answer to a question is again one of these.
type riddle struct{}

func (riddle) Name() string                             { return "riddle" }
func (riddle) Begin(clientID, userName string) Exchange { return &riddleExchange{} }

type riddleExchange struct{ name string }

func (r *riddleExchange) Step(data []byte) ([]byte, bool, codec.ReasonCode) {
	verb, arg, _ := strings.Cut(string(data), ":")
	switch verb {
	case "i-am":
		r.name = arg
		return []byte("welcome"), true, codec.Success
	case "nobody":
		return nil, true, codec.Success
	case "ask":
		return []byte("what-walks-on-three-legs" + arg), false, codec.Success
	default:
		n, _ := strconv.ParseUint(arg, 0, 8)
		return nil, false, codec.ReasonCode(n)
	}
}

func (r *riddleExchange) Identity() string { return r.name }

// str reads one argument; "x*300" stands for 300 times x.
func str(t *testing.T, d *datadriven.TestData, key, otherwise string) string {
	a, ok := d.Arg(key)
	if !ok || len(a.Vals) == 0 {
		return otherwise
	}
	return expand(a.SingleVal(t))
}

func expand(v string) string {
	if unit, count, ok := strings.Cut(v, "*"); ok {
		if n, err := strconv.Atoi(count); err == nil {
			return strings.Repeat(unit, n)
		}
	}
	return v
}

func num(t *testing.T, d *datadriven.TestData, key string, otherwise int) int {
	a, ok := d.Arg(key)
	if !ok || len(a.Vals) == 0 {
		return otherwise
	}
	return parseInt(t, a.SingleVal(t))
}

func firstInt(t *testing.T, d *datadriven.TestData) int { return parseInt(t, d.CmdArgs[0].Key) }

func parseInt(t *testing.T, v string) int {
	t.Helper()
	if v == "never" {
		return NeverExpires
	}
	n, err := strconv.ParseInt(v, 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// properties sets in p what d has arguments for.
func properties(t *testing.T, d *datadriven.TestData, p *codec.Properties, names map[string]codec.PropertyID) {
	for key, id := range names {
		if !d.HasArg(key) {
			continue
		}
		p.Set(id)
		if text := textProperty(p, id); text != nil {
			*text = []byte(str(t, d, key, ""))
			continue
		}
		n := num(t, d, key, 0)
		switch id {
		case codec.PropSessionExpiryInterval:
			p.SessionExpiryInterval = uint32(n)
		case codec.PropReceiveMaximum:
			p.ReceiveMaximum = uint16(n)
		case codec.PropMaximumPacketSize:
			p.MaximumPacketSize = uint32(n)
		case codec.PropTopicAliasMaximum:
			p.TopicAliasMaximum = uint16(n)
		case codec.PropRequestProblemInformation:
			p.RequestProblemInformation = byte(n)
		case codec.PropRequestResponseInformation:
			p.RequestResponseInformation = byte(n)
		case codec.PropWillDelayInterval:
			p.WillDelayInterval = uint32(n)
		case codec.PropMessageExpiryInterval:
			p.MessageExpiryInterval = uint32(n)
		case codec.PropTopicAlias:
			p.TopicAlias = uint16(n)
		case codec.PropPayloadFormatIndicator:
			p.PayloadFormatIndicator = byte(n)
		case codec.PropSubscriptionIdentifier:
			p.SubscriptionIdentifiers = []uint32{uint32(n)}
		default:
			t.Fatalf("property %#x", id)
		}
	}
}

func textProperty(p *codec.Properties, id codec.PropertyID) *[]byte {
	switch id {
	case codec.PropAuthenticationMethod:
		return &p.AuthenticationMethod
	case codec.PropAuthenticationData:
		return &p.AuthenticationData
	case codec.PropContentType:
		return &p.ContentType
	case codec.PropResponseTopic:
		return &p.ResponseTopic
	case codec.PropCorrelationData:
		return &p.CorrelationData
	case codec.PropServerReference:
		return &p.ServerReference
	}
	return nil
}
