package codec

import (
	"strconv"
	"strings"
	"testing"
)

func TestReasonCodesAgreeWithTheSpecificationTable(t *testing.T) {
	type use struct {
		code ReasonCode
		t    PacketType
	}
	uses := map[use]bool{}
	names := map[ReasonCode]string{}
	for _, row := range rows(t, "reason-codes.tsv") {
		n, err := strconv.ParseUint(row[0], 0, 8)
		if err != nil {
			t.Fatal(err)
		}
		code := ReasonCode(n)
		if _, again := names[code]; !again {
			names[code] = row[1]
		}
		for _, packet := range strings.Split(row[2], ", ") {
			uses[use{code, packetByName(t, packet)}] = true
		}
	}
	for n := range 256 {
		code := ReasonCode(n)
		if name, defined := names[code]; defined && code.String() != name {
			t.Errorf("ReasonCode(%#x).String() = %q, want %q", n, code, name)
		} else if !defined && !strings.HasPrefix(code.String(), "Reason Code 0x") {
			t.Errorf("ReasonCode(%#x).String() = %q, but it is not defined", n, code)
		}
		for packet := range PacketType(20) {
			if got, want := code.AllowedIn(packet), uses[use{code, packet}]; got != want {
				t.Errorf("%v (%#x) AllowedIn(%v) = %v, want %v", code, n, packet, got, want)
			}
		}
	}
	if got := ReasonCode(0xfe).String(); got != "Reason Code 0xfe" {
		t.Errorf("undefined code is called %q", got)
	}
}

func TestConnectReturnHasAnAnswerOnlyWhereOneFits(t *testing.T) {
	want := map[ReasonCode]ConnectReturnCode{
		Success:                    Accepted,
		UnsupportedProtocolVersion: RefusedVersion,
		ClientIdentifierNotValid:   RefusedIdentifier,
		ServerUnavailable:          RefusedUnavailable,
		ServerBusy:                 RefusedUnavailable,
		QuotaExceeded:              RefusedUnavailable,
		UseAnotherServer:           RefusedUnavailable,
		ServerMoved:                RefusedUnavailable,
		ConnectionRateExceeded:     RefusedUnavailable,
		BadUserNameOrPassword:      RefusedCredentials,
		NotAuthorized:              RefusedNotAuthorized,
		Banned:                     RefusedNotAuthorized,
	}
	for n := range 256 {
		code := ReasonCode(n)
		got, ok := code.ConnectReturn()
		expected, fits := want[code]
		if ok != fits || got != expected {
			t.Errorf("%v.ConnectReturn() = %v, %v; want %v, %v", code, got, ok, expected, fits)
		}
	}
}

func TestNamesAreThoseOfTheSpecification(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{V31.String(), "3.1"},
		{V311.String(), "3.1.1"},
		{V5.String(), "5.0"},
		{Version(9).String(), "level 9"},
		{TypePublish.String(), "PUBLISH"},
		{TypeAuth.String(), "AUTH"},
		{PacketType(0).String(), "Reserved"},
		{PacketType(16).String(), "packet type 16"},
		{RefusedIdentifier.String(), "identifier rejected"},
		{ConnectReturnCode(6).String(), "return code 6"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestErrorNamesThingStatementAndReason(t *testing.T) {
	var p Publish
	err := p.Parse(V5, 0x06, nil)
	if want := "publish: qos 3 [MQTT-3.3.1-4] (Malformed Packet)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if got, want := errTypeZero.Error(), "fixed header: packet type 0 (Malformed Packet)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
