package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gannetmq/gannet/cmd/gannet/internal/client"
	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/auth"
)

func TestGreetingIsPublishedRetainedAndPrinted(t *testing.T) {
	at := startBroker(t)
	for _, version := range []string{"mqttv31", "mqttv311", "mqttv5"} {
		t.Run(version, func(t *testing.T) {
			got := run(t, "", args("pub", at, "-V", version, "-i", "p", "-t", "greetings", "-m", "Hello world MQTT", "-d", "-r")...)
			want := "Client p sending CONNECT\n" +
				"Client p received CONNACK (0)\n" +
				"Client p sending PUBLISH (d0, q0, r1, m1, 'greetings', ... (16 bytes))\n" +
				"Client p sending DISCONNECT\n"
			if got != (result{0, want, ""}) {
				t.Errorf("pub: %+v", got)
			}
			got = run(t, "", args("sub", at, "-V", version, "-i", "s", "-t", "greetings", "-C", "1", "-d")...)
			want = "Client s sending CONNECT\n" +
				"Client s received CONNACK (0)\n" +
				"Client s sending SUBSCRIBE (Mid: 1, Topic: greetings, QoS: 0, Options: 0x00)\n" +
				"Client s received SUBACK\n" +
				"Subscribed (mid: 1): 0\n" +
				"Client s received PUBLISH (d0, q0, r1, m0, 'greetings', ... (16 bytes))\n" +
				"Hello world MQTT\n" +
				"Client s sending DISCONNECT\n"
			if got != (result{0, want, ""}) {
				t.Errorf("sub: %+v", got)
			}
		})
	}
}

func TestQoSHandshakesAreTraced(t *testing.T) {
	at := startBroker(t)
	got := run(t, "", args("pub", at, "-i", "p", "-t", "a", "-m", "x", "-q", "1", "-d", "-r")...)
	if want := "Client p received PUBACK (Mid: 1, RC:0)\n"; !strings.Contains(got.stdout, want) {
		t.Errorf("QoS 1: %s", got.stdout)
	}
	got = run(t, "", args("pub", at, "-i", "p", "-t", "a", "-m", "x", "-q", "2", "-d", "-r")...)
	want := "Client p sending PUBLISH (d0, q2, r1, m1, 'a', ... (1 bytes))\n" +
		"Client p received PUBREC (Mid: 1)\n" +
		"Client p sending PUBREL (m1)\n" +
		"Client p received PUBCOMP (Mid: 1, RC:0)\n"
	if !strings.Contains(got.stdout, want) {
		t.Errorf("QoS 2: %s", got.stdout)
	}
	got = run(t, "", args("sub", at, "-i", "s", "-t", "a", "-q", "2", "-C", "1", "-d", "-v")...)
	want = "Client s received PUBLISH (d0, q2, r1, mN, 'a', ... (1 bytes))\n" +
		"Client s sending PUBREC (mN, rc0)\n" +
		"Client s received PUBREL (Mid: N)\n" +
		"Client s sending PUBCOMP (mN)\n" +
		"a x\n"
	chosenByServer := regexp.MustCompile(`\b(m|Mid: )\d+`) // Packet Identifiers
	if !strings.Contains(chosenByServer.ReplaceAllString(got.stdout, "${1}N"), want) {
		t.Errorf("sub: %s", got.stdout)
	}
}

func TestLinesArriveInOrderAtEveryQoS(t *testing.T) {
	at := startBroker(t)
	var lines strings.Builder
	const count = 2000
	for i := range count {
		fmt.Fprintf(&lines, "line %d\n", i)
	}
	for qos := range 3 {
		sub := start(t, args("sub", at, "-t", "lines", "-q", fmt.Sprint(qos), "-C", fmt.Sprint(count), "-d")...)
		sub.until("Subscribed")
		got := run(t, strings.TrimSuffix(lines.String(), "\n"), args("pub", at, "-t", "lines", "-q", fmt.Sprint(qos), "-l")...)
		if got != (result{}) {
			t.Fatalf("QoS %d: pub: %+v", qos, got)
		}
		for i := range count {
			if got, want := sub.until("line "), fmt.Sprintf("line %d", i); got != want {
				t.Fatalf("QoS %d: got %q, want %q", qos, got, want)
			}
		}
		if status := sub.wait(); status != 0 {
			t.Errorf("QoS %d: sub exits with %d", qos, status)
		}
	}
}

