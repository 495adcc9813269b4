package config

import (
	"errors"
	"io/fs"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// files stands in for the file system.
type files map[string]string

func (f files) read(name string) ([]byte, error) {
	content, ok := f[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(content), nil
}

func load(args, environ []string, file string) (Config, error) {
	return Load(Source{Args: args, Environ: environ, ReadFile: files{"gannet.conf": file}.read})
}

func TestNothingSetGivesTheDefaults(t *testing.T) {
	c, err := load(nil, []string{"HOME=/root", "GANNET_LOOPS="}, "")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, Default()) {
		t.Errorf("got %+v\nwant %+v", c, Default())
	}
}

func TestFlagBeatsEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	const file = "# a comment\nloops = 2\ngogc=150 # trailing\nmax-sessions = 20\n"
	environ := []string{"GANNET_LOOPS=3", "GANNET_GOGC=200", "GANNET_CONFIG=gannet.conf"}
	c, err := load([]string{"--loops", "4"}, environ, file)
	if err != nil {
		t.Fatal(err)
	}
	if c.Loops != 4 || c.GOGC != 200 || c.MaxSessions != 20 || c.MaxInflight != Default().MaxInflight {
		t.Errorf("loops %d, gogc %d, max-sessions %d, max-inflight %d", c.Loops, c.GOGC, c.MaxSessions, c.MaxInflight)
	}
}

