package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// runMain runs gannet bench run and returns what it has found out.
func runMain(t *testing.T, args ...string) (status int, x runResult, stdout, stderr string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "result.json")
	var out, complaints bytes.Buffer
	status = Main(append(append([]string{"run"}, args...), "--json", file), &out, &complaints)
	text, err := os.ReadFile(file)
	if err == nil && len(text) > 0 {
		if err := json.Unmarshal(text, &x); err != nil {
			t.Fatal(err)
		}
	}
	return status, x, out.String(), complaints.String()
}

// smallRun returns the arguments of a scenario that is over soon, with those sizes of small
// that it has, and how many clients these are.
func smallRun(e runEntry, small map[string]int) (args []string, clients uint64) {
	args = []string{e.name, "--seconds", "0.05", "--warm", "0.01", "--patience", "30"}
	for name, n := range map[string]int{
		"connections": e.sizes.connections, "publishers": e.sizes.publishers, "subscribers": e.sizes.subscribers, "messages": e.sizes.messages,
	} {
		if n == 0 {
			continue
		}
		args = append(args, "--"+name, strconv.Itoa(small[name]))
		if name != "messages" {
			clients += uint64(small[name])
		}
	}
	if e.sizes.rate > 0 {
		args = append(args, "--rate", "2000")
	}
	if e.connectRate > 0 {
		args = append(args, "--connect-rate", "10000")
	}
	return args, clients
}

// runMeasured is runMain that passes and has measured the broker, which is in this process.
func runMeasured(t *testing.T, args []string) runResult {
	t.Helper()
	status, x, stdout, stderr := runMain(t, args...)
	if status != statusOK || len(x.Faults) > 0 || x.Error != "" || len(x.Phases) == 0 {
		t.Fatalf("status %d\n%s%s", status, stdout, stderr)
	}
	if last := x.Phases[len(x.Phases)-1]; x.PID != os.Getpid() || last.Broker == nil || last.Broker.RSS == 0 {
		t.Errorf("the broker's process was not measured: %+v", last)
	}
	return x
}

func TestRunCatchesEveryHundredthFault(t *testing.T) {
	var held []byte
	for _, tt := range []struct {
		name   string
		tamper func(n int, deliver func([]byte), payload []byte)
		fault  string // none: ""
	}{
		{"honest", honest, ""},
		{"drops", func(n int, deliver func([]byte), payload []byte) {
			if n%100 != 49 {
				deliver(payload)
			}
		}, "lost"},
		{"doubles", func(n int, deliver func([]byte), payload []byte) {
			if n%100 == 49 {
				deliver(payload)
			}
			deliver(payload)
		}, "duplicate"},
		{"reorders", func(n int, deliver func([]byte), payload []byte) {
			if n%100 == 49 {
				held = slices.Clone(payload)
				return
			}
			deliver(payload)
			if held != nil {
				deliver(held)
				held = nil
			}
		}, "reordered"},
		{"changes", func(n int, deliver func([]byte), payload []byte) {
			if n%100 == 49 {
				payload = append(slices.Clone(payload), '!')
			}
			deliver(payload)
		}, "stray"},
	} {
		for _, loop := range []string{"closed", "open"} {
			t.Run(tt.name+" "+loop, func(t *testing.T) {
				held = nil
				var count int
				addr := startFake(t, func(n int, deliver func([]byte), payload []byte) {
					count = n + 1
					tt.tamper(n, deliver, payload)
				})
				args := []string{"p2p", "--publishers", "1", "--subscribers", "1", "--qos", "0", "--window", "1000", "--seconds", "0.1", "--warm", "0", addr.String()}
				if loop == "open" {
					args = append(args, "--rate", "5000")
				}
				switch tt.fault { // what is waited for
				case "lost", "stray":
					args = append(args, "--patience", "0.5")
				case "reordered": // nothing, unless the last message is one of those held
					args = append(args, "--patience", "5")
				default:
					args = append(args, "--patience", "30")
				}
				status, x, stdout, stderr := runMain(t, args...)
				if tt.fault == "" {
					if status != statusOK || len(x.Faults) != 0 || !strings.Contains(stdout, "Faults: none.") {
						t.Fatalf("status %d, %v\n%s%s", status, x.Faults, stdout, stderr)
					}
					return
				}
				if status != statusFault || x.Faults[tt.fault] == 0 || !strings.Contains(stderr, tt.fault) {
					t.Fatalf("status %d, %v\n%s%s", status, x.Faults, stdout, stderr)
				}
				if got, most := x.Faults[tt.fault], uint64(count+50)/100; got != most && (tt.fault != "reordered" || got+1 != most) {
					t.Errorf("%d %s of %d messages, of which every hundredth was", got, tt.fault, count)
				}
			})
		}
	}
}