func TestPayloadComesFromFileStdinOrNowhere(t *testing.T) {
	at := startBroker(t)
	file := filepath.Join(t.TempDir(), "payload")
	if err := os.WriteFile(file, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		stdin string
		flags []string
		want  string
	}{
		{"", []string{"-f", file}, "t from a file\n\n"},
		{"two\nlines", []string{"-s"}, "t two\nlines\n"},
		{"", []string{"-m", ""}, "t (null)\n"},
	} {
		sub := start(t, args("sub", at, "-t", "t", "-C", "1", "-v", "-d")...)
		sub.until("Subscribed")
		if got := run(t, test.stdin, args("pub", at, "-t", "t", test.flags)...); got.status != 0 {
			t.Fatalf("pub %v: %+v", test.flags, got)
		}
		sub.until("received PUBLISH")
		for want := range strings.Lines(test.want) {
			sub.lines.Scan()
			if got := sub.lines.Text() + "\n"; got != want {
				t.Errorf("%v: got %q, want %q", test.flags, got, want)
			}
		}
		sub.wait()
	}
}

func TestSubSelectsWhatItPrints(t *testing.T) {
	at := startBroker(t)
	for _, topic := range []string{"s/1", "s/2", "s/skip"} {
		run(t, "", args("pub", at, "-t", topic, "-m", topic, "-r")...)
	}
	got := run(t, "", args("sub", at, "-t", "s/+", "-T", "s/skip", "-C", "2", "-N")...)
	if got.stdout != "s/1s/2" && got.stdout != "s/2s/1" {
		t.Errorf("-T -N: %+v", got)
	}
	got = run(t, "", args("sub", at, "-t", "s/1", "-E", "-d", "-i", "e")...)
	if got.status != 0 || !strings.Contains(got.stdout, "Client e sending DISCONNECT\n") {
		t.Errorf("-E: %+v", got)
	}

	live := start(t, args("sub", at, "-t", "s/#", "-R", "-C", "1", "-d")...)
	live.until("Subscribed")
	run(t, "", args("pub", at, "-t", "s/live", "-m", "live")...)
	live.until("'s/live'")
	if live.until(""); live.lines.Text() != "live" {
		t.Errorf("-R: %q", live.lines.Text())
	}

	got = run(t, "", args("pub", at, "-t", "s/end", "-m", "x", "-n")...)
	if got.status != 1 || !strings.Contains(got.stderr, "Only one type of message") {
		t.Errorf("-m and -n: %+v", got)
	}
	retained := start(t, args("sub", at, "-t", "s/+", "--retained-only", "--remove-retained", "-d", "-i", "r")...)
	for range 3 {
		retained.until("sending PUBLISH (d0, q0, r1")
	}
	run(t, "", args("pub", at, "-t", "s/end", "-m", "x")...)
	if status := retained.wait(); status != 0 {
		t.Errorf("--retained-only exits with %d", status)
	}
	run(t, "", args("pub", at, "-t", "s/last", "-m", "last", "-r")...)
	got = run(t, "", args("sub", at, "-t", "s/+", "-C", "1")...)
	if got.stdout != "last\n" {
		t.Errorf("after --remove-retained: %+v", got)
	}
}

func TestPropertiesTravelFromPubToSub(t *testing.T) {
	at := startBroker(t)
	got := run(t, "", args("pub", at, "-t", "p", "-m", `{"a":1}`, "-r", "-D", "publish", "content-type", "text/plain",
		"-D", "publish", "user-property", "a", "b", "-D", "publish", "response-topic", "re/x",
		"-D", "publish", "correlation-data", "c d", "-D", "publish", "payload-format-indicator", "1")...)
	if got != (result{}) {
		t.Fatalf("pub: %+v", got)
	}
	got = run(t, "", args("sub", at, "-V", "5", "-t", "p", "-C", "1", "-D", "subscribe", "subscription-identifier", "7",
		"-F", `%t|%p|%l|%q|%r|%m|%C|%R|%D|%F|%P|%S|%E|%10t|%-3t|\t%%`)...)
	if want := "p|{\"a\":1}|7|0|1|0|text/plain|re/x|c d|1|a:b|7||         p|p  |\t%\n"; got != (result{0, want, ""}) {
		t.Errorf("got  %+v\nwant %s", got, want)
	}
}

