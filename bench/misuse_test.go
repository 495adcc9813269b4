package bench

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// wantMisuse runs gannet bench, which must complain in one line that has want, and print
// and do nothing else.
func wantMisuse(t *testing.T, want string, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := Main(args, &stdout, &stderr)
	text := stderr.String()
	if status != statusUsage || stdout.Len() > 0 || !strings.Contains(text, want) || strings.Count(text, "\n") != 1 {
		t.Errorf("%s: status %d\n%s%s\nwant %s", strings.Join(args, " "), status, &stdout, text, want)
	}
}

// nobody returns an address of this machine on which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestRunRefusesWhatMakesNoSenseBeforeItBegins(t *testing.T) {
	addr, none := startFake(t, honest).String(), filepath.Join(t.TempDir(), "none", "file")
	for args, want := range map[string]string{
		"p2p --publishers 0":      "publishers: 0 is not from 1",
		"p2p --subscribers 0":     "subscribers: 0 is not from 1",
		"p2p --payload 0":         "payload: 0 bytes",
		"p2p --window 0":          "window: 0 is not from 1",
		"storm --connections 0":   "connections: 0 is not from 1",
		"durable --messages 0":    "messages: 0 is not from 1",
		"storm --messages 1":      "messages: the scenario storm has no such number",
		"p2p --pid 2147483647":    "pid: there is no process 2147483647",
		"p2p --json " + none:      none,
		"p2p --csv " + none:       none,
		"p2p --publishers 900000": "900050 clients",
	} {
		wantMisuse(t, want, append(append([]string{"run"}, strings.Fields(args)...), addr)...)
	}
}

func TestFleetsThatMakeNoSenseAreRefusedBeforeTheyBegin(t *testing.T) {
	addr, dir := startFake(t, honest).String(), t.TempDir()
	const group = "groups:\n  - name: a\n    count: 2\n    publish: {topic: \"{prefix}/t\", rate: 1}\n"
	for _, tt := range []struct{ text, args, want string }{
		{group + "  - name: a\n    count: 1\n", "", "fleet.yaml:5: name: \"a\" is that of another group"},
		{group + "---\n" + group, "", "fleet.yaml:5: a second document"},
		{group + "    qos: 1000\n", "", "fleet.yaml:5: 1000 is too large"},
		{"groups:\n  - name: a\n    count: two\n", "", "fleet.yaml:3: \"two\" is not a whole number"},
		{group + "    subscribe: [\"{prefix}/#\", \"{prefix}/t\"]\n", "", "fleet.yaml: group a: client 0 hears"},
		{"groups:\n  - name: a\n    count: 1\n    publish: {topic: t}\n", "", "fleet.yaml: group a: nobody hears"},
		{"groups:\n  - name: a\n    count: 1000000\n    publish: {topic: t, rate: 1}\n", "", "fleet.yaml: 1000000 clients"},
		{group + "phases: [{seconds: 1}]\n", "--seconds 2", "seconds: the phases of"},
		{group + "phases: [{seconds: 1}]\n", "--warm 2", "warm: the phases of"},
		{group, "--agents 127.0.0.1:1,127.0.0.1:2,127.0.0.1:3", "fleet.yaml: group a: 2 clients cannot be shared by 3"},
	} {
		file := filepath.Join(dir, "fleet.yaml")
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		wantMisuse(t, tt.want, append(append([]string{"run", file}, strings.Fields(tt.args)...), addr)...)
	}
}

func TestCommandsRefuseWhatTheyCannotUseBeforeTheyMeasure(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("no JSON"), 0o600); err != nil {
		t.Fatal(err)
	}
	none, closed := filepath.Join(dir, "none", "file"), nobody(t)
	for args, want := range map[string]string{
		"load --gannet " + none:            none,
		"load --connect " + closed:         "no broker listens on " + closed,
		"compare --out " + file:            file,
		"durable --variants p3p":           "variants: there is no \"p3p\"",
		"durable --dir " + none:            none,
		"store queue --dir " + file:        "is no folder",
		"scale --json " + none:             none,
		"scale --sessions 9 --memory 1e-9": "GiB of memory",
		"plan --slopes " + none:            none,
		"plan --slopes " + file:            "slopes: invalid",
		"plan --measure --save " + none:    none,
		"agent --listen 127.0.0.1:99999":   "a port up to 65535",
		"cmp --base HEAD --bench (":        "regular expression",
		"cmp --base no-such-commit":        "base: ",
		"cmp --base HEAD --new no-such":    "new: ",
	} {
		wantMisuse(t, want, strings.Fields(args)...)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
		t.Errorf("%v, %v are there, want one file", left, err)
	}
}

func TestCompareMakesAFolderOnlyForAReport(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	var stdout, stderr bytes.Buffer
	if status := Main([]string{"compare", "--peers", nobody(t), "--scenarios", "p2p-qos0", "--out", out}, &stdout, &stderr); status != statusFault {
		t.Errorf("status %d\n%s%s", status, &stdout, &stderr)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("nothing was measured, and there is a folder")
	}
}

func TestABrokerThatIsNotThereIsNamed(t *testing.T) {
	addr := nobody(t)
	status, x, _, stderr := runMain(t, "storm", "--connections", "3", addr)
	if status != statusFault || !strings.Contains(stderr, "nobody listens on "+addr) || x.Error == "" {
		t.Errorf("status %d, %s", status, stderr)
	}
}

func TestCmpRefusesPackagesThatNeitherCommitHas(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed, and there is nothing to compare without it")
	}
	dir := t.TempDir()
	t.Chdir(dir)
	for _, args := range [][]string{{"init", "-q"}, {"-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "first"}} {
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	var stdout, stderr bytes.Buffer
	status := Main([]string{"cmp", "--base", "HEAD", "--packages", "nowhere", "--scenarios", ""}, &stdout, &stderr)
	if status != statusUsage || !strings.Contains(stderr.String(), "packages: neither commit has a folder nowhere") {
		t.Errorf("status %d\n%s%s", status, &stdout, &stderr)
	}
}
