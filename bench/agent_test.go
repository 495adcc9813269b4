package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// testAgent is an agent in this process.
type testAgent struct {
	address string
	end     context.CancelFunc
	log     *lockedBuffer

	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (a *testAgent) Accept() (net.Conn, error) {
	c, err := a.Listener.Accept()
	if err == nil {
		a.mu.Lock()
		a.conns = append(a.conns, c)
		a.mu.Unlock()
	}
	return c, err
}

// hangUp closes all connections of coordinators, as if the machine had gone.
func (a *testAgent) hangUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.conns {
		c.Close()
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startAgents starts agents that end with the test at the latest.
func startAgents(t *testing.T, n int, token []byte) (all []*testAgent) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		a := &testAgent{address: l.Addr().String(), end: cancel, log: &lockedBuffer{}, Listener: l}
		ended := make(chan error, 1)
		go func() { ended <- (&agent{token: token, log: a.log}).serve(ctx, a) }()
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		all = append(all, a)
	}
	return all
}

func addresses(all []*testAgent) string {
	var list []string
	for _, a := range all {
		list = append(list, a.address)
	}
	return strings.Join(list, ",")
}

func TestAgentsCarryOutScenariosTogether(t *testing.T) {
	running := startEngine(t)
	agents := addresses(startAgents(t, 2, nil))
	small := map[string]int{"connections": 31, "publishers": 5, "subscribers": 5, "messages": 301}
	// One of every kind. The scenario reconnect has a test of its own.
	for _, name := range []string{
		"conn-tcp-basic", "p2p-basic", "p2p", "slow", "mixed", "ramp", "churn", "retained", "durable",
	} {
		e, err := findScenario(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(e.name, func(t *testing.T) {
			args, clients := smallRun(e, small)
			x := runMeasured(t, append(args, "--agents", agents, running.addr.String()))
			last := x.Phases[len(x.Phases)-1]
			switch e.name {
			case "slow", "mixed": // they have other numbers of clients
			default:
				if x.Phases[0].Name == "connect" && x.Phases[0].Done != clients {
					t.Errorf("%d of %d clients connected", x.Phases[0].Done, clients)
				}
			}
			if last.Name == "load" && e.sizes.rate > 0 && (last.Offered < 1999.9 || last.Offered > 2000.1) {
				t.Errorf("%v messages a second were due of 2000", last.Offered)
			}
			for _, p := range x.Phases {
				for _, l := range p.Latency {
					if h := bucketsOf(t, l); h.total() != l.Count || micros(h.quantile(0.99)) != l.P99 {
						t.Errorf("%s of %s: %d in the buckets, %d in all", l.Of, p.Name, h.total(), l.Count)
					}
				}
			}
		})
	}
}

func TestAgentsShareAScenarioFile(t *testing.T) {
	const groups = `groups:
  - {name: meter, count: 7, publish: {topic: "{prefix}/meter/{n}", qos: 1, size: 32, rate: 50}}
  - {name: display, count: 7, subscribe: ["{prefix}/meter/{n}"], qos: 1}
phases:
  - {name: noon, seconds: 0.05}
`
	file := filepath.Join(t.TempDir(), "meters.yaml")
	running := startEngine(t)
	agents := addresses(startAgents(t, 3, nil))
	for _, tt := range []struct{ text, complaint string }{
		{groups, ""},
		{strings.ReplaceAll(groups, "count: 7", "count: 2"), "2 clients cannot be shared by 3 agents"},
		{strings.ReplaceAll(groups, "{prefix}/", "all/"), "without {prefix}"},
		{strings.ReplaceAll(groups, `["{prefix}/meter`, `["$share/{prefix}/meter`), "without {prefix}"},
	} {
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		status, x, stdout, stderr := runMain(t, file, "--agents", agents, "--patience", "30", running.addr.String())
		if tt.complaint != "" {
			if status != statusUsage || !strings.Contains(stderr, tt.complaint) {
				t.Errorf("status %d, want 2 and %q in %s", status, tt.complaint, stderr)
			}
			continue
		}
		if status != statusOK || x.Scenario != "meters" || len(x.Phases) != 2 || x.Phases[0].Done != 14 || x.Phases[1].Offered != 350 {
			t.Errorf("status %d, %d clients\n%s%s", status, x.Phases[0].Done, stdout, stderr)
		}
	}
}

func TestAgentsReconnectTogether(t *testing.T) {
	f := newFake(t, honest, func(c net.Conn) (net.Conn, error) { return c, nil })
	var stdout bytes.Buffer
	status := Main([]string{"run", "reconnect", "--connections", "50", "--agents", addresses(startAgents(t, 2, nil)), f.listener.Addr().String()}, &stdout,
		&trigger{"Restart the broker now", f.hangUp})
	if status != statusOK || !strings.Contains(stdout.String(), "to the last one back") || !strings.Contains(stdout.String(), "| back |") {
		t.Errorf("status %d\n%s", status, &stdout)
	}
}

func TestFaultsOfOneAgentAreThoseOfTheRun(t *testing.T) {
	addr := startFake(t, func(n int, deliver func([]byte), payload []byte) {
		deliver(payload)
		if n == 20 {
			deliver(payload)
		}
	})
	status, x, stdout, stderr := runMain(t, "p2p", "--agents", addresses(startAgents(t, 2, nil)), "--publishers", "2", "--subscribers", "2",
		"--qos", "0", "--seconds", "0.1", "--warm", "0", "--patience", "30", addr.String())
	if status != statusFault || !reflect.DeepEqual(x.Faults, map[string]uint64{"duplicate": 1}) || !strings.Contains(stderr, "1 duplicate") {
		t.Errorf("status %d, %v\n%s%s", status, x.Faults, stdout, stderr)
	}
}

func TestAgentThatDiesEndsTheRunOfAll(t *testing.T) {
	for _, tt := range []struct {
		name      string
		do        func(a *testAgent)
		complaint string
	}{
		{"connection lost", (*testAgent).hangUp, ""},
		{"ended by its user", func(a *testAgent) { a.end() }, errAgentEnded.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			agents := startAgents(t, 3, nil)
			victim := agents[1]
			addr := startFake(t, func(n int, deliver func([]byte), payload []byte) {
				if n == 300 {
					tt.do(victim)
				}
				deliver(payload)
			})
			args := []string{"p2p", "--qos", "0", "--warm", "0", "--publishers", "3", "--subscribers", "3", "--patience", "30", addr.String(), "--agents"}
			status, x, stdout, stderr := runMain(t, append(args, addresses(agents), "--seconds", "3600")...)
			if status != statusFault || !strings.Contains(stderr, "agent "+victim.address) || !strings.Contains(stderr, tt.complaint) {
				t.Fatalf("status %d\n%s%s", status, stdout, stderr)
			}
			if !strings.Contains(x.Error, victim.address) || len(x.Phases) != 2 || x.Phases[1].Done == 0 {
				t.Errorf("error %q, %d phases: what the others did is not there", x.Error, len(x.Phases))
			}
			agents = slices.Delete(agents, 1, 2)
			if status, _, stdout, stderr := runMain(t, append(args, addresses(agents), "--seconds", "0.05")...); status != statusOK {
				t.Errorf("the others cannot be used again: status %d\n%s%s", status, stdout, stderr)
			}
		})
	}
}

