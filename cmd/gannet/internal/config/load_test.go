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
		"max-retained-messages": "18", "max-retained-bytes": "19", "log-format": "json", "sys-interval": "30s", "log-level": "debug", "loops": "3",
		"shutdown-timeout": "1m", "gogc": "100", "memory-limit": "1GiB",
	}
	defaults := Default()
	for _, s := range settings() {
		value := values[s.name]
		if value == "" {
			t.Errorf("%s: this test has no value for it", s.name)
			continue
		}
		sources := map[string]func() (Config, error){
			"flag":        func() (Config, error) { return load([]string{"--" + s.name + "=" + value}, nil, "") },
			"environment": func() (Config, error) { return load(nil, []string{s.variable() + "=" + value}, "") },
			"file":        func() (Config, error) { return load([]string{"--config=gannet.conf"}, nil, s.name+" = "+value) },
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
		{"flag of another broker", []string{"-p", "1884"}, nil, "",
			`argument -p: unknown flag: write --listen mqtt://127.0.0.1:PORT`},
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
		{"scheme", []string{"--listen", "wss://:443"}, nil, "",
			`flag --listen: scheme not yet served: wss://: write mqtt://HOST:PORT`},
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
				`name users with --scram-users FILE, or write --allow-anonymous to let everybody in`},
		{"nobody could connect", []string{"--allow-anonymous=false"}, nil, "",
			`listen: mqtt://127.0.0.1:1883 could admit nobody: allow-anonymous is false and there are no users: name them with --scram-users FILE`},
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
		c := Config{AllowAnonymous: test.choice, ScramUsers: test.users}
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
