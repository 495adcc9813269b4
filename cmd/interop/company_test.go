package interop

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The tests of this file put command line tools in company: with the other maker's
// broker, with the other maker's tools, and with a library.

// TestGannetToolsWorkWithMosquittoBroker points gannet pub and sub at Debian's broker,
// in every version and with every QoS.
func TestGannetToolsWorkWithMosquittoBroker(t *testing.T) {
	x := gannetTools(startMosquitto(t))
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			topic, state := unique(t, "topic"), unique(t, "state")
			s := x.subscribe(t, "-V", version, "-t", topic, "-q", "2")
			for qos := range 3 {
				var lines []string
				for i := range 200 {
					lines = append(lines, fmt.Sprintf("qos %d line %d", qos, i))
				}
				x.publishLines(t, lines, "-V", version, "-t", topic, "-q", fmt.Sprint(qos))
				for _, line := range lines {
					s.expect(t, topic, qos, 0, line)
				}
			}
			x.publish(t, "-V", version, "-t", state, "-q", "1", "-r", "-m", "kept")
			x.subscribe(t, "-V", version, "-t", state, "-q", "1").expect(t, state, 1, 1, "kept")

			id, missed := unique(t, "sleeper"), unique(t, "missed")
			flags := append(resumable(version, id), "-t", missed)
			succeed(t, "", x.command(x.sub, append(flags, "-E"))...)
			x.publish(t, "-V", version, "-t", missed, "-q", "2", "-m", "while away")
			x.listen(t, flags...).expect(t, missed, 2, 0, "while away")
		})
	}
}

// TestToolsOfBothMakersMix publishes with one maker's tool and subscribes with the
// other's.
func TestToolsOfBothMakersMix(t *testing.T) {
	m, g := mosquittoTools(brokerAddr()), gannetTools(brokerAddr())
	for _, pair := range []struct{ from, to tools }{{m, g}, {g, m}} {
		t.Run(pair.from.name+"-to-"+pair.to.name, func(t *testing.T) {
			topic := unique(t, "topic")
			s := pair.to.subscribe(t, "-V", "mqttv5", "-t", topic, "-q", "2")
			for qos := range 3 {
				pair.from.publish(t, "-V", "mqttv311", "-t", topic, "-q", fmt.Sprint(qos), "-m", "hello")
				s.expect(t, topic, qos, 0, "hello")
			}
		})
	}
}

// TestTutorialStepsPrintTheSame walks through what a beginner's tutorial of mosquitto
// has one type: subscribe, publish, publish with -d, retain. Both makers' tools must
// show the same, apart from the Client Identifier that they invent.
func TestTutorialStepsPrintTheSame(t *testing.T) {
	eachTool(t, func(t *testing.T, x tools) {
		const id = "tutorial"
		topic := unique(t, "greetings")
		s := x.subscribe(t, "-t", topic)
		x.publish(t, "-t", topic, "-m", "Hello world MQTT")
		s.expect(t, topic, 0, 0, "Hello world MQTT")

		got := succeed(t, "", x.command(x.pub, []string{"-i", id, "-t", topic, "-m", "Hello world MQTT", "-d"})...)
		want := strings.ReplaceAll(`Client ID sending CONNECT
Client ID received CONNACK (0)
Client ID sending PUBLISH (d0, q0, r0, m1, 'TOPIC', ... (16 bytes))
Client ID sending DISCONNECT
`, "ID", id)
		if want = strings.ReplaceAll(want, "TOPIC", topic); got != want {
			t.Errorf("-d printed\n%s\nwant\n%s", got, want)
		}
		s.expect(t, topic, 0, 0, "Hello world MQTT")

		x.publish(t, "-t", topic, "-m", "Hello world MQTT", "-r")
		s.expect(t, topic, 0, 0, "Hello world MQTT")
		if got := succeed(t, "", x.command(x.sub, []string{"-t", topic, "-v", "-C", "1"})...); got != topic+" Hello world MQTT\n" {
			t.Errorf("-v printed %q", got)
		}
		x.publish(t, "-t", topic, "-r", "-n")
	})
}

// TestMosquittoRequestIsAnswered has mosquitto_rr ask and a 5.0 client of another
// library answer.
func TestMosquittoRequestIsAnswered(t *testing.T) {
	requests, answers := unique(t, "requests"), unique(t, "answers")
	responder := connectV5(t, "responder")
	responder.subscribe(t, 1, requests)
	x := mosquittoTools(brokerAddr())
	asking := start(t, x.command([]string{"mosquitto_rr"}, []string{"-V", "mqttv5", "-q", "1", "-t", requests, "-e", answers, "-m", "question"})...)
	question := await(t, responder.packets, "the request")
	if string(question.Payload) != "question" || question.Properties.ResponseTopic != answers {
		t.Fatalf("asked %q with response topic %q", question.Payload, question.Properties.ResponseTopic)
	}
	responder.publish(t, text(question.Properties.ResponseTopic, 1, "answer"))
	asking.until(t, "answer")
	if status := asking.status(t); status != 0 {
		t.Errorf("mosquitto_rr: exit status %d", status)
	}
}

// TestGannetToolsProveAPassword publishes and subscribes with SCRAM-SHA-256 at a broker
// that admits nobody else, and is refused with a wrong password.
func TestGannetToolsProveAPassword(t *testing.T) {
	x := gannetTools(startGannet(t, "--scram-users", usersFile(t, "rajan", "password123")))
	login := []string{"-V", "mqttv5", "--scram", "-u", "rajan", "-P", "password123"}
	s := x.subscribe(t, append(login, "-t", "greetings")...)
	x.publish(t, append(login, "-t", "greetings", "-m", "Hello world MQTT")...)
	s.expect(t, "greetings", 0, 0, "Hello world MQTT")

	r := run(t, "", x.command(x.pub, []string{"-V", "mqttv5", "--scram", "-u", "rajan", "-P", "wrong", "-t", "a", "-m", "b"})...)
	if r.status == 0 {
		t.Error("a wrong password was accepted")
	}
}

// usersFile writes a file for --scram-users with one user (RFC 5802, section 3).
func usersFile(t *testing.T, user, password string) string {
	t.Helper()
	const iterations = 4096
	salt := []byte("interoperability")
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	key := func(name string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(name))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(key("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	line := fmt.Sprintf("%s:SCRAM-SHA-256$%d:%s$%s:%s\n", user, iterations, encode(salt), encode(stored[:]), encode(key("Server Key")))
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