func TestInterruptedAgentsHaveAResult(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	addr := startFake(t, func(n int, deliver func([]byte), payload []byte) {
		if n == 300 {
			cancel()
		}
		deliver(payload)
	})
	o, err := runOptionsOf([]string{"p2p", "--qos", "0", "--seconds", "3600", "--warm", "0", "--agents", addresses(startAgents(t, 2, nil)), addr.String()}, io.Discard)
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
}

// TestChildAgent is no test but the program of startChildAgent, when it has an argument.
func TestChildAgent(t *testing.T) {
	if flag.NArg() != 1 {
		return
	}
	os.Exit(Main([]string{"agent", "--listen", "127.0.0.1:0", "--token-file", flag.Arg(0)}, os.Stdout, os.Stderr))
}

// startChildAgent runs gannet bench agent in a process of its own, and returns its
// address. It is killed when the test ends, if not before.
func startChildAgent(t *testing.T, token string) (*exec.Cmd, string) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-test.run=^TestChildAgent$", "--", token)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // the test has asked before, where it matters
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	_, address, found := strings.Cut(strings.TrimSuffix(line, ".\n"), "waits on ")
	if err != nil || !found {
		t.Fatalf("%q: %v", line, err)
	}
	return cmd, address
}

func TestAgentsAreProcesses(t *testing.T) {
	token := tokenFile(t, "a token of more than 16 bytes")
	var children []*exec.Cmd
	var list []string
	for range 3 {
		cmd, address := startChildAgent(t, token)
		children, list = append(children, cmd), append(list, address)
	}
	running := startEngine(t)
	args := []string{"p2p", "--publishers", "9", "--subscribers", "9", "--warm", "0", "--patience", "30", "--token-file", token,
		"--agents", strings.Join(list, ",")}
	status, x, stdout, stderr := runMain(t, append(slices.Clone(args), "--rate", "9000", "--seconds", "1.2", running.addr.String())...)
	if status != statusOK || len(x.Phases) != 2 || x.Phases[0].Done != 18 || x.Phases[1].Done == 0 {
		t.Fatalf("status %d\n%s%s", status, stdout, stderr)
	}
	load := &x.Phases[1]
	if len(load.Latency) != 1 || load.Latency[0].Count != bucketsOf(t, load.Latency[0]).total() || load.Latency[0].Count < load.Done {
		t.Errorf("%d messages and the latencies of %d", load.Done, load.Latency[0].Count)
	}
	if len(x.Seconds) == 0 || !strings.Contains(stderr, "load: ") {
		t.Errorf("%d seconds were told of, and shown\n%s", len(x.Seconds), stderr)
	}

	addr := startFake(t, func(n int, deliver func([]byte), payload []byte) {
		if n == 300 {
			_ = children[2].Process.Kill()
		}
		deliver(payload)
	})
	status, _, stdout, stderr = runMain(t, append(slices.Clone(args), "--qos", "0", "--seconds", "3600", addr.String())...)
	if status != statusFault || !strings.Contains(stderr, "agent "+list[2]) {
		t.Errorf("killed: status %d\n%s%s", status, stdout, stderr)
	}
	for _, cmd := range children[:2] {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("an agent that is interrupted: %v", err)
		}
	}
}

