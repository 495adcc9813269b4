package secure

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestSettings runs both brokers on options of mosquitto.conf that a client can tell from
// outside, and compares what mosquitto's clients print.
func TestSettings(t *testing.T) {
	publish := func(flags ...string) []string { return with([]string{"mosquitto_pub", "-h", "localhost"}, flags...) }
	subscribe := func(flags ...string) []string { return with([]string{"mosquitto_sub", "-h", "localhost"}, flags...) }
	for _, test := range []struct {
		name  string
		conf  string // PORT is the first listener's, OTHER a second one's, DIR has auth.txt with rajan and acl.txt
		acl   string
		steps [][]string // -p is added if it is missing
	}{
		{"use_username_as_clientid", "use_username_as_clientid true", "pattern write own/%c\n", [][]string{
			publish("-u", "rajan", "-P", "password123", "-i", "other", "-V", "mqttv5", "-q", "1", "-t", "own/rajan", "-m", "x", "-d"),
			publish("-u", "rajan", "-P", "password123", "-i", "other", "-V", "mqttv5", "-q", "1", "-t", "own/other", "-m", "x", "-d"),
			publish("-i", "other", "-t", "a", "-m", "x", "-d"),
		}},
		{"clientid_prefixes", "clientid_prefixes dev-", "", [][]string{
			publish("-i", "dev-1", "-t", "a", "-m", "x", "-d"),
			publish("-i", "other", "-t", "a", "-m", "x", "-d"),
			publish("-i", "other", "-V", "mqttv5", "-t", "a", "-m", "x", "-d"),
		}},
		{"allow_zero_length_clientid", "allow_zero_length_clientid false", "", [][]string{
			publish("-t", "a", "-m", "x", "-d"),
			publish("-i", "named", "-t", "a", "-m", "x", "-d"),
		}},
		{"max_keepalive", "max_keepalive 30", "", [][]string{
			publish("-i", "c", "-k", "20", "-t", "a", "-m", "x", "-d"),
			publish("-i", "c", "-k", "60", "-V", "mqttv5", "-t", "a", "-m", "x", "-d"),
		}},
		{"retain_available", "retain_available false", "", [][]string{
			publish("-i", "c", "-V", "mqttv5", "-q", "1", "-t", "a", "-m", "x", "-d"),
			publish("-i", "c", "-V", "mqttv5", "-q", "1", "-r", "-t", "a", "-m", "x", "-d"),
		}},
		{"max_qos", "max_qos 1", "", [][]string{
			publish("-i", "c", "-V", "mqttv5", "-q", "1", "-t", "a", "-m", "x", "-d"),
			publish("-i", "c", "-V", "mqttv5", "-q", "2", "-t", "a", "-m", "x", "-d"),
		}},
		{"message_size_limit", "message_size_limit 10", "", [][]string{
			publish("-i", "c", "-V", "mqttv5", "-q", "1", "-t", "a", "-m", "0123456789", "-d"),
			publish("-i", "c", "-q", "1", "-t", "a", "-m", "0123456789a", "-d"),
			publish("-i", "c", "-q", "2", "-t", "a", "-m", "0123456789a", "-d"),
		}},
		{"per_listener_settings", "allow_anonymous true\nlistener OTHER 127.0.0.1\nallow_anonymous false\npassword_file DIR/auth.txt", "", [][]string{
			publish("-i", "c", "-t", "a", "-m", "x", "-d"),
			publish("-i", "c", "-u", "nobody", "-P", "x", "-t", "a", "-m", "x", "-d"),
			publish("-p", "OTHER", "-i", "c", "-t", "a", "-m", "x", "-d"),
			publish("-p", "OTHER", "-i", "c", "-u", "rajan", "-P", "password123", "-t", "a", "-m", "x", "-d"),
		}},
		{"mount_point", "mount_point site/\nlistener OTHER 127.0.0.1", "", [][]string{
			publish("-i", "c", "-q", "1", "-r", "-t", "lamp", "-m", "on", "-d"),
			subscribe("-p", "OTHER", "-i", "c", "-t", "site/#", "-C", "1", "-v", "-d"),
			publish("-p", "OTHER", "-i", "c", "-q", "1", "-r", "-t", "site/door", "-m", "shut", "-d"),
			subscribe("-i", "c", "-t", "door", "-C", "1", "-F", "%q %r %p"),
		}},
		{"wills that may not be published", "", "topic readwrite open/#\n", [][]string{
			publish("-i", "c", "-t", "open/a", "-m", "x", "-d", "--will-topic", "open/w", "--will-payload", "w"),
			publish("-i", "c", "-t", "open/a", "-m", "x", "-d", "--will-topic", "shut/w", "--will-payload", "w"),
			publish("-i", "c", "-V", "mqttv5", "-t", "open/a", "-m", "x", "-d", "--will-topic", "shut/w", "--will-payload", "w"),
		}},
		{"retained messages that may not be read", "", "topic write open/#\ntopic read open/a\n", [][]string{
			publish("-i", "c", "-q", "1", "-r", "-t", "open/b", "-m", "hidden", "-d"),
			publish("-i", "c", "-q", "1", "-r", "-t", "open/a", "-m", "seen", "-d"),
			subscribe("-i", "c", "-t", "open/#", "-C", "1", "-v", "-d"),
			subscribe("-i", "c", "-V", "mqttv5", "-t", "$share/g/open/b", "-E", "-d"),
		}},
		{"queue_qos0_messages", "queue_qos0_messages true", "", [][]string{
			subscribe("-i", "parked", "-c", "-q", "1", "-t", "a", "-E", "-d"),
			publish("-i", "c", "-q", "0", "-t", "a", "-m", "zero", "-d"),
			publish("-i", "c", "-q", "1", "-t", "a", "-m", "one", "-d"),
			subscribe("-i", "parked", "-c", "-q", "1", "-t", "a", "-C", "2", "-v"),
		}},
		{"without queue_qos0_messages", "", "", [][]string{
			subscribe("-i", "parked", "-c", "-q", "1", "-t", "a", "-E", "-d"),
			publish("-i", "c", "-q", "0", "-t", "a", "-m", "zero", "-d"),
			publish("-i", "c", "-q", "1", "-t", "a", "-m", "one", "-d"),
			subscribe("-i", "parked", "-c", "-q", "1", "-t", "a", "-C", "1", "-v"),
		}},
		{"max_inflight_messages 1", "max_inflight_messages 1", "", [][]string{
			subscribe("-i", "parked", "-c", "-q", "2", "-t", "a", "-E"),
			publish("-i", "c", "-q", "2", "-t", "a", "-m", "1"),
			publish("-i", "c", "-q", "1", "-t", "a", "-m", "2"),
			publish("-i", "c", "-q", "2", "-t", "a", "-m", "3"),
			subscribe("-i", "parked", "-c", "-q", "2", "-t", "a", "-C", "3", "-F", "%q %p"),
		}},
		{"max_queued_messages", "max_queued_messages 2\nmax_inflight_messages 1", "", [][]string{
			subscribe("-i", "parked", "-c", "-q", "1", "-t", "a", "-E"),
			publish("-i", "c", "-q", "1", "-t", "a", "-m", "1", "-d"),
			publish("-i", "c", "-q", "1", "-t", "a", "-m", "2", "-d"),
		}},
		{"sys", "", "", [][]string{
			subscribe("-i", "c", "-t", "$SYS/broker/clients/connected", "-C", "1", "-F", "%t %q %r"),
			subscribe("-i", "c", "-t", "$SYS/broker/uptime", "-C", "1", "-F", "%t %q %r"),
			publish("-i", "c", "-V", "mqttv5", "-q", "1", "-t", "$SYS/broker/uptime", "-m", "x", "-d"),
			publish("-i", "c", "-V", "mqttv5", "-q", "1", "-t", "$SYS/mine", "-m", "x", "-d"),
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			alike(t, func(t *testing.T, m maker, l *ledger) {
				dir, port, other := folder(t), freePort(t), freePort(t)
				l.evenOut(port, "PORT")
				l.evenOut(other, "OTHER")
				succeed(t, dir, "mosquitto_passwd", "-c", "-b", "auth.txt", "rajan", "password123")
				conf := "listener PORT 127.0.0.1\n" + test.conf + "\n"
				if test.name == "per_listener_settings" {
					conf = "per_listener_settings true\n" + conf
				} else {
					conf = "allow_anonymous true\npassword_file DIR/auth.txt\n" + conf
				}
				if test.acl != "" {
					write(t, filepath.Join(dir, "acl.txt"), test.acl)
					conf += "acl_file DIR/acl.txt\n"
				}
				fill := strings.NewReplacer("PORT", port, "OTHER", other, "DIR", dir)
				listening := []string{port}
				if strings.Contains(conf, "OTHER") {
					listening = append(listening, other)
				}
				m.serve(t, dir, fill.Replace(conf), listening...)
				for i, step := range test.steps {
					name := fmt.Sprintf("step %d: %s", i+1, strings.Join(step, " "))
					command := append([]string(nil), step...)
					for j := range command {
						command[j] = strings.ReplaceAll(command[j], "OTHER", other)
					}
					if !strings.Contains(name, "-p OTHER") {
						command = with(command, "-p", port)
					}
					l.tell(name, run(t, "", "", command...))
				}
			})
		})
	}
}

