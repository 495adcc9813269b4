package secure

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// maker is one maker's broker, which reads a mosquitto.conf.
type maker struct {
	name   string
	binary string
}

func gannet() maker { return maker{"gannet", os.Getenv("INTEROP_BIN")} }

// mosquitto is Debian's broker, which it keeps out of an ordinary user's PATH.
func mosquitto() maker {
	const path = "/usr/sbin/mosquitto"
	if _, err := os.Stat(path); err == nil {
		return maker{"mosquitto", path}
	}
	return maker{"mosquitto", "mosquitto"}
}

// makers are those that INTEROP_BROKERS names, or both. mosquitto comes first: it sets
// the expectation.
func makers() []maker {
	wanted := strings.Split(os.Getenv("INTEROP_BROKERS"), ",")
	both := []maker{mosquitto(), gannet()}
	if wanted[0] == "" {
		return both
	}
	return slices.DeleteFunc(both, func(m maker) bool { return !slices.Contains(wanted, m.name) })
}

// each tells one story of every maker's broker.
func each(t *testing.T, story func(t *testing.T, m maker)) {
	for _, m := range makers() {
		t.Run(m.name, func(t *testing.T) { story(t, m) })
	}
}

// onGannet tells a story that mosquitto does not take part in; why says the reason.
func onGannet(t *testing.T, why string, story func(t *testing.T, m maker)) {
	if !slices.Contains(makers(), gannet()) {
		t.Skipf("Gannet only: %s", why)
	}
	t.Run("gannet", func(t *testing.T) { story(t, gannet()) })
}

// broker is a running one.
type broker struct {
	*dialogue
	maker maker
	dir   string // where its mosquitto.conf is
}

// configure writes conf to dir/mosquitto.conf. A broker of root's would give up root and
// then not see the test's files, so it is told to stay; debian_test.go lets it go.
func configure(t *testing.T, dir, conf string) string {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "mosquitto.conf")
	write(t, path, "user "+me.Username+"\n"+conf)
	return path
}

// serve runs m on conf and waits until it listens on each of addresses: ports of
// 127.0.0.1, or paths of sockets.
func (m maker) serve(t *testing.T, dir, conf string, addresses ...string) *broker {
	t.Helper()
	return m.serveFile(t, configure(t, dir, conf), addresses...)
}

func (m maker) serveFile(t *testing.T, path string, addresses ...string) *broker {
	t.Helper()
	return m.serveFlags(t, path, nil, addresses...)
}

func (m maker) serveFlags(t *testing.T, path string, flags []string, addresses ...string) *broker {
	t.Helper()
	b := &broker{talkRaw(t, with([]string{m.binary, "-c", path}, flags...)...), m, filepath.Dir(path)}
	for _, a := range addresses {
		eventually(t, m.name+" listens on "+a, func() bool {
			select {
			case <-b.ended:
				t.Fatalf("%s ended with status %d", m.name, b.command.ProcessState.ExitCode())
			default:
			}
			network, address := "tcp", "127.0.0.1:"+a
			if strings.HasPrefix(a, "/") {
				network, address = "unix", a
			}
			c, err := net.DialTimeout(network, address, patience)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	return b
}

// hangUp sends SIGHUP.
func (b *broker) hangUp(t *testing.T) {
	t.Helper()
	if err := b.command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// stop ends the broker in an orderly way.
func (b *broker) stop(t *testing.T) {
	t.Helper()
	if err := b.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := b.status(t); status != 0 {
		t.Errorf("%s ended with status %d", b.maker.name, status)
	}
}

// refusesToStart runs m on conf, which has to end it, and returns what it said.
func (m maker) refusesToStart(t *testing.T, dir, conf string) result {
	t.Helper()
	r := run(t, "", "", m.binary, "-c", configure(t, dir, conf))
	if r.status == 0 {
		t.Errorf("%s accepted\n%s", m.name, conf)
	}
	return r
}

// pub and sub are the clients of mosquitto-clients, pointed at a port.
func pub(port string, flags ...string) []string {
	return with([]string{"mosquitto_pub", "-h", "localhost", "-p", port}, flags...)
}

func sub(port string, flags ...string) []string {
	return with([]string{"mosquitto_sub", "-h", "localhost", "-p", port}, flags...)
}

// subscriber is a running mosquitto_sub that prints one marked line for each message,
// among the lines of -d.
type subscriber struct{ *dialogue }

const mark = "MESSAGE "

// subscribe starts command, a mosquitto_sub, and returns when it is subscribed.
func subscribe(t *testing.T, command ...string) subscriber {
	t.Helper()
	s := subscriber{talk(t, with(command, "-d", "-F", mark+"%t|%q|%r|%p")...)}
	s.until(t, "Subscribed (mid: ")
	return s
}

// expect fails the test unless the next message is this one.
func (s subscriber) expect(t *testing.T, topic string, qos, retain int, payload string) {
	t.Helper()
	got := strings.TrimPrefix(s.line(t, mark), mark)
	if want := fmt.Sprintf("%s|%d|%d|%s", topic, qos, retain, payload); got != want {
		t.Fatalf("received %.200q, want %.200q", got, want)
	}
}

// have fails the test where a command is missing that run.sh installs.
func have(t *testing.T, command string) string {
	t.Helper()
	path, err := exec.LookPath(command)
	if err != nil {
		t.Fatalf("%s is missing: start the suite with run.sh, which installs it", command)
	}
	return path
}

// soon is a deadline for a network connection.
func soon() time.Time { return time.Now().Add(patience) }