func TestEveryRunScenarioPassesWithGannet(t *testing.T) {
	running := startEngine(t)
	for _, e := range runCatalog() {
		if e.name == "reconnect" {
			continue // it has a test of its own
		}
		for _, version := range []string{"3.1.1", "5.0"} {
			t.Run(e.name+" "+version, func(t *testing.T) {
				small := map[string]int{"connections": 30, "publishers": 4, "subscribers": 6, "messages": 300}
				if strings.HasPrefix(e.name, "p2p") || e.name == "deep" || e.name == "big" {
					small["subscribers"] = 4 // one for each publisher
				}
				args, _ := smallRun(e, small)
				x := runMeasured(t, append(args, "--mqtt", version, running.addr.String()))
				if done := slices.MaxFunc(x.Phases, func(a, b phaseResult) int { return int(a.Done) - int(b.Done) }); done.Done == 0 {
					t.Error("nothing was done")
				}
			})
		}
	}
}

func TestInterruptedRunHasAResult(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	addr := startFake(t, func(n int, deliver func([]byte), payload []byte) {
		if n == 100 {
			cancel()
		}
		deliver(payload)
	})
	file := filepath.Join(t.TempDir(), "seconds.csv")
	o, err := runOptionsOf([]string{"p2p", "--qos", "0", "--seconds", "3600", "--warm", "0", "--csv", file, addr.String()}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	if err := runBroker(ctx, o, &stdout, io.Discard); err != nil {
		t.Fatalf("%v\n%s", err, &stdout)
	}
	if !strings.Contains(stdout.String(), "Interrupted") || !strings.Contains(stdout.String(), "| load |") {
		t.Errorf("%s", &stdout)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), "phase,at_s,done,rate_per_s,sent_per_s,p50_us") {
		t.Errorf("%v: %s", err, text)
	}
}

// trigger is a writer that does something when a text is written to it.
type trigger struct {
	text string
	do   func()
}

func (w *trigger) Write(b []byte) (int, error) {
	if strings.Contains(string(b), w.text) {
		w.do()
	}
	return len(b), nil
}

func TestReconnectWaitsUntilAllAreBack(t *testing.T) {
	f := newFake(t, honest, func(c net.Conn) (net.Conn, error) { return c, nil })
	var stdout bytes.Buffer
	status := Main([]string{"run", "reconnect", "--connections", "50", f.listener.Addr().String()}, &stdout,
		&trigger{"Restart the broker now", f.hangUp})
	if status != statusOK || !strings.Contains(stdout.String(), "to the last one back") || !strings.Contains(stdout.String(), "connection | 50 |") {
		t.Errorf("status %d\n%s", status, &stdout)
	}
}

func TestRestartCommandThatFailsIsAFailure(t *testing.T) {
	f := newFake(t, honest, func(c net.Conn) (net.Conn, error) { return c, nil })
	o, err := runOptionsOf([]string{"reconnect", "--connections", "2", "--restart", "exit 3", f.listener.Addr().String()}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	r := newRunner(o, io.Discard)
	ended, err := r.restart()
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("%v", err)
	}
}

