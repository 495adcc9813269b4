package config

import (
	"cmp"
	"strings"
	"testing"
)

func TestParseListener(t *testing.T) {
	for _, test := range []struct {
		text     string
		address  string
		loopback bool
		mistake  string
	}{
		{text: "mqtt://127.0.0.1:1884", address: "127.0.0.1:1884", loopback: true},
		{text: "mqtt://127.9.9.9", address: "127.9.9.9:1883", loopback: true},
		{text: "tcp://LocalHost:1", address: "LocalHost:1", loopback: true},
		{text: "mqtt://[::1]:1883/", address: "[::1]:1883", loopback: true},
		{text: "mqtt://[::ffff:127.0.0.1]:1", address: "[::ffff:127.0.0.1]:1", loopback: true},
		{text: "mqtt://:1883", address: ":1883"},
		{text: "mqtt://", address: ":1883"},
		{text: "mqtt://0.0.0.0:1883", address: "0.0.0.0:1883"},
		{text: "mqtt://[::]:1883", address: "[::]:1883"},
		{text: "mqtt://broker.example:1883", address: "broker.example:1883"},
		{text: "unix:///run/gannet.sock", address: "/run/gannet.sock", loopback: true},
		{text: "unix://run/gannet.sock", mistake: "no plain absolute path"},
		{text: "127.0.0.1:1883", mistake: "has no scheme"},
		{text: "mqtts://:8883", mistake: "scheme not yet served"},
		{text: "http://:80", mistake: "unknown scheme"},
		{text: "mqtt://:99999", mistake: "port is not in"},
		{text: "mqtt://host:port", mistake: "is not a listener"},
		{text: "mqtt://::1:1883", mistake: "IPv6 address needs brackets"},
		{text: "mqtt://user@host:1", mistake: "more than a host and a port"},
		{text: "mqtt://host:1/topic", mistake: "more than a host and a port"},
	} {
		l, err := ParseListener(test.text)
		switch {
		case test.mistake != "":
			if err == nil || !strings.Contains(err.Error(), test.mistake) {
				t.Errorf("%s: got %v, want an error with %q", test.text, err, test.mistake)
			}
		case err != nil:
			t.Errorf("%s: %v", test.text, err)
		case cmp.Or(l.Socket, l.Address()) != test.address || l.Loopback() != test.loopback:
			t.Errorf("%s: got %s, loopback %v", test.text, l.Address(), l.Loopback())
		}
	}
}

func FuzzParseListenerMistakesTakeOneLine(f *testing.F) {
	for _, seed := range []string{"mqtt://127.0.0.1:1883", "tcp://[::1]", "mqtt://:0", "mqtt://a%20b:1", "ws://", "mqtt://\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseListener(text)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %q", text, err)
		}
		if err == nil && l.Loopback() && (Listener{Port: l.Port}) == l {
			t.Errorf("%q: every interface counts as loopback", text)
		}
	})
}