// TestSettingsThatDiffer holds each broker to its own answer where they differ, with the
// reason why Gannet's stays.
func TestSettingsThatDiffer(t *testing.T) {
	for _, test := range []struct {
		name    string
		conf    string
		command []string // -p is added
		want    map[string]string
	}{
		{"an empty identifier that is not allowed has a code of its own in 5.0", "allow_zero_length_clientid false\n",
			[]string{"mosquitto_pub", "-V", "mqttv5", "-t", "a", "-m", "x", "-d"},
			map[string]string{"mosquitto": "CONNACK (128)", "gannet": "CONNACK (133)"}},
		{"PUBACK may not say 0x95", "message_size_limit 1\n",
			[]string{"mosquitto_pub", "-V", "mqttv5", "-q", "1", "-t", "a", "-m", "xx", "-d"},
			map[string]string{"mosquitto": "RC:149", "gannet": "RC:151"}},
		{"a mount point is taken off retained messages, too, as mosquitto's manual has it", "mount_point site/\n",
			[]string{"mosquitto_sub", "-t", "lamp", "-C", "1", "-v"},
			map[string]string{"mosquitto": "site/lamp on", "gannet": "\nlamp on"}},
		{"2.0.11 does not hold 3.1.1 clients to max_keepalive, later ones refuse them like this", "max_keepalive 30\n",
			[]string{"mosquitto_pub", "-i", "c", "-k", "60", "-t", "a", "-m", "x", "-d"},
			map[string]string{"mosquitto": "CONNACK (0)", "gannet": "CONNACK (2)"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			each(t, func(t *testing.T, m maker) {
				const reference = "mosquitto version 2.0.11"
				if m.name == "mosquitto" && !strings.HasPrefix(run(t, "", "", m.binary, "-h").stdout, reference) {
					t.Skip("what mosquitto does here was looked up in 2.0.11, Debian 12's")
				}
				port := freePort(t)
				m.serve(t, folder(t), "listener "+port+" 127.0.0.1\nallow_anonymous true\n"+test.conf, port)
				if test.command[0] == "mosquitto_sub" {
					succeed(t, "", pub(port, "-t", "lamp", "-m", "on", "-r", "-q", "1")...)
				}
				r := run(t, "", "", with(test.command, "-p", port)...)
				if said := "\n" + r.stdout; !strings.Contains(said, test.want[m.name]) {
					t.Errorf("want %q: %v", test.want[m.name], r)
				}
			})
		})
	}
}
