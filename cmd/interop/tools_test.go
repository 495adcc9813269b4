package interop

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tools is a pair of command line clients with the flags of mosquitto_pub and
// mosquitto_sub, pointed at one broker.
type tools struct {
	name    string
	pub     []string
	sub     []string
	address string // host:port
}

func mosquittoTools(address string) tools {
	return tools{"mosquitto", []string{"mosquitto_pub"}, []string{"mosquitto_sub"}, address}
}

func gannetTools(address string) tools {
	return tools{"gannet", []string{gannetBinary(), "pub"}, []string{gannetBinary(), "sub"}, address}
}

// versions are the values of -V.
func versions() []string { return []string{"mqttv31", "mqttv311", "mqttv5"} }

// eachTool tells one story with the tools of both makers.
func eachTool(t *testing.T, story func(t *testing.T, x tools)) {
	for _, x := range []tools{mosquittoTools(brokerAddr()), gannetTools(brokerAddr())} {
		t.Run(x.name, func(t *testing.T) { story(t, x) })
	}
}

// eachToolAndVersion tells it in every protocol version.
func eachToolAndVersion(t *testing.T, story func(t *testing.T, x tools, version string)) {
	eachTool(t, func(t *testing.T, x tools) {
		for _, v := range versions() {
			t.Run(v, func(t *testing.T) { story(t, x, v) })
		}
	})
}

func (x tools) command(tool []string, flags []string) []string {
	host, port, err := net.SplitHostPort(x.address)
	if err != nil {
		panic(err)
	}
	return append(append(append([]string(nil), tool...), "-h", host, "-p", port), flags...)
}

// publish runs the publisher, which must succeed.
func (x tools) publish(t *testing.T, flags ...string) {
	t.Helper()
	succeed(t, "", x.command(x.pub, flags)...)
}

// publishLines runs the publisher with -l over lines.
func (x tools) publishLines(t *testing.T, lines []string, flags ...string) {
	t.Helper()
	succeed(t, strings.Join(lines, "\n")+"\n", x.command(x.pub, append(flags, "-l"))...)
}

// subscriber is a running sub that prints one marked line for each message, among the
// lines of -d.
type subscriber struct{ *process }

const mark = "MESSAGE "

// subscribe starts a subscriber and returns when the server has acknowledged its
// subscription. flags must name a topic.
func (x tools) subscribe(t *testing.T, flags ...string) subscriber {
	t.Helper()
	s := x.listen(t, flags...)
	s.until(t, "Subscribed (mid: ")
	return s
}

// listen is subscribe without the wait.
func (x tools) listen(t *testing.T, flags ...string) subscriber {
	t.Helper()
	flags = append([]string{"-d", "-F", mark + "%t|%q|%r|%p"}, flags...)
	return subscriber{start(t, x.command(x.sub, flags)...)}
}

// next is the next message as topic|qos|retain|payload.
func (s subscriber) next(t *testing.T) string {
	t.Helper()
	_, m, _ := strings.Cut(s.until(t, mark), mark)
	return m
}

func (s subscriber) expect(t *testing.T, topic string, qos, retain int, payload string) {
	t.Helper()
	if got, want := s.next(t), fmt.Sprintf("%s|%d|%d|%s", topic, qos, retain, payload); got != want {
		t.Fatalf("received %q, want %q", got, want)
	}
}

// startMosquitto runs Debian's broker on a free port of the loopback interface. The
// port is looked for by opening it, so it may be lost to somebody else in between;
// mosquitto then ends, and the test says so.
func startMosquitto(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	_, port, _ := net.SplitHostPort(address)
	file := filepath.Join(t.TempDir(), "mosquitto.conf")
	lines := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\npersistence false\n", port)
	if err := os.WriteFile(file, []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, mosquittoBroker(), "-c", file).until(t, " running")
	return address
}

// mosquittoBroker finds the broker, which Debian keeps out of an ordinary user's PATH.
func mosquittoBroker() string {
	const path = "/usr/sbin/mosquitto"
	if _, err := os.Stat(path); err == nil {
		return path
	}
	return "mosquitto"
}
