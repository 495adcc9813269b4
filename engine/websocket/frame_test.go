package websocket

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAppendHeaderTakesTheShortestLength(t *testing.T) {
	for n, want := range map[int]string{
		0: "8200", 1: "8201", 125: "827d",
		126: "827e007e", 256: "827e0100", 65535: "827effff", // 256: the examples of RFC 6455 section 5.7
		65536: "827f0000000000010000", 1 << 28: "827f0000000010000000",
	} {
		got := AppendHeader([]byte("x"), Binary, n)
		if string(got) != "x"+string(wire(t, want)) {
			t.Errorf("%d: % x", n, got)
		}
		if len(got)-1 > HeaderBytesMax {
			t.Errorf("%d: longer than HeaderBytesMax", n)
		}
	}
}

func TestAppendClose(t *testing.T) {
	for _, c := range []struct {
		code   CloseCode
		reason string
		want   string
	}{
		{0, "dropped", "8800"},
		{NormalClosure, "", "8802 03e8"},
		{GoingAway, "bye", "8805 03e9 627965"},
	} {
		if got := AppendClose(nil, c.code, c.reason); string(got) != string(wire(t, c.want)) {
			t.Errorf("%d %q: % x", c.code, c.reason, got)
		}
	}
}

func TestAppendCloseCutsAReasonBetweenCharacters(t *testing.T) {
	for _, reason := range []string{strings.Repeat("a", 123), strings.Repeat("a", 124), strings.Repeat("é", 100), strings.Repeat("a", 121) + "€", strings.Repeat("\x80", 200)} {
		b := AppendClose(nil, PolicyViolation, reason)
		text := string(b[4:])
		if int(b[1]) != len(b)-2 || b[1] > controlBytesMax || !strings.HasPrefix(reason, text) {
			t.Errorf("%q: % x", reason, b)
		}
		if utf8.ValidString(reason) && (!utf8.ValidString(text) || len(text) < min(len(reason), 120)) {
			t.Errorf("%q became %q", reason, text)
		}
	}
}

func TestCloseCodesThatMayTravel(t *testing.T) {
	for _, c := range []CloseCode{NormalClosure, GoingAway, ProtocolError, UnsupportedData, InvalidPayload, PolicyViolation, MessageTooBig, InternalError, TryAgainLater} {
		if !c.mayTravel() {
			t.Errorf("%d may not", c)
		}
	}
}

func TestErrorsNameTheirPart(t *testing.T) {
	if got := errText.Error(); got != "websocket: frame: text, but MQTT is binary [MQTT-6.0.0-1]" {
		t.Error(got)
	}
}