func TestRunOverEveryTransport(t *testing.T) {
	c := testCertificate(t)
	dir := t.TempDir()
	if err := c.write(dir); err != nil {
		t.Fatal(err)
	}
	certificate, key := filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	mutual := c.server()
	mutual.ClientAuth = tls.RequireAnyClientCert
	web := func(config *tls.Config) func(net.Conn) (net.Conn, error) {
		return func(c net.Conn) (net.Conn, error) { return upgrade(tls.Server(c, config)) }
	}
	for _, tt := range []struct {
		name, scheme string
		over         func(net.Conn) (net.Conn, error)
		args         []string
		want         string // in the complaint; empty: it works
	}{
		{"TLS", "mqtts", overTLS(c.server()), []string{"--cafile", certificate}, ""},
		{"TLS of a stranger", "mqtts", overTLS(testCertificate(t).server()), []string{"--cafile", certificate}, "certificate"},
		{"TLS of a stranger, trusted", "mqtts", overTLS(testCertificate(t).server()), []string{"--insecure"}, ""},
		{"mutual TLS", "mqtts", overTLS(mutual), []string{"--insecure", "--cert", certificate, "--key", key}, ""},
		{"WebSocket", "ws", upgrade, nil, ""},
		{"WebSocket in TLS", "wss", web(c.server()), []string{"--cafile", certificate}, ""},
		{"WebSocket in TLS in bytes", "wss", slowly(web(c.server())), []string{"--cafile", certificate}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := startFakeOver(t, honest, tt.over)
			args := append([]string{"p2p", "--qos", "0", "--publishers", "2", "--subscribers", "2", "--seconds", "0.05", "--warm", "0", "--patience", "30",
				fmt.Sprintf("%s://localhost:%d", tt.scheme, addr.Port())}, tt.args...)
			status, x, stdout, stderr := runMain(t, args...)
			if tt.want != "" {
				if status != statusFault || !strings.Contains(stderr, tt.want) {
					t.Errorf("status %d, %s", status, stderr)
				}
				return
			}
			if status != statusOK || x.Phases[1].Done == 0 {
				t.Errorf("status %d\n%s%s", status, stdout, stderr)
			}
		})
	}
}

func TestClientsComeFromTheAddressesGiven(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	addr := startFakeOver(t, honest, func(c net.Conn) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		seen[c.RemoteAddr().(*net.TCPAddr).IP.String()]++
		return c, nil
	})
	status, _, stdout, stderr := runMain(t, "ramp", "--connections", "10", "--seconds", "0.01", "--source", "127.0.0.2, 127.0.0.3", addr.String())
	if status != statusOK {
		t.Fatalf("status %d\n%s%s", status, stdout, stderr)
	}
	mu.Lock()
	defer mu.Unlock()
	if seen["127.0.0.2"] != 5 || seen["127.0.0.3"] != 5 {
		t.Errorf("connections from %v", seen)
	}
}

