package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gannetmq/gannet/cmd/gannet/internal/client"
	"github.com/gannetmq/gannet/codec"
)

func sampleMessage() client.Message {
	m := client.Message{Topic: "a/b", Payload: []byte(`{"x":"é"}`), QoS: codec.QoS1, Retain: true, PacketID: 7}
	p := &m.Properties
	p.ContentType, p.MessageExpiryInterval, p.SubscriptionIdentifiers = []byte("text<>"), 60, []uint32{3, 4}
	for _, id := range []codec.PropertyID{codec.PropContentType, codec.PropMessageExpiryInterval, codec.PropSubscriptionIdentifier, codec.PropUserProperty} {
		p.Set(id)
	}
	p.User = codec.AppendUserProperty(nil, []byte("k"), []byte("v"))
	p.User = codec.AppendUserProperty(p.User, []byte("k"), []byte("w"))
	return m
}

func TestFormatFillsInTheMessage(t *testing.T) {
	m := sampleMessage()
	now := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.FixedZone("", 3600))
	for format, want := range map[string]string{
		"plain":                      "plain",
		"%t %p %l %q %r %m":          `a/b {"x":"é"} 10 1 1 7`,
		"%v":                         `a/b {"x":"é"}`,
		"%x|%X":                      "7b2278223a22c3a9227d|7B2278223A22C3A9227D",
		"%C|%E|%S|%P|%R|%F":          "text<>|60|3 4|k:v k:w||",
		"[%5l][%-5l][%05l]":          "[   10][10   ][00010]",
		"[%.2t][%5.2t]":              "[a/][   a/]",
		"%I %U":                      "2026-01-02T03:04:05+0100 1767319445.000006789",
		`@Y-@m-@d @H:@M:@S.@N @@ @s`: "2026-01-02 03:04:05.000006789 @ 1767319445",
		`100%%\t\\\n`:                "100%\t\\\n",
		"%j": `{"tst":"2026-01-02T03:04:05.000006+0100","topic":"a/b","qos":1,"retain":1,"payloadlen":10,"mid":7,` +
			`"properties":{"content-type":"text<>","message-expiry-interval":60,"subscription-identifiers":[3,4],` +
			`"user-properties":{"k":"v","k":"w"}},"payload":"{\"x\":\"é\"}"}`,
		"%J": `{"tst":"2026-01-02T03:04:05.000006+0100","topic":"a/b","qos":1,"retain":1,"payloadlen":10,"mid":7,` +
			`"properties":{"content-type":"text<>","message-expiry-interval":60,"subscription-identifiers":[3,4],` +
			`"user-properties":{"k":"v","k":"w"}},"payload":{"x":"é"}}`,
	} {
		if err := checkFormat(format); err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		got, err := appendFormat(nil, format, &m, now)
		if err != nil || string(got) != want {
			t.Errorf("%s:\ngot  %s (%v)\nwant %s", format, got, err, want)
		}
	}
}

func TestRawJSONNeedsAPayloadThatIsJSON(t *testing.T) {
	m := client.Message{Topic: "t", Payload: []byte("no")}
	if _, err := appendFormat(nil, "%J", &m, time.Now()); err == nil || !strings.Contains(err.Error(), "not valid JSON on topic t") {
		t.Errorf("got %v", err)
	}
	got, err := appendFormat(nil, "%j", &m, time.Now())
	if err != nil || !json.Valid(got) {
		t.Errorf("%s, %v", got, err)
	}
}

func FuzzAcceptedFormatIsFilledIn(f *testing.F) {
	for _, seed := range []string{"%t", "%-010.5p", "@Y@", `\`, "%%%j", "%9999999999t", "%."} {
		f.Add(seed, "payload")
	}
	f.Fuzz(func(t *testing.T, format, payload string) {
		if checkFormat(format) != nil {
			return
		}
		m := sampleMessage()
		m.Payload = []byte(payload)
		out, err := appendFormat(nil, format, &m, time.Unix(0, 0))
		if err != nil && !strings.Contains(format, "J") {
			t.Errorf("%q: %v", format, err)
		}
		if format == "%j" && !json.Valid(out) {
			t.Errorf("%q gives %s", payload, out)
		}
	})
}

func TestTopicMatches(t *testing.T) {
	for _, test := range []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true}, {"a/b", "a/c", false}, {"a", "a/b", false}, {"a/b", "a", false},
		{"+", "a", true}, {"+", "a/b", false}, {"a/+", "a/", true}, {"a/+", "a", false}, {"+/+", "/a", true},
		{"#", "a/b", true}, {"a/#", "a", true}, {"a/#", "a/b/c", true}, {"a/#", "ab", false}, {"a/+/#", "a/b", true}, {"a/+/#", "a", false},
		{"#", "$SYS/a", false}, {"+/a", "$SYS/a", false}, {"$SYS/#", "$SYS/a", true}, {"$SYS/+", "$SYS/a", true},
	} {
		if got := topicMatches(test.filter, test.topic); got != test.want {
			t.Errorf("%s with %s: %v", test.filter, test.topic, got)
		}
	}
}