// tokenFile writes a token.
func tokenFile(t *testing.T, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTokens(t *testing.T) {
	const token = "a token of more than 16 bytes"
	running := startEngine(t)
	guarded := startAgents(t, 1, []byte(token))[0].address
	open := startAgents(t, 1, nil)[0].address
	for _, tt := range []struct {
		name, agent, token string
		complaint          string // none: it works
	}{
		{"right", guarded, token, ""},
		{"wrong", guarded, "another token of more than 16 bytes", "the token is not this agent's"},
		{"missing", guarded, "", "write --token-file"},
		{"none wanted", open, token, "was it started with a --token-file?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"p2p", "--publishers", "1", "--subscribers", "1", "--seconds", "0.02", "--warm", "0", "--patience", "30", "--agents", tt.agent, running.addr.String()}
			if tt.token != "" {
				args = append(args, "--token-file", tokenFile(t, tt.token))
			}
			status, _, _, stderr := runMain(t, args...)
			if tt.complaint == "" && status != statusOK || tt.complaint != "" && (status != statusFault || !strings.Contains(stderr, tt.agent) || !strings.Contains(stderr, tt.complaint)) {
				t.Errorf("status %d, want %q in %s", status, tt.complaint, stderr)
			}
		})
	}
}

// Somebody who has no token, and passes on what two others say who have it, gets nowhere:
// the proofs belong to one TLS connection each.
func TestProofIsOfNoUseOnAnotherConnection(t *testing.T) {
	token := []byte("a token of more than 16 bytes")
	c, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{c.leaf.Raw}, PrivateKey: c.key}}}
	pair := func() (agent, coordinator *agentLink) {
		near, far := net.Pipe()
		server, client := tls.Server(near, config), tls.Client(far, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
		shaken := make(chan error, 1)
		go func() { shaken <- server.Handshake() }()
		if err := errors.Join(client.Handshake(), <-shaken); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { near.Close(); far.Close() })
		return newAgentLink(server, token), newAgentLink(client, token)
	}
	agent, coordinator := pair()
	other, _ := pair()
	proof, err := coordinator.proof(roleCoordinator)
	if err != nil || len(proof) == 0 || bytes.Contains(proof, token) {
		t.Fatalf("%x, %v", proof, err)
	}
	h := &hello{Proof: proof}
	if ok, err := agent.proves(h, roleCoordinator); !ok || err != nil {
		t.Errorf("where it belongs: %v, %v", ok, err)
	}
	if ok, _ := other.proves(h, roleCoordinator); ok {
		t.Error("it proves something on another connection")
	}
	if ok, _ := agent.proves(h, roleAgent); ok {
		t.Error("it can be sent back")
	}
}

