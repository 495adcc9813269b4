package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// The tests of this file are told with mosquitto_pub and mosquitto_sub and, word for
// word, with gannet pub and gannet sub.

// TestToolsDeliverEveryQoS publishes one message at a time with each version and QoS
// to a subscriber of each version.
func TestToolsDeliverEveryQoS(t *testing.T) {
	eachToolAndVersion(t, func(t *testing.T, x tools, version string) {
		topic := unique(t, "topic")
		s := x.subscribe(t, "-V", version, "-t", topic, "-q", "2")
		for _, from := range versions() {
			for qos := range 3 {
				x.publish(t, "-V", from, "-t", topic, "-q", fmt.Sprint(qos), "-m", from)
				s.expect(t, topic, qos, 0, from)
			}
		}
	})
}

// TestToolsDeliverManyLinesInOrder pipelines lines of the standard input with every
// QoS; the subscriber leaves of itself after the last.
func TestToolsDeliverManyLinesInOrder(t *testing.T) {
	const count = 1000
	var lines []string
	for i := range count {
		lines = append(lines, fmt.Sprint("line ", i))
	}
	eachToolAndVersion(t, func(t *testing.T, x tools, version string) {
		for qos := range 3 {
			topic := unique(t, fmt.Sprint("topic", qos))
			s := x.subscribe(t, "-V", version, "-t", topic, "-q", "2", "-C", fmt.Sprint(count))
			x.publishLines(t, lines, "-V", version, "-t", topic, "-q", fmt.Sprint(qos))
			for _, line := range lines {
				s.expect(t, topic, qos, 0, line)
			}
			if status := s.status(t); status != 0 {
				t.Errorf("exit status %d", status)
			}
		}
	})
}

// TestToolsRetain sets a retained message, reads it, clears it and does not read it
// any more.
func TestToolsRetain(t *testing.T) {
	eachToolAndVersion(t, func(t *testing.T, x tools, version string) {
		topic, fence := unique(t, "topic"), unique(t, "fence")
		x.publish(t, "-V", version, "-t", topic, "-q", "1", "-r", "-m", "kept")
		x.subscribe(t, "-V", version, "-t", topic, "-q", "1").expect(t, topic, 1, 1, "kept")
		x.publish(t, "-V", version, "-t", topic, "-r", "-n")
		s := x.subscribe(t, "-V", version, "-t", topic, "-t", fence, "-q", "1")
		x.publish(t, "-V", version, "-t", fence, "-m", "end")
		s.expect(t, fence, 0, 0, "end")
	})
}

// resumable are the flags of a Session that is kept.
func resumable(version, id string) []string {
	flags := []string{"-V", version, "-i", id, "-c", "-q", "2"}
	if version == "mqttv5" {
		flags = append(flags, "-x", "3600")
	}
	return flags
}

// TestToolsResumeASession subscribes, leaves, misses messages and gets them on return,
// those of one QoS in order: a QoS 2 message is shown when its exchange is done, which
// QoS 1 messages behind it overtake.
func TestToolsResumeASession(t *testing.T) {
	const missed = 10
	eachToolAndVersion(t, func(t *testing.T, x tools, version string) {
		id, topic := unique(t, "sleeper"), unique(t, "topic")
		flags := append(resumable(version, id), "-t", topic)
		succeed(t, "", x.command(x.sub, append(flags, "-E"))...)
		for qos := 1; qos <= 2; qos++ {
			for i := range missed {
				x.publish(t, "-V", version, "-t", topic, "-q", fmt.Sprint(qos), "-m", fmt.Sprint("missed ", i))
			}
		}
		s := x.listen(t, flags...)
		for qos := 1; qos <= 2; qos++ {
			for i := range missed {
				s.expect(t, topic, qos, 0, fmt.Sprint("missed ", i))
			}
		}
		s.kill(t)
		forgetByTool(t, x, version, id)
	})
}