func TestKeptSessionQueuesForSub(t *testing.T) {
	at := startBroker(t)
	for _, version := range []string{"311", "5"} {
		topic := "kept/" + version
		run(t, "", args("sub", at, "-V", version, "-i", "keeper", "-c", "-q", "1", "-t", topic, "-E")...)
		run(t, "", args("pub", at, "-q", "1", "-t", topic, "-m", "while away")...)
		got := run(t, "", args("sub", at, "-V", version, "-i", "keeper", "-c", "-q", "1", "-t", topic, "-C", "1", "-v")...)
		if got.stdout != topic+" while away\n" {
			t.Errorf("%s: %+v", version, got)
		}
		run(t, "", args("sub", at, "-V", version, "-i", "keeper", "-t", topic, "-E")...) // clean again
	}
}

func TestWillIsPublishedWhenTheProcessDies(t *testing.T) {
	at := startBroker(t)
	sub := start(t, args("sub", at, "-t", "will", "-C", "1", "-v", "-d")...)
	sub.until("Subscribed")
	f, err := parseClientFlags(commandSub, args(at, "-t", "x", "--will-topic", "will", "--will-payload", "gone", "--will-qos", "1"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(t.Context(), f.options("doomed"))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	sub.until("received PUBLISH")
	if got := sub.until(""); got != "will gone" {
		t.Errorf("got %q", got)
	}
}

func TestScramProvesThePasswordBothWays(t *testing.T) {
	line, err := auth.UserLine("rajan", "password123", 4096)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := startBroker(t, "--scram-users", file)
	if got := run(t, "", args("pub", at, "-V", "5", "--scram", "-u", "rajan", "-P", "password123", "-t", "t", "-m", "x")...); got != (result{}) {
		t.Errorf("right password: %+v", got)
	}
	for _, wrong := range [][]string{
		{"-V", "5", "--scram", "-u", "rajan", "-P", "wrong"},
		{"-V", "5", "--scram", "-u", "nobody", "-P", "password123"},
		{"-V", "5", "-u", "rajan", "-P", "password123"},
		{"-V", "5"},
	} {
		got := run(t, "", args("pub", at, wrong, "-t", "t", "-m", "x")...)
		if got.status < 0x80 || !strings.HasSuffix(got.stderr, "Error: The connection was refused.\n") {
			t.Errorf("%v: %+v", wrong, got)
		}
	}
}

func TestAnonymousClientIsRefusedWithMosquittosWords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	at := startBroker(t, "--scram-users", file)
	for _, test := range []struct {
		args []string
		want result
	}{
		{args("pub", at, "-t", "t", "-m", "x"),
			result{5, "", "Connection error: Connection Refused: not authorised.\nError: The connection was refused.\n"}},
		{args("sub", at, "-t", "t"),
			result{5, "", "Connection error: Connection Refused: not authorised.\n"}},
		{args("sub", at, "-t", "t", "-V", "5"),
			result{135, "", "Connection error: Not authorized\n"}},
		{args("sub", at, "-t", "t", "-V", "5", "--quiet"), result{135, "", ""}},
	} {
		if got := run(t, "", test.args...); got != test.want {
			t.Errorf("%v: got %+v, want %+v", test.args, got, test.want)
		}
	}
}

func TestNobodyListensIsConnectionRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := addressFlags(l.Addr())
	l.Close()
	for _, command := range [][]string{{"pub", "-t", "t", "-m", "x"}, {"sub", "-t", "t"}} {
		if got := run(t, "", args(command, at)...); got != (result{1, "", "Error: Connection refused\n"}) {
			t.Errorf("%v: %+v", command, got)
		}
	}
}