func TestAgentOfAnotherVersionIsRefused(t *testing.T) {
	a := startAgents(t, 1, nil)[0].address
	_, err := dialAgent(context.Background(), a, nil, agentProtocol+1)
	if err == nil || !strings.Contains(err.Error(), "run the same gannet on all machines") {
		t.Errorf("%v", err)
	}
}

func TestAgentHasOneRunAtATime(t *testing.T) {
	a := startAgents(t, 1, nil)[0].address
	first, err := dialAgent(context.Background(), a, nil, agentProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := dialAgent(context.Background(), a, nil, agentProtocol); err == nil || !strings.Contains(err.Error(), "busy") {
		t.Errorf("%v", err)
	}
}

func TestAgentRefusesOrdersThatMakeNoSense(t *testing.T) {
	a, err := runOptionsOf([]string{"p2p", "--agents", "127.0.0.1:1", "127.0.0.1:2"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		change    func(x *order)
		complaint string
	}{
		{func(x *order) { x.Scenario = "none" }, "no scenario"},
		{func(x *order) { x.Scenario, x.File = "x.yaml", "groups: 1" }, "x.yaml:1"},
		{func(x *order) { x.Part = 1 }, "no part"},
		{func(x *order) { x.Of = 0 }, "no part"},
		{func(x *order) { x.Sizes.Publishers = -1 }, "publishers"},
		{func(x *order) { x.Broker = "192.0.2.1:1883" }, "not a loopback address"},
		{func(x *order) { x.Length = 1000 * time.Hour }, "seconds"},
		{func(x *order) { x.ConnectRate = -1 }, "connect-rate"},
		{func(x *order) { x.Prefix = strings.Repeat("x", 101) }, "prefix"},
	} {
		x := *a.orders[0]
		tt.change(&x)
		if _, err := x.options(""); err == nil || !strings.Contains(err.Error(), tt.complaint) {
			t.Errorf("%v, want %q", err, tt.complaint)
		}
	}
}

func TestAgentFlags(t *testing.T) {
	token := tokenFile(t, "a token of more than 16 bytes")
	for _, tt := range []struct {
		args      []string
		complaint string // none: they are fine
	}{
		{[]string{"agent", "--listen", "0.0.0.0:7883"}, "not a loopback address"},
		{[]string{"agent", "--listen", "7883"}, "no HOST:PORT"},
		{[]string{"agent", "--token-file", tokenFile(t, "short")}, "16 to 1024 bytes"},
		{[]string{"run", "p2p", "--agents", "192.0.2.1:7883"}, "not a loopback address"},
		{[]string{"run", "p2p", "--agents", "127.0.0.1:1,127.0.0.1:1"}, "twice"},
		{[]string{"run", "p2p", "--token-file", token}, "it is for --agents"},
		{[]string{"run", "fanout", "--agents", "127.0.0.1:1,127.0.0.1:2"}, "write --publishers 2 or more"},
	} {
		var stderr bytes.Buffer
		if status := Main(tt.args, io.Discard, &stderr); status != statusUsage || !strings.Contains(stderr.String(), tt.complaint) {
			t.Errorf("%v: status %d, want %q in %s", tt.args, status, tt.complaint, &stderr)
		}
	}
	for list, complaint := range map[string]string{"127.0.0.1:1": "not from 1 to 1000000", "127.0.0.1:1,127.0.0.1:2": ""} {
		_, err := runOptionsOf([]string{"ramp", "--connections", "2000000", "--agents", list, "127.0.0.1:3"}, io.Discard)
		if complaint == "" && err != nil || complaint != "" && (err == nil || !strings.Contains(err.Error(), complaint)) {
			t.Errorf("two million clients of %s: %v", list, err)
		}
	}
	if err := agentAddress("192.0.2.1:7883", []byte("a token")); err != nil {
		t.Error(err)
	}
}

func TestSharesAddUp(t *testing.T) {
	all := sizes{connections: 101, publishers: 10, subscribers: 7, messages: 1000, payload: 16, window: 5, rate: 500}
	for of := 1; of <= 7; of++ {
		var sum sizes
		next := 0
		for part := range of {
			mine, first, err := share{part, of}.sizes(all)
			if err != nil {
				t.Fatal(err)
			}
			if first != next {
				t.Errorf("part %d of %d begins with client %d, not %d", part, of, first, next)
			}
			next += mine.connections + mine.publishers + mine.subscribers
			if rate := mine.rate / float64(mine.publishers); rate < 49.999 || rate > 50.001 {
				t.Errorf("part %d of %d: %v messages a second of one publisher", part, of, rate)
			}
			sum.connections += mine.connections
			sum.publishers += mine.publishers
			sum.subscribers += mine.subscribers
			sum.messages += mine.messages
		}
		if sum.connections != 101 || sum.publishers != 10 || sum.subscribers != 7 || sum.messages != 1000 {
			t.Errorf("%d parts: %+v", of, sum)
		}
	}
}

// wired is what arrives of a message.
func wired(t *testing.T, m *message) message {
	t.Helper()
	frame, err := appendFrame(nil, m, agentFrameMax)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readFrame(bytes.NewReader(frame), agentFrameMax)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// bucketsOf returns what a distribution was made of.
func bucketsOf(t *testing.T, l latencyResult) *histogram {
	t.Helper()
	h, err := histogramOf(l.Buckets)
	if err != nil {
		t.Fatal(err)
	}
	return &h
}

func TestMergedResultIsThatOfASingleRecorder(t *testing.T) {
	const parts, groups = 3, 2
	random := rand.New(rand.NewPCG(7, 7))
	var single [groups]histogram
	var several [parts][groups]histogram
	for range 100_000 {
		d := time.Duration(random.ExpFloat64() * float64(time.Duration(1)<<random.IntN(36)))
		part, group := random.IntN(parts), random.IntN(groups)
		single[group].record(d)
		several[part][group].record(d)
	}
	result := func(h *[groups]histogram) *runResult {
		p := phaseResult{Name: "load", Unit: unitMessage, Seconds: 2}
		for i := range h {
			p.addLatency(latencySource{of: "it", group: strconv.Itoa(i)}, &h[i])
			p.Done += h[i].total()
		}
		p.Sent = p.Done
		p.Rate = float64(p.Done) / p.Seconds
		return &runResult{Faults: map[string]uint64{"lost": 1}, Phases: []phaseResult{p}}
	}
	want := result(&single).Phases[0]
	var reports []*resultReport
	for i := range several {
		got := wired(t, &message{Type: "result", Result: reportOf(result(&several[i]), 0)})
		reports = append(reports, got.Result)
	}
	merged := &runResult{Faults: map[string]uint64{}}
	if err := mergeResults(merged, []string{"a", "b", "c"}, reports); err != nil {
		t.Fatal(err)
	}
	if got := merged.Phases[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("%d and %d in all; %+v\nwant %+v", got.Done, want.Done, got.Latency[0].P99, want.Latency[0].P99)
	}
	if merged.Faults["lost"] != parts {
		t.Errorf("%v", merged.Faults)
	}
}

func TestCostsOfSeveralAgentsAreAveragedByWhatEachDid(t *testing.T) {
	a := phaseResult{Unit: unitMessage, Seconds: 2, Done: 100, Loader: loaderCost{CPU: 1, Use: 0.5}, Broker: &brokerCost{CPU: 8, Use: 0.9, RSS: 1000, Switches: 4}}
	b := phaseResult{Unit: unitMessage, Seconds: 4, Done: 300, Loader: loaderCost{CPU: 5, Use: 1}}
	report := func(p phaseResult) *resultReport {
		return &resultReport{Result: &runResult{Phases: []phaseResult{p}}}
	}
	x := &runResult{Faults: map[string]uint64{}}
	if err := mergeResults(x, []string{"a", "b", "c"}, []*resultReport{report(a), nil, report(b)}); err != nil {
		t.Fatal(err)
	}
	want := phaseResult{
		Unit: unitMessage, Seconds: 4, Done: 400, Rate: 100, Loader: loaderCost{CPU: 4, Use: 1.25},
		Broker: &brokerCost{CPU: 2, Use: 0.9, RSS: 1000, Switches: 1}, Latency: []latencyResult{},
	}
	if !reflect.DeepEqual(x.Phases[0], want) {
		t.Errorf("%+v\nwant %+v", x.Phases[0], want)
	}
}

func TestDamagedResultsAreErrors(t *testing.T) {
	report := func(l ...latencyResult) *resultReport {
		return &resultReport{Result: &runResult{Phases: []phaseResult{{Latency: l}}}}
	}
	var many []latencyResult
	for i := range groupsMax + 1 {
		many = append(many, latencyResult{Group: strconv.Itoa(i)})
	}
	full := latencyResult{Buckets: [][2]uint64{{0, recordedMax}}}
	for name, report := range map[string]*resultReport{
		"not a histogram":    report(latencyResult{Buckets: [][2]uint64{{257, 1}, {256, 1}}}),
		"more than one has":  report(full, full),
		"more than a phase":  report(many...),
		"more than a result": {Result: &runResult{Phases: slices.Repeat([]phaseResult{{Latency: many[1:]}}, 5)}},
	} {
		if err := mergeResults(&runResult{}, []string{"a"}, []*resultReport{report}); err == nil || !strings.Contains(err.Error(), "agent a") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecondsOfSeveralAgentsBecomeOne(t *testing.T) {
	s := newSeries(2)
	tell := func(agent, stage int, done uint64, rate float64, faults uint64, latency ...time.Duration) {
		t.Helper()
		var h histogram
		for _, d := range latency {
			h.record(d)
		}
		report := secondReport{Stage: stage, Unit: "message", Second: second{Phase: "load", Done: done, Rate: rate, Faults: faults}, Latency: h.counts()}
		if err := s.add(agent, &report); err != nil {
			t.Fatal(err)
		}
	}
	take := func() (all []second) {
		s.take(func(_ string, x *second) { all = append(all, *x) })
		return all
	}
	tell(0, 0, 10, 10, 0, 1, 1, 1)
	tell(0, 0, 30, 20, 1, 5)
	if got := take(); len(got) != 0 {
		t.Fatalf("a second that one of two has told of: %+v", got)
	}
	tell(1, 0, 7, 7, 0, 100)
	got := take()
	if len(got) != 1 || got[0].Done != 17 || got[0].Rate != 17 || got[0].P50 != 0.001 || got[0].Max != 0.1 || got[0].Faults != 0 {
		t.Fatalf("%+v", got)
	}
	if err := s.end(1, 0); err != nil {
		t.Fatal(err)
	}
	got = take()
	if len(got) != 1 || got[0].Done != 37 || got[0].Rate != 20 || got[0].Faults != 1 || got[0].Max != 0.005 {
		t.Fatalf("after the end of one agent: %+v", got)
	}
	s.leave(0)
	if take(); len(s.stages) != 0 {
		t.Errorf("%d stages are kept", len(s.stages))
	}
	for range waitingMax {
		tell(0, 1, 1, 1, 0)
	}
	if err := s.add(0, &secondReport{Stage: 1}); err == nil {
		t.Error("an agent may be ahead for ever")
	}
}

// deaf is a coordinator of agents that take what they are told and say nothing.
func deaf(t *testing.T, n int) *coordinator {
	t.Helper()
	c := newCoordinator(newRunner(&runOptions{agents: slices.Repeat([]string{"x"}, n), target: target{how: &access{}}}, io.Discard))
	for i, h := range c.hands {
		near, far := net.Pipe()
		t.Cleanup(func() { near.Close() })
		go io.Copy(io.Discard, far)
		h.name, h.link = "agent-"+strconv.Itoa(i), newAgentLink(near, nil)
	}
	return c
}

func TestSilentAgentIsNamed(t *testing.T) {
	c := deaf(t, 2)
	c.base = c.base.Add(-silenceMax - time.Hour)
	c.hands[0].heard = c.clock()
	c.look()
	if c.failure == nil || !strings.Contains(c.failure.Error(), "agent-1: nothing was heard") || !c.stopping || c.hands[0].gone {
		t.Errorf("%v", c.failure)
	}
}

func TestSilenceIsToldFromALostConnection(t *testing.T) {
	for complaint, err := range map[string]error{
		"nothing was heard":     &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded},
		"closed the connection": io.EOF,
		"damaged":               errors.New("damaged"),
	} {
		c := deaf(t, 2)
		c.handle(&event{hand: 1, err: err})
		if c.failure == nil || !strings.Contains(c.failure.Error(), "agent-1: ") || !strings.Contains(c.failure.Error(), complaint) {
			t.Errorf("%v, want %q", c.failure, complaint)
		}
	}
}

func TestSlowAgentIsNamed(t *testing.T) {
	c := deaf(t, 2)
	c.base = c.base.Add(-time.Hour)
	for i, h := range c.hands {
		h.heard = c.clock()
		if i == 0 {
			if err := c.gather(h, time.Second, &meeting{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.look()
	if c.failure == nil || !strings.Contains(c.failure.Error(), "agent-1: it is slow") || !c.stopping {
		t.Errorf("%v", c.failure)
	}
}

func TestClocksAreComparedByTheQuickestAnswer(t *testing.T) {
	c := deaf(t, 1)
	h := c.hands[0]
	if err := c.gather(h, 0, &meeting{Count: 5}); err != nil {
		t.Fatal(err)
	}
	const ahead = 42 * time.Hour
	for i := range clockRounds {
		trip := time.Duration(100+(i*7)%13) * time.Microsecond // the shortest is 100 µs
		asked := h.pinged
		// The clock was read at the end of the way there, which took all but nothing of it.
		c.compare(h, asked+trip, &pong{At: asked, Clock: asked + ahead})
	}
	if h.doubt != 50*time.Microsecond || h.offset != ahead-50*time.Microsecond {
		t.Errorf("offset %v, doubt %v", h.offset, h.doubt)
	}
	if h.meeting != nil || c.first != 0 {
		t.Error("nothing was started")
	}
}

func TestAgentThatTalksOutOfTurnIsNamed(t *testing.T) {
	for name, messages := range map[string][]message{
		"order":        {{Type: "order", Order: &order{}}},
		"meets twice":  {{Type: "meet", Meet: &meeting{}}, {Type: "meet", Meet: &meeting{}}},
		"bad seconds":  {{Type: "second", Second: &secondReport{Latency: [][2]uint64{{1, 0}}}}},
		"restart":      {{Type: messageRestart}},
		"other stages": {{Type: "meet", Meet: &meeting{Stage: 3}}},
	} {
		c := deaf(t, 2)
		c.handle(&event{hand: 0, m: message{Type: "meet", Meet: &meeting{Stage: 2}}})
		for i := range messages {
			c.handle(&event{hand: 1, m: messages[i]})
		}
		if c.failure == nil || !strings.Contains(c.failure.Error(), "agent-1") || !c.stopping {
			t.Errorf("%s: %v", name, c.failure)
		}
	}
}

func TestFrames(t *testing.T) {
	m := message{Type: "meet", Meet: &meeting{Stage: 3, Count: 4}}
	if got := wired(t, &m); !reflect.DeepEqual(got, m) {
		t.Errorf("%+v", got)
	}
	whole, err := appendFrame(nil, &m, agentFrameMax)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if _, err := readFrame(bytes.NewReader(whole[:n]), agentFrameMax); err != want {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	if _, err := appendFrame(nil, &m, 10); err == nil {
		t.Error("a frame above the bound is written")
	}
	for text, complaint := range map[string]string{
		"\x00\x00\x10\x01":                     "more than",
		"\xff\xff\xff\xff":                     "more than",
		"\x00\x00\x00\x00":                     "frame",
		"\x00\x00\x00\x02{}":                   "unknown type",
		"\x00\x00\x00\x10{\"type\":\"order\"}": "without",
		"\x00\x00\x00\x02[]":                   "frame",
		"\x00\x00\x00\x1d{\"type\":\"result\",\"result\":{}}": "without",
	} {
		if _, err := readFrame(strings.NewReader(text), helloMax); err == nil || !strings.Contains(err.Error(), complaint) {
			t.Errorf("%q: %v, want %q", text, err, complaint)
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, m := range []message{
		{Type: "hello", Hello: &hello{Protocol: 1, Proof: []byte("x")}},
		{Type: "order", Order: &order{Of: 1, Scenario: "p2p"}},
		{Type: "ping", Ping: &ping{At: 1}}, {Type: "pong", Pong: &pong{}}, {Type: messageStop}, {Type: messageRestart},
		{Type: "second", Second: &secondReport{Latency: [][2]uint64{{1, 2}}}},
		{Type: "result", Result: &resultReport{Result: &runResult{Phases: []phaseResult{{Latency: []latencyResult{{Buckets: [][2]uint64{{1, 2}}}}}}}}},
	} {
		frame, err := appendFrame(nil, &m, agentFrameMax)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const most = 4096
		m, err := readFrame(bytes.NewReader(b), most)
		if err != nil {
			return
		}
		again, err := appendFrame(nil, &m, agentFrameMax)
		if err != nil {
			t.Fatal(err)
		}
		second, err := readFrame(bytes.NewReader(again), agentFrameMax)
		if err != nil {
			t.Fatal(err)
		}
		first, _ := json.Marshal(m)
		if repeated, _ := json.Marshal(second); !bytes.Equal(first, repeated) {
			t.Errorf("%s became %s", first, repeated)
		}
		if m.Second != nil {
			_ = newSeries(1).add(0, m.Second)
		}
		if m.Result != nil {
			_ = mergeResults(&runResult{Faults: map[string]uint64{}}, []string{"a"}, []*resultReport{m.Result})
		}
		if m.Order != nil && m.Order.File == "" {
			m.Order.Broker = "127.0.0.1:1" // no name to look up
			_, _ = m.Order.options("127.0.0.1")
		}
	})
}
