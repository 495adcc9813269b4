package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAccountIsTheFirstThatExists(t *testing.T) {
	lookup := func(name string) (*user.User, error) {
		switch name {
		case "nobody", "root":
			return user.Lookup(name)
		default:
			return nil, user.UnknownUserError(name)
		}
	}
	for _, test := range []struct {
		names string
		euid  int
		want  string
		fails bool
	}{
		{"", 0, "", false},
		{"nobody", 1000, "", false},
		{"gone", 1000, "", false},
		{"root", 0, "", false},
		{"nobody", 0, "nobody", false},
		{"gone, nobody", 0, "nobody", false},
		{"gone", 0, "", true},
	} {
		a, err := findAccount(test.names, test.euid, lookup)
		name := ""
		if a != nil {
			name = a.name
		}
		if name != test.want || (err != nil) != test.fails {
			t.Errorf("%q as %d: %q, %v", test.names, test.euid, name, err)
		}
		if err != nil && err.Error() != "user: user: unknown user gone: make that user, or name another with --user" {
			t.Errorf("%v", err)
		}
	}
}

func TestDeniedFileIsExplainedAfterRootIsGivenUp(t *testing.T) {
	denied := fmt.Errorf("open key: %w", fs.ErrPermission)
	if got := (*account)(nil).explainDenied(denied); !errors.Is(got, denied) || got.Error() != denied.Error() {
		t.Errorf("no account: %v", got)
	}
	if got := (&account{name: "gull"}).explainDenied(denied); !strings.Contains(got.Error(), "this process is user gull now") || !errors.Is(got, fs.ErrPermission) {
		t.Errorf("%v", got)
	}
}

// TestRootIsGivenUpAfterThePortIsBound starts a broker as root on a port that only root may bind, with a store and files in folders of root.
func TestRootIsGivenUpAfterThePortIsBound(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	nobody, err := findAccount("nobody", 0, user.Lookup)
	if err != nil {
		t.Skipf("there is no nobody: %v", err)
	}
	dir, err := os.MkdirTemp("", "gannet") // t.TempDir is for its maker only
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	pid, log, data, conf := filepath.Join(dir, "pid"), filepath.Join(dir, "log"), filepath.Join(dir, "data"), filepath.Join(dir, "conf")
	write(t, conf, "max-sessions = 7\n")
	c := serveChild(t, dir, "--config", conf, "--user=gone,nobody", "--pid-file", pid, "--log-dest=stderr", "--log-dest=file:"+log,
		"--data-dir", data, "--listen=mqtt://127.83.7.9:883")
	if read(t, pid) != fmt.Sprintln(c.cmd.Process.Pid) {
		t.Errorf("pid-file: %q", read(t, pid))
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", c.cmd.Process.Pid))
	if err != nil || len(tasks) < 2 {
		t.Fatalf("%d threads, %v", len(tasks), err)
	}
	id := fmt.Sprintf("\t%d\t%d\t%d\t%d\n", nobody.uid, nobody.uid, nobody.uid, nobody.uid)
	for _, task := range tasks {
		status := read(t, task)
		for _, want := range []string{"Uid:" + id, "CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n"} {
			if !strings.Contains(status, want) {
				t.Errorf("%s: no %q", task, want)
			}
		}
	}
	if err := filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := entry.Info(); err == nil && owner(info) != nobody.uid {
			t.Errorf("%s belongs to %d", path, owner(info))
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(log); err != nil || owner(info) != nobody.uid {
		t.Errorf("log: %v", err)
	}

	write(t, conf, "max-sessions = 8\n") // only root can read it: what write makes is for its maker
	if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if line := c.until("not read again"); !strings.Contains(line, "this process is user nobody now") {
		t.Error(line)
	}
	if err := os.Chmod(conf, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if line := c.until("configuration changed"); !strings.Contains(line, "max-sessions: 7 -> 8") {
		t.Error(line)
	}
	c.until("configuration read again")
	c.terminate()
	if status := c.wait(); status != 0 {
		t.Errorf("status %d", status)
	}
}

func TestReloadWithAMistakeChangesNothing(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "mosquitto.conf")
	write(t, conf, "log_type all\nallow_anonymous true\n")
	c := serveChild(t, dir, "--config", conf, "--user=root") // who may read the file of root
	for _, test := range []struct{ text, want string }{
		{"log_type al\n", `mosquitto.conf:1: log_type: \"al\" is not one of`},
		{"allow_anonymous true\nlog_type all\nmax_keepalive 60\n", `max-keep-alive: 0s -> 1m`},
		{"allow_anonymous true\nlog_type all\nmax_keepalive 60\npersistence true\n", `durability: off -> sync (at the next start)`},
	} {
		write(t, conf, test.text)
		if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		c.until(test.want)
	}
	c.terminate()
	if status := c.wait(); status != 0 {
		t.Errorf("status %d", status)
	}
}
