package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestIncludedFilesAreFilesOfTheFolder(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	write(t, secret, "x\n")
	write(t, filepath.Join(dir, "a.conf"), "\n")
	write(t, filepath.Join(dir, "README"), "\n")
	inside := filepath.Join(dir, "..data")
	if err := os.Mkdir(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(inside, "b"), "\n")
	link(t, "..data/b", filepath.Join(dir, "b.conf")) // as Kubernetes mounts files
	names, err := listConfigFiles(dir)
	if err != nil || !slices.Equal(names, []string{"a.conf", "b.conf"}) {
		t.Fatalf("%q, %v", names, err)
	}

	out := filepath.Join(dir, "out.conf")
	link(t, secret, out)
	if names, err = listConfigFiles(dir); err != nil || !slices.Contains(names, "out.conf") {
		t.Errorf("own link: %q, %v", names, err)
	}
	if os.Geteuid() == 0 {
		if err := os.Lchown(out, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		_, err := listConfigFiles(dir)
		if err == nil || !strings.Contains(err.Error(), "made by user 65534") {
			t.Errorf("somebody else's link: %v", err)
		}
	}
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "pipe.conf")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listConfigFiles(dir); err == nil || !strings.Contains(err.Error(), "pipe.conf is not a file") {
		t.Errorf("pipe: %v", err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func TestTestConfigPrintsWhatIsInForce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mosquitto.conf")
	write(t, path, "listener 1884\nallow_anonymous true\nupgrade_outgoing_qos true\n")
	for _, flag := range []string{"--test-config", "--check-config"} {
		got := run(t, "", "-c", path, flag, "--jwt-secret=hush, and thirty-two bytes at the least")
		if got.status != 0 || strings.Contains(got.stdout, "hush") {
			t.Errorf("%s: %+v", flag, got)
		}
		for _, want := range []string{"# gannet: the configuration is sound", "[listener mqtt://:1884]", "allow-anonymous = true", "durability = off", "# jwt-secret = (hidden)", "# password-file ="} {
			if !strings.Contains(got.stdout, want+"\n") {
				t.Errorf("%s: no line %q in\n%s", flag, want, got.stdout)
			}
		}
		if !strings.Contains(got.stderr, "gannet: warning: "+path+":3: upgrade_outgoing_qos: true is ignored") {
			t.Errorf("%s: %s", flag, got.stderr)
		}
	}
	write(t, path, "listener 1884\nallow_anonymous maybe\n")
	if got := run(t, "", "-c", path, "--test-config"); got.status != 2 || got.stdout != "" || !strings.HasPrefix(got.stderr, "gannet: "+path+":2: allow_anonymous: ") {
		t.Errorf("mistake: %+v", got)
	}
}

func TestConvertedFileIsTheSameConfiguration(t *testing.T) {
	dir := t.TempDir()
	path, own := filepath.Join(dir, "mosquitto.conf"), filepath.Join(dir, "gannet.conf")
	write(t, path, "listener 1884\nallow_anonymous true\nmount_point a/\nmax_queued_messages 7\n")
	got := run(t, "", "convert", path)
	if got.status != 0 || !strings.Contains(got.stdout, "[listener mqtt://:1884]\nmount-point = a/\n") || !strings.Contains(got.stderr, "persistence is not true") {
		t.Fatalf("%+v", got)
	}
	write(t, own, got.stdout)
	before, after := run(t, "", "-c", path, "--test-config"), run(t, "", "-c", own, "--test-config")
	if before.stdout != after.stdout || after.stderr != "" {
		t.Errorf("before\n%s\nafter\n%s%s", before.stdout, after.stdout, after.stderr)
	}
	if got := run(t, "", "convert"); got.status != 2 || !strings.Contains(got.stderr, "write gannet convert FILE") {
		t.Errorf("no file: %+v", got)
	}
	if got := run(t, "", "convert", filepath.Join(dir, "none")); got.status != 2 || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("file that is not there: %+v", got)
	}
	if got := run(t, "", "convert", "--help"); got.status != 0 || !strings.HasPrefix(got.stdout, "gannet convert") {
		t.Errorf("help: %+v", got)
	}
}