func TestStrongerSourceReplacesEveryListener(t *testing.T) {
	const file = "listen = mqtt://127.0.0.1:1\nlisten = mqtt://127.0.0.1:2\n"
	for _, test := range []struct {
		name    string
		args    []string
		environ []string
		want    []string
	}{
		{"file", nil, nil, []string{"mqtt://127.0.0.1:1", "mqtt://127.0.0.1:2"}},
		{"environment", nil, []string{"GANNET_LISTEN=mqtt://[::1]:3,tcp://localhost:4"}, []string{"mqtt://[::1]:3", "mqtt://localhost:4"}},
		{"flags", []string{"--listen=mqtt://127.0.0.1", "--listen", "mqtt://127.0.0.1:0"}, []string{"GANNET_LISTEN=mqtt://[::1]:3"},
			[]string{"mqtt://127.0.0.1:1883", "mqtt://127.0.0.1:0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := load(append([]string{"--config=gannet.conf"}, test.args...), test.environ, file)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range c.Listen {
				got = append(got, l.String())
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestEverySettingIsReadFromEverySource(t *testing.T) {
	values := map[string]string{
		"listen": "mqtt://localhost:1884", "allow-anonymous": "true", "scram-users": "users", "data-dir": "/data", "in-memory": "true",
		"durability": "os", "max-store-bytes": "1GiB", "max-pending-bytes": "2MiB", "store-memtable": "8MiB", "store-cache": "4MiB",
		"queue-window": "20", "queue-window-bytes": "21KiB",
		"max-connections": "10", "max-accept-rate": "11", "connect-timeout": "3s", "max-keep-alive": "1h", "max-connect-size": "2KiB",
		"max-packet-size": "1MiB", "max-topic-length": "100", "max-topic-levels": "9", "max-qos": "1", "retain-available": "false",
		"receive-maximum": "7", "topic-alias-maximum": "5", "topic-alias-maximum-out": "6", "max-sessions": "99", "max-session-expiry": "7d",
		"max-subscriptions": "12", "max-inflight": "13", "shared-strategy": "sticky", "max-queued-messages": "14", "max-queued-bytes": "15",
		"max-group-queued-messages": "16", "max-group-queued-bytes": "17KiB", "queue-qos0": "true", "max-outbound-bytes": "32KiB",
		"max-retained-messages": "18", "max-retained-bytes": "19", "log-format": "json", "acl-strict": "false", "log-level": "debug", "loops": "3",
		"shutdown-timeout": "1m", "gogc": "100", "memory-limit": "1GiB",
		"allow-zero-length-clientid": "false", "auto-id-prefix": "x-", "password-file": "pw", "acl-file": "acl", "auth-order": "http",
		"jwt-secret-file": "f", "jwt-secret": "s", "jwt-secret-base64": "true", "jwt-key-file": "k", "jwt-jwks-file": "j",
		"jwt-jwks-url": "https://a/b", "jwt-jwks-refresh": "5m", "jwt-algorithms": "ES256,RS256", "jwt-from": "username", "jwt-issuer": "i",
		"jwt-audience": "a", "jwt-user-claim": "realm.user", "jwt-clientid-claim": "cid", "jwt-acl-claim": "acl", "jwt-require": "a=%u",
		"jwt-leeway": "1m", "jwt-require-expiry": "false", "jwt-disconnect": "false",
		"http-url": "http://localhost/", "http-acl-url": "http://localhost/acl", "http-method": "form", "http-header": "X-A:b",
		"http-cafile": "ca", "http-certfile": "c", "http-keyfile": "k", "http-allow-plain": "true", "http-connections": "2",
		"http-waiting": "3", "http-timeout": "4s", "http-allow-ttl": "6s", "http-deny-ttl": "7s", "http-on-failure": "ignore",
		"max-handshakes": "8", "handshake-timeout": "9s", "max-loop-lag": "0s", "max-payload": "1MiB",
		"connect-rate": "1", "connect-burst": "2", "max-login-failures": "3", "max-address-failures": "4", "failure-half-life": "5s",
		"first-ban": "6s", "max-ban": "7s", "ban-half-life": "8s", "flap-connects": "9", "flap-window": "10s", "flap-pause": "11s",
		"guard-exempt": "10.0.0.0/8", "guard-loopback": "true", "guard-tracked": "64", "ban-file": "bans", "max-message-rate": "12",
		"max-byte-rate": "13KiB", "clientid-prefix": "dev-", "sys-interval": "14s", "user": "nobody", "pid-file": "pid",
		"log-dest": "syslog", "log-facility": "local3", "log-timestamp": "false", "log-timestamp-format": "%H",
		"connection-messages": "true", "http-listen": "127.0.0.1:8080", "http-dir": "www",
	}
	with := map[string][]string{ // what a setting needs beside it
		"http-acl-url": {"--http-url=http://localhost/"}, "http-certfile": {"--http-keyfile=k"}, "http-keyfile": {"--http-certfile=c"},
		"auth-order": {"--http-url=http://localhost/"},
	}
	defaults := Default()
	for _, s := range settings() {
		value := values[s.name]
		if value == "" {
			t.Errorf("%s: this test has no value for it", s.name)
			continue
		}
		sources := map[string]func() (Config, error){
			"flag":        func() (Config, error) { return load(append(with[s.name], "--"+s.name+"="+value), nil, "") },
			"environment": func() (Config, error) { return load(with[s.name], []string{s.variable() + "=" + value}, "") },
			"file": func() (Config, error) {
				return load(append(with[s.name], "--config=gannet.conf"), nil, s.name+" = "+value)
			},
		}
		for source, read := range sources {
			c, err := read()
			if err != nil {
				t.Errorf("%s from %s: %v", s.name, source, err)
				continue
			}
			if got := s.value.show(&c); got != value {
				t.Errorf("%s from %s: got %s, want %s", s.name, source, got, value)
			}
			if s.value.show(&defaults) == value {
				t.Errorf("%s: the value of this test is the default", s.name)
			}
		}
	}
}

func TestSwitchWithoutValueIsTrue(t *testing.T) {
	c, err := load([]string{"--queue-qos0", "--in-memory=no", "--allow-anonymous", "--log-level", "warn"}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if !c.QueueQoS0 || c.InMemory || c.AllowAnonymous != Yes || c.LogLevel != slog.LevelWarn {
		t.Errorf("got %+v", c)
	}
}

func TestMistakesSayWhatWhereAndHow(t *testing.T) {
	for _, test := range []struct {
		name    string
		args    []string
		environ []string
		file    string
		want    string
	}{
		{"unknown flag", []string{"--listn", "x"}, nil, "",
			`flag --listn: unknown flag: did you mean "--listen"? (gannet --help lists them)`},
		{"value missing", []string{"--loops"}, nil, "",
			`flag --loops: value missing: write --loops=VALUE`},
		{"switch with a detached value", []string{"--queue-qos0", "false"}, nil, "",
			`argument "false": unexpected: write --queue-qos0=false`},
		{"port that is none", []string{"-p", "x"}, nil, "",
			`argument -p: "x" is not a whole number: write 1 to 65535`},
		{"background", []string{"-d"}, nil, "",
			`argument -d: gannet stays in the foreground: let a service manager such as systemd start it, or write gannet ... &`},
		{"unknown letter", []string{"-x"}, nil, "",
			`argument "-x": unexpected: flags begin with -- (gannet --help lists them)`},
		{"not a number", []string{"--loops", "many"}, nil, "",
			`flag --loops: "many" is not a whole number: write 0 to 256`},
		{"out of range", []string{"--max-qos=3"}, nil, "",
			`flag --max-qos: 3 is out of range: write 0 to 2`},
		{"not a size", nil, []string{"GANNET_MAX_PACKET_SIZE=12XB"}, "",
			`environment GANNET_MAX_PACKET_SIZE: "12XB" is not a size: write bytes, or a number with KiB, MiB or GiB`},
		{"unknown variable", nil, []string{"GANNET_LOPS=1"}, "",
			`environment GANNET_LOPS: unknown setting: did you mean "GANNET_LOOPS"?`},
		{"unknown key", nil, nil, "loops = 1\n\nmax-paket-size = 1\n",
			`gannet.conf:3: unknown setting "max-paket-size": did you mean "max-packet-size"?`},
		{"not key = value", nil, nil, "loops 1",
			`gannet.conf:1: "loops 1" is not a setting: write key = value`},
		{"key twice", nil, nil, "loops = 1\nloops = 2",
			`gannet.conf:2: loops is already set at line 1: remove one`},
		{"bad duration", nil, nil, "connect-timeout = 10",
			`gannet.conf:1: connect-timeout: "10" is not a duration: write a number with ms, s, m, h, d or w`},
		{"duration out of range", []string{"--connect-timeout=2h"}, nil, "",
			`flag --connect-timeout: 2h is out of range: write 100ms to 1h`},
		{"fraction of a second", []string{"--max-keep-alive=1500ms"}, nil, "",
			`flag --max-keep-alive: 1500ms is finer than a second: write whole seconds`},
		{"bad word", []string{"--shared-strategy=stiky"}, nil, "",
			`flag --shared-strategy: "stiky" is not one of round-robin, random, sticky, hash-client, hash-topic: did you mean "sticky"?`},
		{"no file", []string{"--config", "none.conf"}, nil, "",
			`flag --config: open none.conf: file does not exist`},
		{"scheme", []string{"--listen", "http://:443"}, nil, "",
			`flag --listen: "http://:443": unknown scheme: write mqtt://HOST:PORT, or mqtts, ws, wss or unix`},
		{"no certificate", []string{"--listen", "wss://:443"}, nil, "",
			`listen: wss://:443: it needs a certificate: add certfile=FILE and keyfile=FILE`},
		{"setting of a listener without one", nil, nil, "certfile = a",
			`gannet.conf:1: certfile is a setting of a listener: write it below a line such as [listener mqtt://:1883]`},
		{"setting of the broker in a block", nil, nil, "[listener mqtt://:1]\nloops = 2",
			`gannet.conf:2: loops is a setting of the whole broker: it has its place before the listeners`},
		{"unknown block", nil, nil, "[lisener mqtt://:1]",
			`gannet.conf:1: "[lisener mqtt://:1]" begins no block: write [listener mqtt://HOST:PORT]`},
		{"key twice in a block", nil, nil, "[listener mqtt://:1]\nname = a\nname = b",
			`gannet.conf:3: name is already set at line 2: remove one`},
		{"bad access of a listener", nil, nil, "[listener mqtt://:1]\nauth-order = jwt,jwt",
			`gannet.conf:2: auth-order: "jwt" is there twice`},
		{"two formats", nil, nil, "loops = 1\nlistener 1883\n",
			`gannet.conf: line 2 is in the format of mosquitto.conf (key value) and line 1 in Gannet's own (key = value): ` +
				`use one of them for all lines; gannet convert FILE turns the first into the second`},
		{"same listener twice", []string{"--listen=mqtt://:1", "--listen=mqtt://:1"}, nil, "",
			`flag --listen: mqtt://:1 is listed twice: remove one`},
		{"durable in memory", []string{"--in-memory", "--durability=sync"}, nil, "",
			`flag --durability: sync contradicts flag --in-memory = true: remove one of the two`},
		{"not durable and not in memory", []string{"--durability=off"}, nil, "in-memory = false",
			`flag --durability: off contradicts gannet.conf:1: in-memory = false: remove one of the two`},
		{"unknown durability", []string{"--durability=fsync"}, nil, "",
			`flag --durability: "fsync" is not one of sync, os, off: did you mean "sync"?`},
		{"open to the network by accident", []string{"--listen=mqtt://:1883"}, nil, "",
			`listen: mqtt://:1883 can be reached from other machines and nobody would have to authenticate: ` +
				`name users with --password-file FILE or --scram-users FILE, or write --allow-anonymous to let everybody in`},
		{"nobody could connect", []string{"--allow-anonymous=false"}, nil, "",
			`listen: mqtt://127.0.0.1:1883 could admit nobody: allow-anonymous is false and there are no users: name them with --password-file FILE or --scram-users FILE`},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := test.args
			if test.file != "" {
				args = append(args, "--config=gannet.conf")
			}
			_, err := load(args, test.environ, test.file)
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestVariablesOfAnOrchestratorAreNotOurs(t *testing.T) {
	environ := []string{"GANNET_SERVICE_HOST=10.0.0.1", "GANNET_PORT=tcp://10.0.0.1:1883", "GANNET_PORT_1883_TCP_ADDR=10.0.0.1",
		"GANNET_SERVICE_PORT_MQTT=1883", "GANNET_MQTT_SERVICE_HOST=10.0.0.1"}
	if _, err := load(nil, environ, ""); err != nil {
		t.Error(err)
	}
}

func TestHelpAndCheckAreReported(t *testing.T) {
	if _, err := load([]string{"--loops=1", "--help"}, nil, ""); !errors.Is(err, ErrHelp) {
		t.Errorf("--help: %v", err)
	}
	c, err := load([]string{"--check-config", "--loops=3"}, nil, "")
	if !errors.Is(err, ErrChecked) || c.Loops != 3 {
		t.Errorf("--check-config: %d, %v", c.Loops, err)
	}
}

func TestInMemoryIsDurabilityOff(t *testing.T) {
	for _, args := range [][]string{{"--in-memory"}, {"--durability=off"}, {"--durability", "off", "--in-memory"}} {
		c, err := load(args, nil, "")
		if err != nil || c.Durability != Off || !c.InMemory {
			t.Errorf("%v: durability %v, in-memory %t, %v", args, c.Durability, c.InMemory, err)
		}
	}
	c, err := load([]string{"--in-memory=false", "--durability=os"}, nil, "")
	if err != nil || c.Durability != OS || c.InMemory {
		t.Errorf("os: durability %v, in-memory %t, %v", c.Durability, c.InMemory, err)
	}
}

func TestHashInsideQuotesOrWordIsNoComment(t *testing.T) {
	c, err := load([]string{"--config=gannet.conf"}, nil, "data-dir = \"/a #b\" # why\nscram-users = users#1\n")
	if err != nil {
		t.Fatal(err)
	}
	if c.DataDir != "/a #b" || c.ScramUsers != "users#1" {
		t.Errorf("data-dir %q, scram-users %q", c.DataDir, c.ScramUsers)
	}
}

func TestConnectSizeIsLoweredToPacketSize(t *testing.T) {
	c, err := load([]string{"--max-packet-size=8KiB"}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if c.MaxConnectSize != 8<<10 {
		t.Errorf("max-connect-size is %d", c.MaxConnectSize)
	}
}

func TestAnonymousDependsOnListenerChoiceAndUsers(t *testing.T) {
	local, open := Listener{Host: "::1", Port: 1}, Listener{Port: 1}
	for _, test := range []struct {
		choice      Choice
		users       string
		local, open bool
	}{
		{Unset, "", true, false},
		{Unset, "users", false, false},
		{Yes, "users", true, true},
		{No, "users", false, false},
	} {
		c := Config{Access: Access{AllowAnonymous: test.choice, ScramUsers: test.users}}
		if c.Anonymous(local) != test.local || c.Anonymous(open) != test.open {
			t.Errorf("%v with users %q: loopback %v, open %v", test.choice, test.users, c.Anonymous(local), c.Anonymous(open))
		}
	}
}

func TestHelpNamesEverySettingAndItsDefault(t *testing.T) {
	var b strings.Builder
	if err := WriteHelp(&b); err != nil {
		t.Fatal(err)
	}
	defaults := Default()
	for _, s := range settings() {
		_, paragraph, found := strings.Cut(b.String(), "  --"+s.name)
		if !found {
			t.Errorf("%s is not in the help", s.name)
			continue
		}
		first, _, _ := strings.Cut(paragraph, "\n")
		if shown := s.value.show(&defaults); !strings.Contains(first, "["+shown+"]") && shown != "" {
			t.Errorf("%s: the help says %q, not the default %s", s.name, first, shown)
		}
	}
	for line := range strings.Lines(b.String()) {
		if len(line) > 100 {
			t.Errorf("line of %d bytes: %s", len(line), line)
		}
	}
}

func TestSessionExpiryOfZeroDaysAndNever(t *testing.T) {
	for text, want := range map[string]uint32{"0": 0, "90": 90, "1d": uint32(24 * time.Hour / time.Second), "never": Never} {
		c, err := load([]string{"--max-session-expiry=" + text}, nil, "")
		if err != nil || c.MaxSessionExpiry != want {
			t.Errorf("%s: %d, %v", text, c.MaxSessionExpiry, err)
		}
	}
}