func TestSourceAddresses(t *testing.T) {
	local := netip.MustParseAddr("127.0.0.1")
	for list, want := range map[string]string{
		"127.0.0.9":              "[127.0.0.9]",
		"127.0.0.9,127.0.0.8/30": "[127.0.0.9 127.0.0.9 127.0.0.10]",
	} {
		if got, err := sourceAddresses(list, local); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
	for _, list := range []string{"", "127.0.0.0/8"} {
		if all, err := sourceAddresses(list, local); err != nil || len(all) != sourcesMax || all[0] != local {
			t.Errorf("%q: %d addresses, %v", list, len(all), err)
		}
	}
	for _, to := range []string{"::1", "192.0.2.1"} {
		if all, err := sourceAddresses("", netip.MustParseAddr(to)); err != nil || all != nil {
			t.Errorf("to %s: %v, %v", to, all, err)
		}
	}
	for _, list := range []string{"localhost", "::1", "127.0.0.1/33", "127.0.0.1/32"} {
		if got, err := sourceAddresses(list, local); err == nil {
			t.Errorf("%q became %v", list, got)
		}
	}
}

func TestClientsPresentThemselves(t *testing.T) {
	l := &loop{target: target{how: &access{version: codec.V5, prefix: "x-", user: "u{n}", password: "secret{n}"}}, version: codec.V5}
	c := &client{id: "c", token: 7, durable: true, keepAlive: 9, will: &will{topic: "gone", payload: "bye", qos: codec.QoS1, retain: true}}
	var p codec.Connect
	for range 2 { // nothing is left from the first
		f, _, err := codec.Next(c.connect(l).Append(nil, l.version), 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Parse(f.Flags, f.Body); err != nil {
			t.Fatal(err)
		}
	}
	if string(p.ClientID) != "x-c" || string(p.UserName) != "u7" || string(p.Password) != "secret7" || p.CleanStart || p.KeepAlive != 9 ||
		p.Properties.SessionExpiryInterval != expiryDurable || string(p.WillTopic) != "gone" || string(p.WillPayload) != "bye" || !p.WillRetain {
		t.Errorf("%+v", p)
	}
	l.target.how, l.version = nil, codec.V311
	f, _, err := codec.Next((&client{id: "d"}).connect(l).Append(nil, l.version), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Parse(f.Flags, f.Body); err != nil {
		t.Fatal(err)
	}
	if string(p.ClientID) != "d" || p.HasUserName || p.HasPassword || p.HasWill || !p.CleanStart || p.KeepAlive != 0 || p.Version != codec.V311 {
		t.Errorf("%+v", p)
	}
}

func TestListenerIsFoundByItsPort(t *testing.T) {
	addr := startFake(t, honest)
	if pid := listenerOf(addr, 0); pid != os.Getpid() {
		t.Errorf("process %d, want %d", pid, os.Getpid())
	}
	if pid := listenerOf(netip.AddrPortFrom(addr.Addr(), 0), 0); pid != 0 {
		t.Errorf("process %d listens on port 0", pid)
	}
	u, err := processSpending(os.Getpid())
	if err != nil || u.rss == 0 || u.switches == 0 {
		t.Errorf("%+v, %v", u, err)
	}
	if n := processDescriptors(os.Getpid()); n < 100 {
		t.Errorf("%d descriptors", n)
	}
}

func TestScenarioFile(t *testing.T) {
	const text = `about: meters and their readers
groups:
  - name: meter
    count: 10
    keepalive: 60
    will: {topic: "{prefix}/gone/{n}", payload: off, qos: 1}
    publish: {topic: "{prefix}/meter/{n}", qos: 1, size: 32, rate: 50, arrivals: poisson}
  - name: reader
    count: 2
    subscribe: ["$share/r/{prefix}/meter/+"]
    qos: 1
  - name: display
    count: 10
    clean: false
    subscribe: ["{prefix}/meter/{n}"]
    qos: 1
phases:
  - {name: warm, seconds: 0.01, warm: true}
  - {name: evening, seconds: 0.05}
  - {name: peak, seconds: 0.05, rate: 3}
`
	file := filepath.Join(t.TempDir(), "meters.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	running := startEngine(t)
	status, x, stdout, stderr := runMain(t, file, "--patience", "30", "--prefix", "x", running.addr.String())
	if status != statusOK {
		t.Fatalf("status %d\n%s%s", status, stdout, stderr)
	}
	display := func(i int) (id, filter string) { return fmt.Sprintf("x-display-%d", i), "t" }
	if _, err := park(t.Context(), running, 10, display, patient().patience, nil); err != nil {
		t.Errorf("the sessions of the run are not gone: %v", err)
	}
	var names []string
	for _, p := range x.Phases {
		names = append(names, p.Name)
	}
	if !slices.Equal(names, []string{"connect", "evening", "peak"}) || x.Scenario != "meters" || x.Phases[1].Offered != 500 || x.Phases[2].Offered != 1500 {
		t.Errorf("%s: phases %v, %v and %v messages due", x.Scenario, names, x.Phases[1].Offered, x.Phases[2].Offered)
	}
}

func TestErrorsOfScenarioFilesNameTheLine(t *testing.T) {
	const group = "groups:\n  - name: a\n    count: 1\n"
	const publish = group + "    publish:\n      topic: t\n      rate: 1\n"
	for _, tt := range []struct{ text, want string }{
		{group + "    speed: 3\n", "f.yaml:4: unknown field \"speed\""},
		{"groups:\n  - name: a\n    count: many\n", "f.yaml:3: "},
		{"groups:\n  - name: a\n    count: 0\n", "f.yaml:3: count: 0 is not"},
		{"groups:\n  - count: 1\n", "f.yaml:2: name: "},
		{group, "f.yaml:2: groups: nobody publishes"},
		{"about: x\n", "groups: there are none"},
		{group + "    subscribe: [\"a/#/b\"]\n", "f.yaml:4: subscribe: \"a/#/b\""},
		{group + "    subscribe: [\"a/{m}\"]\n", "f.yaml:4: subscribe: "},
		{publish + "      size: 15\n", "f.yaml:7: size: 15"},
		{publish + "      arrivals: bursts\n", "f.yaml:7: arrivals: \"bursts\""},
		{publish + "      window: 70000\n", "f.yaml:7: window: 70000"},
		{publish + "      qos: 3\n", "f.yaml:7: qos: 3"},
		{publish + "    will: {topic: \"a/+\"}\n", "f.yaml:7: will: \"a/+\""},
		{publish + "phases:\n  - {name: x, seconds: 0}\n", "f.yaml:8: seconds: phase \"x\""},
		{publish + "phases:\n  - {name: x, seconds: 1, rate: -1}\n", "f.yaml:8: rate: -1"},
		{"groups: [\n", "f.yaml:1: "},
	} {
		_, _, err := parseFleet("f.yaml", []byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.want)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: more than one line: %v", tt.text, err)
		}
	}
	if _, err := fileScenario(filepath.Join(t.TempDir(), "none.yaml")); err == nil {
		t.Error("no error for a file that is not there")
	}
}

func TestScenariosShrinkToTheLimitOfOpenFiles(t *testing.T) {
	o := &runOptions{target: target{how: &access{}}}
	r := newRunner(o, io.Discard)
	room := r.room()
	o.scenario.sizes.connections, o.sizes.connections = room+1000, room+1000
	if n, err := r.fitConnections(room + 1000); n != room || err != nil || len(r.result.Notes) != 1 {
		t.Errorf("%d connections, %v, notes %q", n, err, r.result.Notes)
	}
	o.sizes.connections--
	if _, err := r.fitConnections(room + 999); err == nil {
		t.Error("a number that somebody asked for was made smaller")
	}
	o.sizes = o.scenario.sizes
	s := sizes{publishers: room, subscribers: room, payload: 16, window: 1, rate: float64(room)}
	spec := &fleetSpec{groups: pairsFleet(&s)}
	if err := r.fit(spec); err != nil {
		t.Fatal(err)
	}
	sub, pub := &spec.groups[0], &spec.groups[1]
	if spec.clients() > room || sub.count != pub.count || int(pub.publish.rate*float64(pub.count)+0.5) != room {
		t.Errorf("%d and %d clients for %d, %v messages a second each", sub.count, pub.count, room, pub.publish.rate)
	}
	o.sizes.publishers = room
	if err := r.fit(&fleetSpec{groups: pairsFleet(&s)}); err == nil {
		t.Error("a number of publishers that somebody asked for was made smaller")
	}
}
