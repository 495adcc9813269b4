package bench

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// repository makes a repository of two commits, in the second of which a package has come, and enters it.
func repository(t *testing.T) (dir string) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed, and gannet bench cmp cannot work without it")
	}
	dir = t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"} {
		t.Setenv(name, "") // restored at the end, and
		os.Unsetenv(name)
	}
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	commit := func(message string) {
		for _, args := range [][]string{{"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", message}} {
			if _, err := command(t.Context(), "", "git", args...); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := command(t.Context(), "", "git", "init", "-q"); err != nil {
		t.Fatal(err)
	}
	const test = "package x\n\nimport \"testing\"\n\nfunc BenchmarkGood(b *testing.B) { for b.Loop() { } }\nfunc BenchmarkMemoryHog(b *testing.B) { b.Fatal(\"asked for\") }\n"
	write("go.mod", "module example.com/x\n\ngo 1.26\n")
	write("old/x_test.go", test)
	commit("one")
	write("new/x_test.go", test)
	commit("two")
	return dir
}

func TestCmpRunsBothCommitsInTurnAndLeavesNothing(t *testing.T) {
	dir := repository(t)
	o, err := cmpSettings([]string{"--base", "HEAD~1", "--packages", "old,new", "--skip", "Memory", "--count", "3", "--benchtime", "1ms"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	sides := []*side{{name: "base", revision: o.base, dir: filepath.Join(work, "base")}, {name: "new", revision: o.next, dir: filepath.Join(work, "new")}}
	for _, s := range sides {
		if err := s.checkout(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var log strings.Builder
	if err := o.turns(t.Context(), sides, &log); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{3, 6} { // rounds, and packages with it
		text, err := os.ReadFile(sides[i].results())
		if n := strings.Count(string(text), "\nBenchmarkGood"); err != nil || n != want {
			t.Errorf("%s: %d results, error %v\n%s", sides[i].name, n, err, text)
		}
	}
	if !strings.HasSuffix(sides[0].commit, " one") || !strings.HasSuffix(sides[1].commit, " two") {
		t.Errorf("commits %q and %q", sides[0].commit, sides[1].commit)
	}
	if order := log.String(); strings.Index(order, "new: micro-benchmarks, round 2") > strings.Index(order, "base: micro-benchmarks, round 2") {
		t.Errorf("the commits do not take turns in going first:\n%s", order)
	}
	for _, s := range sides {
		if err := s.remove(); err != nil {
			t.Error(err)
		}
	}
	out, err := command(t.Context(), dir, "git", "worktree", "list")
	if err != nil || strings.Count(string(out), "\n") != 1 {
		t.Errorf("worktrees are left: %s %v", out, err)
	}
}

func TestCmpSaysWhatIsWrong(t *testing.T) {
	repository(t)
	checkRefusals(t, "cmp", map[string]string{
		"":                                   "base: needed",
		"--base --force":                     "does not begin with -",
		"--base HEAD --packages ../x":        "not a folder of this repository",
		"--base HEAD --count 0":              "count",
		"--base HEAD --scenarios x":          "there is no",
		"--base HEAD --benchtime 0s":         "benchtime",
		"--base nobody":                      "nobody",
		"--base HEAD --packages old --skip=": "asked for",
	})
	if out, err := command(t.Context(), "", "git", "worktree", "list"); err != nil || strings.Count(string(out), "\n") != 1 {
		t.Errorf("worktrees are left: %s %v", out, err)
	}
}

func TestCmpEndsEarly(t *testing.T) {
	repository(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	if err := run(ctx, []string{"cmp", "--base", "HEAD"}, io.Discard, io.Discard); err == nil {
		t.Error("it goes on")
	}
}
