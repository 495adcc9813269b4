package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
)

func TestServeListensUntilItsContextEnds(t *testing.T) {
	keepProcessSettings(t)
	broker := start(t, "--listen=mqtt://127.0.0.1:0", "--log-format=json", "--in-memory", "--loops=1")
	var line struct{ Listener, Address string }
	if err := json.Unmarshal([]byte(broker.until(`"listening"`)), &line); err != nil {
		t.Fatal(err)
	}
	if line.Listener != "mqtt://127.0.0.1:0" {
		t.Errorf("listener %s", line.Listener)
	}
	host, port, err := net.SplitHostPort(line.Address)
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, "", "pub", "-h", host, "-p", port, "-t", "t", "-m", "x", "-q", "1"); got != (result{}) {
		t.Errorf("pub: %+v", got)
	}
	broker.cancel()
	broker.until("broker stopped")
	if status := broker.wait(); status != 0 {
		t.Errorf("status %d", status)
	}
}

// keepProcessSettings restores what serve sets for the whole process.
func keepProcessSettings(t *testing.T) {
	percent := debug.SetGCPercent(100)
	debug.SetGCPercent(percent)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
}

func TestServeNamesTheAddressThatIsTaken(t *testing.T) {
	keepProcessSettings(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := run(t, "", "serve", "--in-memory", "--listen=mqtt://"+l.Addr().String())
	if got.status != 1 || !strings.Contains(got.stderr, "address already in use") || !strings.Contains(got.stderr, l.Addr().String()) {
		t.Errorf("got %+v", got)
	}
}

func TestServeRefusesAConfigurationThatIsNotSound(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("rajan:password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--lopps=1"}, `gannet: flag --lopps: unknown flag: did you mean "--loops"?`},
		{[]string{"serve", "--listen", "mqtt://:1883"}, "gannet: listen: mqtt://:1883 can be reached from other machines"},
		{[]string{"--check-config", "--scram-users", users}, "gannet: scram-users: " + users + ":1: "},
		{[]string{"--scram-users", users + ".none"}, "gannet: scram-users: "},
		{[]string{"frob"}, `gannet: unknown command "frob"`},
	} {
		got := run(t, "", test.args...)
		if got.status != 2 || got.stdout != "" || !strings.HasPrefix(got.stderr, test.want) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%v: %+v", test.args, got)
		}
	}
	if got := run(t, "", "--check-config"); got.status != 0 || !strings.HasPrefix(got.stdout, "# gannet: the configuration is sound\n") || got.stderr != "" {
		t.Errorf("--check-config: %+v", got)
	}
}

func TestHelpAndVersionGoToTheStandardOutput(t *testing.T) {
	for _, arguments := range [][]string{{"help"}, {"--help"}, {"help", "serve"}, {"help", "pub"}, {"sub", "--help"}, {"version"}, {"--version"}} {
		got := run(t, "", arguments...)
		if got.status != 0 || got.stderr != "" || !strings.HasPrefix(got.stdout, "gannet ") {
			t.Errorf("%v: %+v", arguments, got)
		}
	}
}

func TestBuildIsDescribedByVersionOrRevision(t *testing.T) {
	for want, build := range map[string]debug.BuildInfo{
		"v1.2.3":                     {Main: debug.Module{Version: "v1.2.3"}},
		"devel 0123456789ab+changes": {Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}},
		"devel without revision":     {},
	} {
		if got := describeBuild(&build); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestEverySettingReachesTheEngine(t *testing.T) {
	other := map[string]string{
		"max-connections": "9", "max-accept-rate": "9", "connect-timeout": "9s",
		"max-keep-alive": "9s", "max-connect-size": "9KiB", "max-packet-size": "9MiB", "max-topic-length": "99", "max-topic-levels": "9",
		"max-qos": "1", "retain-available": "false", "receive-maximum": "9", "topic-alias-maximum": "9", "topic-alias-maximum-out": "9",
		"max-sessions": "9", "max-session-expiry": "9s", "max-subscriptions": "9", "max-inflight": "9", "shared-strategy": "hash-topic",
		"max-queued-messages": "9", "max-queued-bytes": "9", "max-group-queued-messages": "9", "max-group-queued-bytes": "9",
		"queue-window": "9", "queue-window-bytes": "9KiB", "queue-qos0": "true", "max-outbound-bytes": "9KiB", "max-retained-messages": "9", "max-retained-bytes": "9", "loops": "9", "shutdown-timeout": "9s",
		"max-loop-lag": "9s", "max-payload": "9KiB", "max-handshakes": "9", "handshake-timeout": "9s", "max-message-rate": "9", "max-byte-rate": "9",
		"connection-messages": "true",
	}
	outside := []string{ // used by serve itself
		"scram-users", "data-dir", "durability", "in-memory", "max-store-bytes", "max-pending-bytes", "store-memtable", "store-cache",
		"log-format", "log-level", "log-dest", "log-facility", "log-timestamp", "log-timestamp-format", "gogc", "memory-limit", "user", "pid-file",
	}
	around := []string{ // what serve builds around the engine: listeners, judges, the guard (admission_test.go), the publisher of $SYS
		"listen", "allow-anonymous", "allow-zero-length-clientid", "auto-id-prefix", "password-file", "acl-", "auth-order", "jwt-", "http-",
		"connect-", "max-login-failures", "max-address-failures", "failure-half-life", "first-ban", "max-ban",
		"ban-", "flap-", "guard-", "clientid-prefix", "sys-interval", "http-listen", "http-dir",
	}
	load := func(args ...string) config.Config {
		c, err := config.Load(config.Source{Args: append([]string{"--scram-users=users"}, args...)})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	defaults := load()
	for _, name := range config.Names() {
		value, mapped := other[name]
		if !mapped {
			if !slices.Contains(outside, name) && !slices.ContainsFunc(around, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
				t.Errorf("%s: neither mapped nor outside", name)
			}
			continue
		}
		c := load("--" + name + "=" + value)
		if reflect.DeepEqual(engineOptions(&c), engineOptions(&defaults)) {
			t.Errorf("%s=%s changes nothing in the engine", name, value)
		}
	}
}

func TestEverySettingOfTheStoreReachesIt(t *testing.T) {
	defaults := config.Default()
	for name, value := range map[string]string{
		"durability": "os", "max-store-bytes": "9GiB", "max-pending-bytes": "9MiB", "store-memtable": "9MiB", "store-cache": "9MiB", "max-inflight": "9",
	} {
		c, err := config.Load(config.Source{Args: []string{"--" + name + "=" + value}})
		if err != nil {
			t.Fatal(err)
		}
		if reflect.DeepEqual(storeOptions(&c, nil), storeOptions(&defaults, nil)) {
			t.Errorf("%s=%s changes nothing in the store", name, value)
		}
	}
}

func TestContextEndsWithTheFirstSignal(t *testing.T) {
	ctx, stop := untilSignal(context.Background())
	stop()
	if ctx.Err() == nil {
		t.Error("stop does not end the context")
	}
	ctx, stop = untilSignal(context.Background())
	defer stop()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
}