// forgetByTool starts clean once, so that nothing is left for a second run.
func forgetByTool(t *testing.T, x tools, version, id string) {
	t.Helper()
	x.publish(t, "-V", version, "-i", id, "-t", "interop/forget", "-n")
}

// TestToolsLeaveAWill kills a subscriber: its will is published, retained.
func TestToolsLeaveAWill(t *testing.T) {
	eachToolAndVersion(t, func(t *testing.T, x tools, version string) {
		topic := unique(t, "will")
		watcher := x.subscribe(t, "-V", version, "-t", topic, "-q", "2")
		dying := x.subscribe(t, "-V", version, "-t", unique(t, "nothing"), "--will-topic", topic,
			"--will-payload", "gone", "--will-qos", "2", "--will-retain")
		dying.kill(t)
		watcher.expect(t, topic, 2, 0, "gone")
		x.subscribe(t, "-V", version, "-t", topic, "-q", "2").expect(t, topic, 2, 1, "gone")
		x.publish(t, "-V", version, "-t", topic, "-r", "-n")
	})
}

// TestToolsAreTakenOver connects a second time under the name of a subscriber. In 5.0
// it is told why, with 0x8E (142), and leaves; a 3.x one sees a broken connection and
// comes back of itself.
func TestToolsAreTakenOver(t *testing.T) {
	eachToolAndVersion(t, func(t *testing.T, x tools, version string) {
		id, topic := unique(t, "twin"), unique(t, "topic")
		s := x.subscribe(t, "-V", version, "-i", id, "-t", topic)
		x.publish(t, "-V", version, "-i", id, "-t", unique(t, "elsewhere"), "-m", "taking over")
		if version == "mqttv5" {
			s.until(t, "eceived DISCONNECT (142)")
			return
		}
		s.until(t, "Subscribed (mid: ")
		x.publish(t, "-V", version, "-t", topic, "-m", "again")
		s.expect(t, topic, 0, 0, "again")
	})
}

// TestToolsCarryLargePayloads sends a file of 1 MiB and one near the largest packet,
// by way of a Session that waits for it, and compares the bytes.
func TestToolsCarryLargePayloads(t *testing.T) {
	sizes := []int{1 << 20, announcedMaximumPacketSize(t) - 1024}
	eachToolAndVersion(t, func(t *testing.T, x tools, version string) {
		for _, size := range sizes {
			id, topic := unique(t, fmt.Sprint("c", size)), unique(t, fmt.Sprint("topic", size))
			flags := append(resumable(version, id), "-t", topic)
			succeed(t, "", x.command(x.sub, append(flags, "-E"))...)
			file := filepath.Join(t.TempDir(), "payload")
			payload := payloadOf(size)
			if err := os.WriteFile(file, payload, 0o644); err != nil {
				t.Fatal(err)
			}
			x.publish(t, "-V", version, "-t", topic, "-q", "1", "-f", file)
			got := succeed(t, "", x.command(x.sub, append(flags, "-C", "1", "-N"))...)
			if got != string(payload) {
				t.Errorf("payload of %d bytes arrived as %d other bytes", size, len(got))
			}
			forgetByTool(t, x, version, id)
		}
	})
}

// TestToolsSubscribeToManyTopics names a hundred topics on one command line.
func TestToolsSubscribeToManyTopics(t *testing.T) {
	eachToolAndVersion(t, func(t *testing.T, x tools, version string) {
		publisher := flavours()[1].connect(t, connectOptions{id: unique(t, "pub")})
		flags := []string{"-V", version, "-q", "1"}
		var topics []string
		for i := range 100 {
			topics = append(topics, unique(t, fmt.Sprint("topic/", i)))
			flags = append(flags, "-t", topics[i])
		}
		s := x.subscribe(t, flags...)
		for i, topic := range topics {
			publisher.publish(t, text(topic, 1, fmt.Sprint(i)))
		}
		for i, topic := range topics {
			s.expect(t, topic, 1, 0, fmt.Sprint(i))
		}
	})
}

