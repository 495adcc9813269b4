package secure

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The tests of this file follow a beginner's tutorial of mosquitto, with the commands as
// a user types them.

// protocols are the values of -V.
func protocols() []string { return []string{"mqttv31", "mqttv311", "mqttv5"} }

// passwordFiles are the ways in which a user gets auth.txt with rajan and password123.
// Each returns it.
var passwordFiles = []struct {
	name string
	make func(t *testing.T, dir string) string
}{
	{"mosquitto_passwd -c", func(t *testing.T, dir string) string {
		return typed(t, dir, "mosquitto_passwd", "-c", "auth.txt", "rajan")
	}},
	{"gannet passwd -c", func(t *testing.T, dir string) string {
		return typed(t, dir, gannet().binary, "passwd", "-c", "auth.txt", "rajan")
	}},
	{"mosquitto_passwd -U", func(t *testing.T, dir string) string {
		return upgraded(t, dir, "mosquitto_passwd", "-U", "auth.txt")
	}},
	{"gannet passwd -U", func(t *testing.T, dir string) string {
		return upgraded(t, dir, gannet().binary, "passwd", "-U", "auth.txt")
	}},
	{"mosquitto_passwd -b", func(t *testing.T, dir string) string {
		succeed(t, dir, "mosquitto_passwd", "-c", "-b", "auth.txt", "rajan", "password123")
		return filepath.Join(dir, "auth.txt")
	}},
	{"gannet passwd -b", func(t *testing.T, dir string) string {
		succeed(t, dir, gannet().binary, "passwd", "-c", "-b", "auth.txt", "rajan", "password123")
		return filepath.Join(dir, "auth.txt")
	}},
}

// typed runs a command at a terminal and types the password when asked for it.
func typed(t *testing.T, dir string, command ...string) string {
	t.Helper()
	x := atTerminal(t, dir, command...)
	x.password(t, "Password: ", "password123")
	x.password(t, "Reenter password: ", "password123")
	if status := x.status(t); status != 0 {
		t.Fatalf("%v: exit status %d", command, status)
	}
	if strings.Contains(x.all(), "password123") {
		t.Errorf("%v echoed the password: %q", command, x.all())
	}
	return filepath.Join(dir, "auth.txt")
}

// upgraded writes the plain file of the tutorial and has the command encrypt it.
func upgraded(t *testing.T, dir string, command ...string) string {
	t.Helper()
	file := filepath.Join(dir, "auth.txt")
	write(t, file, "rajan:password123\nsita:another:with colon\n")
	succeed(t, dir, command...)
	if strings.Contains(read(t, file), "password123") {
		t.Fatalf("%v left the password in the file", command)
	}
	return file
}

