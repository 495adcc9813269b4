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
		{text: "mqtts://", address: ":8883"},
		{text: "ssl://[::1]:1", address: "[::1]:1", loopback: true},
		{text: "ws://localhost/mqtt", address: "localhost:80", loopback: true},
		{text: "wss://:9001/", address: ":9001"},
		{text: "mqtt://localhost?proxy-protocol=required", address: "localhost:1883"},
		{text: "mqtt://:1?certfil=x", mistake: `unknown setting "certfil" of a listener: did you mean "certfile"?`},
		{text: "mqtt://:1?loops=2", mistake: "loops is a setting of the whole broker"},
		{text: "mqtt://:1?certfile=%zz", mistake: "is not a query"},
		{text: "mqtt://:1?require-certificate=maybe", mistake: `require-certificate: "maybe" is not one of false, optional, true`},
		{text: "ws://:1/a?websockets-headers-size=1GiB", mistake: "out of range"},
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
	for _, seed := range []string{"mqtt://127.0.0.1:1883", "tcp://[::1]", "mqtt://:0", "mqtt://a%20b:1", "ws://", "mqtt://\n",
		"wss://:1/a?certfile=a&certfile=b&keyfile=%41&identity=cn", "unix:///a?socket-mode=0660", "mqtt://:1?proxy-trusted=::/0&proxy-trusted=none"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseListener(text)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %q", text, err)
		}
		if err == nil && l.Loopback() && l.Scheme != Unix && l.Host == "" {
			t.Errorf("%q: every interface counts as loopback", text)
		}
	})
}