func TestSubTimesOutWithStatus27(t *testing.T) {
	at := startBroker(t)
	f, err := parseClientFlags(commandSub, args(at, "-t", "t"))
	if err != nil {
		t.Fatal(err)
	}
	f.timeout = time.Millisecond
	var stderr strings.Builder
	s := &subscriber{flags: f, out: &printer{out: &stderr}, errors: &stderr, session: new(client.Session),
		finished: make(chan struct{}), delay: reconnectDelay}
	if status := s.run(t.Context()); status != statusTimeout || stderr.String() != "Timed out\n" {
		t.Errorf("status %d: %s", status, stderr.String())
	}
}

func TestInterruptedSubSaysGoodbye(t *testing.T) {
	at := startBroker(t)
	sub := start(t, args("sub", at, "-i", "s", "-t", "t", "-d")...)
	sub.until("Subscribed")
	sub.cancel()
	sub.until("Client s sending DISCONNECT")
	if status := sub.wait(); status != 0 {
		t.Errorf("status %d", status)
	}
}

// accept answers one CONNECT and one SUBSCRIBE and returns the connection.
func accept(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var buffer []byte
	read := func(want codec.PacketType) codec.Frame {
		chunk := make([]byte, 1024)
		for {
			frame, _, err := codec.Next(buffer, 0)
			if err != nil {
				t.Fatal(err)
			}
			if frame.Size > 0 {
				buffer = buffer[frame.Size:]
				if frame.Type != want {
					t.Fatalf("got %s, want %s", frame.Type, want)
				}
				return frame
			}
			n, err := conn.Read(chunk)
			if err != nil {
				t.Fatal(err)
			}
			buffer = append(buffer, chunk[:n]...)
		}
	}
	read(codec.TypeConnect)
	var connack codec.Connack
	if _, err := conn.Write(connack.Append(nil, codec.V5)); err != nil {
		t.Fatal(err)
	}
	frame := read(codec.TypeSubscribe)
	var subscribe codec.Subscribe
	if err := subscribe.Parse(codec.V5, frame.Flags, frame.Body); err != nil {
		t.Fatal(err)
	}
	suback := codec.Suback{PacketID: subscribe.PacketID, Reasons: []codec.ReasonCode{codec.GrantedQoS0}}
	if _, err := conn.Write(suback.Append(nil, codec.V5)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestSubConnectsAgainUntilTheServerWantsItNoMore(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := parseClientFlags(commandSub, args(addressFlags(l.Addr()), "-V", "5", "-t", "t"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	s := &subscriber{flags: f, out: &printer{out: &out}, errors: &out, session: new(client.Session),
		finished: make(chan struct{}), delay: func(int) time.Duration { return 0 }}
	status := make(chan int, 1)
	go func() { status <- s.run(t.Context()) }()

	accept(t, l).Close() // lost without a word
	conn := accept(t, l)
	busy := codec.Disconnect{Reason: codec.ServerShuttingDown}
	if _, err := conn.Write(busy.Append(nil, codec.V5)); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	conn = accept(t, l)
	defer conn.Close()
	message := codec.Publish{Topic: []byte("t"), Payload: []byte("third time")}
	taken := codec.Disconnect{Reason: codec.SessionTakenOver}
	if _, err := conn.Write(taken.Append(message.Append(nil, codec.V5), codec.V5)); err != nil {
		t.Fatal(err)
	}
	if got := <-status; got != int(codec.SessionTakenOver) {
		t.Errorf("status %d", got)
	}
	if want := "third time\nError: disconnected by the server: Session taken over.\n"; out.String() != want {
		t.Errorf("output %q", out.String())
	}
}

func TestPubReportsALostConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pub := start(t, args("pub", addressFlags(l.Addr()), "-t", "t", "-m", "x", "-q", "1")...)
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var connack codec.Connack
	if _, err := conn.Write(connack.Append(nil, codec.V311)); err != nil {
		t.Fatal(err)
	}
	conn.(*net.TCPConn).CloseWrite()
	defer conn.Close()
	pub.until("Error: The connection was lost.")
	if status := pub.wait(); status != statusLost {
		t.Errorf("status %d", status)
	}
}