// TestTutorialPasswordFiles has every kind of file let the right one in, and nobody else.
func TestTutorialPasswordFiles(t *testing.T) {
	for _, way := range passwordFiles {
		t.Run(way.name, func(t *testing.T) {
			each(t, func(t *testing.T, m maker) {
				dir, port := folder(t), freePort(t)
				file := way.make(t, dir)
				m.serve(t, dir, fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous false\npassword_file %s\n", port, file), port)
				s := subscribe(t, sub(port, "-u", "rajan", "-P", "password123", "-t", "greetings")...)
				succeed(t, "", pub(port, "-t", "greetings", "-m", "Hello World MQTT", "-u", "rajan", "-P", "password123", "-d")...)
				s.expect(t, "greetings", 0, 0, "Hello World MQTT")
				if r := run(t, "", "", pub(port, "-t", "greetings", "-m", "x", "-u", "rajan", "-P", "password124")...); r.status != 5 {
					t.Errorf("wrong password: %v", r)
				}
			})
		})
	}
}

// TestTutorialOldHash takes a file with the $6$ hash that the tutorial shows, as
// mosquitto 1 wrote it.
func TestTutorialOldHash(t *testing.T) {
	each(t, func(t *testing.T, m maker) {
		dir, port := folder(t), freePort(t)
		file := filepath.Join(dir, "auth.txt")
		write(t, file, "rajan:$6$dtMF49Z2e8YSrYEY$1nAtPhU4V+d8dj/3glka5H7VrQBf/IZ2WFhJDQI5CGpbK6soFrwk0cciOf0pioSvkTsiZ9rD24pOZTPpYxq1Kg==\n")
		m.serve(t, dir, fmt.Sprintf("listener %s 127.0.0.1\npassword_file %s\n", port, file), port)
		succeed(t, "", pub(port, "-t", "greetings", "-m", "x", "-u", "rajan", "-P", "password123")...)
		if r := run(t, "", "", pub(port, "-t", "greetings", "-m", "x", "-u", "rajan", "-P", "wrong")...); r.status != 5 {
			t.Errorf("wrong password: %v", r)
		}
	})
}

// TestTutorialPrintsTheSame compares all that a user sees: who gets in, who does not,
// with which words and which exit status.
func TestTutorialPrintsTheSame(t *testing.T) {
	logins := []struct {
		name  string
		flags []string
		in    bool
	}{
		{"right", []string{"-u", "rajan", "-P", "password123"}, true},
		{"wrong password", []string{"-u", "rajan", "-P", "wrong"}, false},
		{"empty password", []string{"-u", "rajan", "-P", ""}, false},
		{"no password", []string{"-u", "rajan"}, false},
		{"unknown user", []string{"-u", "nobody", "-P", "password123"}, false},
		{"other case", []string{"-u", "Rajan", "-P", "password123"}, false},
		{"empty user", []string{"-u", "", "-P", "password123"}, false},
		{"anonymous", nil, false},
	}
	alike(t, func(t *testing.T, m maker, l *ledger) {
		dir, port := folder(t), freePort(t)
		l.evenOut(port, "PORT")
		succeed(t, dir, "mosquitto_passwd", "-c", "-b", "auth.txt", "rajan", "password123")
		m.serve(t, dir, fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous false\npassword_file %s\n", port, filepath.Join(dir, "auth.txt")), port)
		for _, version := range protocols() {
			refused := 5
			if version == "mqttv5" {
				refused = 0x87
			}
			for _, login := range logins {
				flags := append([]string{"-V", version, "-t", "greetings"}, login.flags...)
				for _, command := range [][]string{
					pub(port, with(flags, "-m", "Hello World MQTT")...),
					pub(port, with(flags, "-m", "Hello World MQTT", "-d")...),
					pub(port, with(flags, "-m", "Hello World MQTT", "-d", "-r", "-q", "2")...),
					sub(port, with(flags, "-C", "1", "-d", "-v")...),
				} {
					step := fmt.Sprintf("%s, %s: %s", version, login.name, l.level(strings.Join(command, " ")))
					want := refused
					if login.in {
						want = 0
					}
					if r := l.tell(step, run(t, "", "", command...)); r.status != want {
						t.Errorf("%s: %v", step, r)
					}
				}
			}
		}
	})
}

// TestTutorialRetain sets a message with -r, which later subscribers get at once, and one
// that replaces it.
func TestTutorialRetain(t *testing.T) {
	each(t, func(t *testing.T, m maker) {
		dir, port := folder(t), freePort(t)
		login := []string{"-u", "rajan", "-P", "password123", "-t", "greetings"}
		succeed(t, dir, "mosquitto_passwd", "-c", "-b", "auth.txt", "rajan", "password123")
		m.serve(t, dir, fmt.Sprintf("listener %s 127.0.0.1\npassword_file %s\n", port, filepath.Join(dir, "auth.txt")), port)
		for _, text := range []string{"Hello World MQTT", "only the last is retained"} {
			succeed(t, "", pub(port, with(login, "-m", text, "-d", "-r")...)...)
			if got := succeed(t, "", sub(port, with(login, "-C", "1", "-v")...)...); got != "greetings "+text+"\n" {
				t.Errorf("a new subscriber saw %q", got)
			}
		}
	})
}

// TestTutorialReload adds a user, changes one and removes one, each followed by SIGHUP.
// A client that is there all along goes on.
func TestTutorialReload(t *testing.T) {
	each(t, func(t *testing.T, m maker) {
		dir, port := folder(t), freePort(t)
		file := filepath.Join(dir, "auth.txt")
		succeed(t, dir, "mosquitto_passwd", "-c", "-b", "auth.txt", "rajan", "password123")
		b := m.serve(t, dir, fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous false\npassword_file %s\n", port, file), port)
		const connectionLost = 7 // for who is there in the moment in which his name is taken away
		removed := false
		may := func(user, password string) bool {
			r := run(t, "", "", pub(port, "-u", user, "-P", password, "-t", "probe", "-m", "x")...)
			if r.status != 0 && r.status != 5 && (r.status != connectionLost || !removed) {
				t.Fatalf("neither accepted nor refused: %v", r)
			}
			return r.status == 0
		}
		s := subscribe(t, sub(port, "-u", "rajan", "-P", "password123", "-t", "greetings", "-q", "1")...)
		if may("sita", "secret") {
			t.Fatal("a user that is not in the file yet may publish")
		}
		succeed(t, dir, "mosquitto_passwd", "-b", "auth.txt", "sita", "secret")
		b.hangUp(t)
		eventually(t, "the new user may publish", func() bool { return may("sita", "secret") })
		succeed(t, dir, gannet().binary, "passwd", "-b", "auth.txt", "sita", "changed")
		b.hangUp(t)
		eventually(t, "the new password counts", func() bool { return may("sita", "changed") })
		if may("sita", "secret") {
			t.Error("the old password still counts")
		}
		succeed(t, "", pub(port, "-u", "sita", "-P", "changed", "-t", "greetings", "-q", "1", "-m", "I am new")...)
		s.expect(t, "greetings", 1, 0, "I am new")
		succeed(t, dir, "mosquitto_passwd", "-D", "auth.txt", "sita")
		removed = true
		b.hangUp(t)
		eventually(t, "the removed user is refused", func() bool { return !may("sita", "changed") })
		succeed(t, "", pub(port, "-u", "rajan", "-P", "password123", "-t", "greetings", "-q", "1", "-m", "still here")...)
		s.expect(t, "greetings", 1, 0, "still here")
	})
}

// TestTutorialWithoutAuthentication shows what a configuration without a word on who may
// come means: nobody from a listener that is declared, everybody on this machine without one.
func TestTutorialWithoutAuthentication(t *testing.T) {
	alike(t, func(t *testing.T, m maker, l *ledger) {
		port := freePort(t)
		l.evenOut(port, "PORT")
		m.serve(t, folder(t), fmt.Sprintf("listener %s 127.0.0.1\n", port), port)
		if r := l.tell("a listener and nothing else", run(t, "", "", pub(port, "-t", "a", "-m", "b")...)); r.status != 5 {
			t.Errorf("anonymous on a declared listener: %v", r)
		}
		other := freePort(t)
		l.evenOut(other, "PORT")
		m.serve(t, folder(t), fmt.Sprintf("port %s\n", other), other)
		l.tell("port and nothing else", run(t, "", "", pub(other, "-t", "a", "-m", "b")...))
	})
}

// TestTutorialAccessControl gives each user topics of their own, by name and by pattern,
// and compares what clients see with mosquitto.
func TestTutorialAccessControl(t *testing.T) {
	const rules = `# anybody
topic read news/#

user rajan
topic readwrite home/rajan/#
topic deny home/rajan/secret
topic write log with spaces/+/in

user sita
topic read home/#

pattern readwrite own/%u/#
pattern write devices/%c/state
`
	alike(t, func(t *testing.T, m maker, l *ledger) {
		dir, port := folder(t), freePort(t)
		l.evenOut(port, "PORT")
		acl := filepath.Join(dir, "acl.txt")
		write(t, acl, rules)
		succeed(t, dir, "mosquitto_passwd", "-c", "-b", "auth.txt", "rajan", "password123")
		for _, user := range []string{"sita", "#", "a+b"} {
			succeed(t, dir, "mosquitto_passwd", "-b", "auth.txt", user, "password123")
		}
		b := m.serve(t, dir, fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\npassword_file %s\nacl_file %s\n",
			port, filepath.Join(dir, "auth.txt"), acl), port)

		login := func(user, id string) []string {
			flags := []string{"-i", id}
			if user != "" {
				flags = with(flags, "-u", user, "-P", "password123")
			}
			return flags
		}
		topics := []string{"news/today", "home/rajan/lamp", "home/rajan/secret", "home/rajan", "home/sita/lamp", "log with spaces/a/in",
			"own/rajan/x", "own/sita/x", "own/#", "own/+/x", "devices/meter/state", "devices/other/state", "/", "$SYS/broker/uptime"}
		users := []string{"", "rajan", "sita", "#", "a+b"}
		for _, user := range users {
			// Version 5.0 tells who may not publish: the status is that of PUBACK.
			for _, topic := range topics {
				flags := with(login(user, "meter"), "-V", "mqttv5", "-q", "1", "-t", topic, "-m", "x", "-d")
				l.tell(fmt.Sprintf("%q publishes to %s", user, topic), run(t, "", "", pub(port, flags...)...))
			}
		}
		for _, user := range users {
			for _, filter := range []string{"news/#", "home/rajan/lamp", "home/#", "#", "own/+/x", "other"} {
				flags := with(login(user, "reader"), "-V", "mqttv5", "-t", filter, "-d", "-E")
				l.tell(fmt.Sprintf("%q subscribes to %s", user, filter), run(t, "", "", sub(port, flags...)...))
			}
		}
		// What arrives is what may be read, whatever was subscribed to.
		s := subscribe(t, sub(port, with(login("sita", "s"), "-t", "#")...)...)
		for _, topic := range []string{"home/rajan/secret", "own/rajan/x", "home/rajan/lamp", "own/sita/x"} {
			user := "rajan"
			if topic == "own/sita/x" {
				user = "sita"
			}
			succeed(t, "", pub(port, with(login(user, "p"), "-t", topic, "-m", "x")...)...)
		}
		s.expect(t, "home/rajan/lamp", 0, 0, "x")
		s.expect(t, "own/sita/x", 0, 0, "x")

		// New rules count after SIGHUP, for those who are there, too.
		write(t, acl, "user rajan\ntopic write home/rajan/#\ntopic write end\nuser sita\ntopic read end\n")
		b.hangUp(t)
		publish := func(topic, text string) {
			succeed(t, "", pub(port, with(login("rajan", "p"), "-t", topic, "-m", text)...)...)
		}
		eventually(t, "the new rules count", func() bool {
			publish("end", "probe")
			return strings.Contains(s.all(), mark+"end|0|0|probe")
		})
		publish("home/rajan/lamp", "not for sita")
		publish("end", "over")
		s.until(t, mark+"end|0|0|over")
		if strings.Contains(s.all(), "not for sita") {
			t.Error("sita still reads what the new rules do not allow")
		}
	})
}

// TestTutorialDebianConfiguration starts from the mosquitto.conf that Debian installs, with
// what the user adds in conf.d, and only the folders moved. Started by root, the broker
// gives root up for the user mosquitto.
func TestTutorialDebianConfiguration(t *testing.T) {
	const conf = `# Place your local configuration in DIR/conf.d/
#
# A full description of the configuration file is at
# /usr/share/doc/mosquitto/examples/mosquitto.conf.example

pid_file DIR/run/mosquitto.pid

persistence true
persistence_location DIR/lib/

log_dest file DIR/log/mosquitto.log

include_dir DIR/conf.d
`
	alike(t, func(t *testing.T, m maker, l *ledger) {
		dir, port := folder(t), freePort(t)
		l.evenOut(port, "PORT")
		for _, d := range []string{"run", "lib", "log", "conf.d"} {
			if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		asRoot := os.Geteuid() == 0
		if asRoot {
			succeed(t, dir, "chown", "mosquitto", "run", "lib", "log")
		}
		succeed(t, dir, "mosquitto_passwd", "-c", "-b", "auth.txt", "rajan", "password123")
		if asRoot {
			succeed(t, dir, "chown", "mosquitto", "auth.txt")
		}
		write(t, filepath.Join(dir, "mosquitto.conf"), strings.ReplaceAll(conf, "DIR", dir))
		write(t, filepath.Join(dir, "conf.d", "README"), "not a configuration\n")
		write(t, filepath.Join(dir, "conf.d", "20-auth.conf"), "allow_anonymous false\npassword_file "+filepath.Join(dir, "auth.txt")+"\n")
		write(t, filepath.Join(dir, "conf.d", "10-listen.conf"), "listener "+port+" 127.0.0.1\n")

		b := m.serveFile(t, filepath.Join(dir, "mosquitto.conf"), port)
		pid := fmt.Sprint(b.command.Process.Pid)
		eventually(t, "the pid is written", func() bool {
			content, _ := os.ReadFile(filepath.Join(dir, "run", "mosquitto.pid"))
			return strings.TrimSpace(string(content)) == pid
		})
		if asRoot {
			if uid, want := ownerOf(t, pid), strings.TrimSpace(succeed(t, "", "id", "-u", "mosquitto")); uid != want {
				t.Errorf("runs as user %s, want %s", uid, want)
			}
		}
		login := []string{"-u", "rajan", "-P", "password123", "-t", "greetings"}
		l.tell("publish", run(t, "", "", pub(port, with(login, "-m", "kept", "-r", "-d")...)...))
		l.tell("anonymous", run(t, "", "", pub(port, "-t", "greetings", "-m", "x")...))
		if log := read(t, filepath.Join(dir, "log", "mosquitto.log")); log == "" {
			t.Error("the log is empty")
		}
		b.stop(t)
		m.serveFile(t, filepath.Join(dir, "mosquitto.conf"), port)
		l.tell("retained after a restart", run(t, "", "", sub(port, with(login, "-C", "1", "-v")...)...))
	})
}

// ownerOf is the effective user of a process (proc(5)).
func ownerOf(t *testing.T, pid string) string {
	t.Helper()
	for _, line := range strings.Split(read(t, "/proc/"+pid+"/status"), "\n") {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "Uid:" {
			return fields[2]
		}
	}
	t.Fatal("no Uid line")
	return ""
}