// TestToolsShareASubscription has a group of three get each message once.
func TestToolsShareASubscription(t *testing.T) {
	const count = 90
	eachTool(t, func(t *testing.T, x tools) {
		topic, fence := unique(t, "topic"), unique(t, "fence")
		var members []subscriber
		for range 3 {
			members = append(members, x.subscribe(t, "-V", "mqttv5", "-q", "1", "-t", "$share/workers/"+topic, "-t", fence))
		}
		publisher := flavours()[1].connect(t, connectOptions{id: unique(t, "pub")})
		for i := range count {
			publisher.publish(t, text(topic, 1, fmt.Sprint(i)))
		}
		publisher.publish(t, text(fence, 1, "end"))
		seen := map[string]int{}
		for i, m := range members {
			share := 0
			for got := m.next(t); got != fence+"|1|0|end"; got = m.next(t) {
				seen[got]++
				share++
			}
			if share == 0 {
				t.Errorf("member %d got nothing", i)
			}
		}
		for i := range count {
			if n := seen[fmt.Sprintf("%s|1|0|%d", topic, i)]; n != 1 {
				t.Errorf("message %d reached the group %d times", i, n)
			}
		}
	})
}

// TestToolsCarryProperties sends properties with a message and with a will.
func TestToolsCarryProperties(t *testing.T) {
	const format = mark + "%C|%R|%D|%F|%P|%p"
	properties := func(command string) []string {
		var flags []string
		for _, p := range [][]string{
			{"content-type", "text/plain"}, {"response-topic", "answer/here"}, {"correlation-data", "42"},
			{"payload-format-indicator", "1"}, {"user-property", "unit", "kelvin"},
		} {
			flags = append(append(flags, "-D", command), p...)
		}
		return flags
	}
	const wants = "text/plain|answer/here|42|1|unit:kelvin|273"
	eachTool(t, func(t *testing.T, x tools) {
		topic := unique(t, "topic")
		s := x.subscribe(t, "-V", "mqttv5", "-t", topic, "-q", "1", "-F", format)
		x.publish(t, append([]string{"-V", "mqttv5", "-t", topic, "-q", "1", "-m", "273"}, properties("publish")...)...)
		if got := s.next(t); got != wants {
			t.Errorf("message arrived as %q, want %q", got, wants)
		}
		dying := x.subscribe(t, append([]string{"-V", "mqttv5", "-t", unique(t, "nothing"),
			"--will-topic", topic, "--will-payload", "273"}, properties("will")...)...)
		dying.kill(t)
		if got := s.next(t); got != wants {
			t.Errorf("will arrived as %q, want %q", got, wants)
		}
	})
}

// TestToolsExitWithTheReasonOfRefusal connects without credentials to a broker that
// wants some, and to a port where nobody listens.
func TestToolsExitWithTheReasonOfRefusal(t *testing.T) {
	closed := startGannet(t, "--scram-users", usersFile(t, "rajan", "password123"))
	statuses := map[string]int{"mqttv31": 5, "mqttv311": 5, "mqttv5": 0x87}
	eachToolAndVersion(t, func(t *testing.T, x tools, version string) {
		x.address = closed
		for _, command := range [][]string{
			x.command(x.pub, []string{"-V", version, "-t", "a", "-m", "b"}),
			x.command(x.sub, []string{"-V", version, "-t", "a"}),
		} {
			if r := run(t, "", command...); r.status != statuses[version] {
				t.Errorf("%v: exit status %d, want %d: %s", command, r.status, statuses[version], r.stderr)
			}
		}
		x.address = "127.0.0.1:1"
		if r := run(t, "", x.command(x.pub, []string{"-V", version, "-t", "a", "-m", "b"})...); r.status != 1 {
			t.Errorf("nobody listens: exit status %d, want 1: %s", r.status, r.stderr)
		}
	})
}
