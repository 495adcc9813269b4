package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// cmpOptions are what the flags of gannet bench cmp say.
type cmpOptions struct {
	base, next string   // revisions
	packages   []string // with micro-benchmarks, below the root of the module
	bench      string
	skip       string
	benchTime  time.Duration
	count      int
	entries    []entry
	rounds     int
	budget     budget
}

// benchstat compares two files of results; "go run" fetches it.
const benchstat = "golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da"

// cmpSettings reads the arguments of gannet bench cmp.
func cmpSettings(args []string, output io.Writer) (*cmpOptions, error) {
	o := &cmpOptions{}
	f := newFlags("cmp", "builds two commits of this repository and measures them in turn, for whoever reviews what lies between", output)
	f.StringVar(&o.base, "base", "", "`REV` to compare with; needed")
	f.StringVar(&o.next, "new", "HEAD", "`REV` that is new; what is not committed is left out")
	packages := f.String("packages", "codec,router,persist,engine/session,engine/broker,engine", "`DIRS` with micro-benchmarks, separated by commas")
	f.StringVar(&o.bench, "bench", ".", "`REGEXP` of micro-benchmarks, as of go test -bench; empty: none")
	f.StringVar(&o.skip, "skip", "IdleSessions|Restore|Memory", "`REGEXP` of those to leave out")
	f.DurationVar(&o.benchTime, "benchtime", 100*time.Millisecond, "`TIME` for each micro-benchmark and round")
	f.IntVar(&o.count, "count", 6, "`N` rounds of micro-benchmarks, in which the commits take turns")
	which := f.String("scenarios", "p2p-qos0,p2p-qos1,single-qos1,fanout-100,connect", "`NAMES` of loads for both brokers, as of gannet bench load; empty: none")
	f.IntVar(&o.rounds, "rounds", 3, "`N` runs of each load with each broker")
	seconds := f.Float64("seconds", 2, "`S` seconds measured in each run, after a sixth of that to warm up")
	if err := f.parse(args); err != nil {
		return nil, err
	}
	switch {
	case o.base == "":
		return nil, errors.New("base: needed, such as --base main or --base v1.0")
	case strings.HasPrefix(o.base, "-") || strings.HasPrefix(o.next, "-"):
		return nil, errors.New("base, new: a revision does not begin with -")
	case o.count < 1 || o.count > 1000:
		return nil, fmt.Errorf("count: %d is not between 1 and 1000", o.count)
	case o.rounds < 1 || o.rounds > 1000:
		return nil, fmt.Errorf("rounds: %d is not between 1 and 1000", o.rounds)
	case o.benchTime < time.Millisecond || o.benchTime > time.Hour:
		return nil, fmt.Errorf("benchtime: %v is not between 1ms and 1h", o.benchTime)
	case !compiles(o.bench) || !compiles(o.skip):
		return nil, fmt.Errorf("bench, skip: %q and %q are not both regular expressions", o.bench, o.skip)
	case !(*seconds >= 0.01 && *seconds <= 3600):
		return nil, fmt.Errorf("seconds: %v is not between 0.01 and 3600", *seconds)
	}
	for dir := range strings.SplitSeq(*packages, ",") {
		if !filepath.IsLocal(dir) {
			return nil, fmt.Errorf("packages: %q is not a folder of this repository", dir)
		}
		o.packages = append(o.packages, filepath.ToSlash(filepath.Clean(dir)))
	}
	o.budget = budget{length: time.Duration(*seconds * float64(time.Second)), connections: 5000, patience: patience}
	o.budget.warm = o.budget.length / 6
	if *which == "" {
		return o, nil
	}
	var err error
	o.entries, err = choose("scenarios", catalog(), *which)
	return o, err
}

func compiles(expression string) bool {
	_, err := regexp.Compile(expression)
	return err == nil
}

// cmpCommand is gannet bench cmp.
func cmpCommand(ctx context.Context, o *cmpOptions, stdout, stderr io.Writer) (err error) {
	sides := []*side{{name: "base", revision: o.base}, {name: "new", revision: o.next}}
	for _, s := range sides {
		if err := s.exists(ctx); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "gannet-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(stdout, thisMachine())
	for _, s := range sides {
		s.dir = filepath.Join(dir, s.name)
		defer func() { err = errors.Join(err, s.remove()) }()
		if err := s.checkout(ctx); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s: %s\n", s.name, s.commit)
	}
	if o.bench != "" {
		if err := o.micro(ctx, sides, stdout, stderr); err != nil {
			return err
		}
	}
	if len(o.entries) == 0 {
		return nil
	}
	return o.loads(ctx, sides, stdout, stderr)
}

// side is one of the two commits.
type side struct {
	name     string
	revision string
	commit   string // its abbreviated hash and its first line
	dir      string // a worktree; beside it is what is built
	added    bool
}

// exists says whether the repository that the current folder is in has the revision.
func (s *side) exists(ctx context.Context) error {
	_, err := command(ctx, "", "git", "rev-parse", "--verify", "--quiet", "--end-of-options", s.revision+"^{commit}")
	if cause := context.Cause(ctx); err == nil || cause != nil {
		return cause
	}
	if root, err := command(ctx, "", "git", "rev-parse", "--show-toplevel"); err != nil {
		return misused(fmt.Errorf("the current folder is in no git repository: %w", err))
	} else {
		return misused(fmt.Errorf("%s: %s has no commit %q", s.name, bytes.TrimSpace(root), s.revision))
	}
}

// checkout makes a worktree of the repository that the current folder is in.
func (s *side) checkout(ctx context.Context) error {
	if _, err := command(ctx, "", "git", "worktree", "add", "--detach", s.dir, s.revision); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.added = true
	out, err := command(ctx, s.dir, "git", "log", "-1", "--format=%h %s")
	s.commit = strings.TrimSpace(string(out))
	return err
}

// remove takes the worktree away again, also when everything else was told to end.
func (s *side) remove() error {
	if !s.added {
		return nil
	}
	_, err := command(context.Background(), "", "git", "worktree", "remove", "--force", s.dir)
	return err
}

func (s *side) has(pkg string) bool {
	_, err := os.Stat(filepath.Join(s.dir, pkg))
	return err == nil
}

func (s *side) results() string { return s.dir + ".txt" }
func (s *side) broker() string  { return s.dir + "-gannet" }
func (s *side) tests(pkg string) string {
	return s.dir + "-" + strings.ReplaceAll(pkg, "/", "-") + ".test"
}

// command runs a program in dir, without cgo as the release is built, and returns what it prints. What it complains
// about is in the error.
func command(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	var complaints bytes.Buffer
	c.Stderr = &complaints
	out, err := c.Output()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, fmt.Errorf("%s %s: %w: %s%s", name, strings.Join(args, " "), err, out, &complaints)
	}
	return out, nil
}

// micro runs the micro-benchmarks of both sides in turn and has benchstat compare them.
func (o *cmpOptions) micro(ctx context.Context, sides []*side, stdout, stderr io.Writer) error {
	if err := o.turns(ctx, sides, stderr); err != nil {
		return err
	}
	out, err := command(ctx, "", "go", "run", benchstat, "base="+sides[0].results(), "new="+sides[1].results())
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\n%s", out)
	return nil
}

// turns fills the files of results.
func (o *cmpOptions) turns(ctx context.Context, sides []*side, log io.Writer) error {
	for _, pkg := range o.packages {
		if !slices.ContainsFunc(sides, func(s *side) bool { return s.has(pkg) }) {
			return misused(fmt.Errorf("packages: neither commit has a folder %s", pkg))
		}
	}
	for _, s := range sides {
		for _, pkg := range o.packages {
			fmt.Fprintf(log, "%s: building %s\n", s.name, pkg)
			if !s.has(pkg) {
				fmt.Fprintf(log, "%s: %s is not there\n", s.name, pkg)
				continue
			}
			if _, err := command(ctx, s.dir, "go", "test", "-c", "-o", s.tests(pkg), "./"+pkg); err != nil {
				return err
			}
		}
	}
	for round := range o.count {
		for i := range sides {
			s := sides[(round+i)%len(sides)]
			fmt.Fprintf(log, "%s: micro-benchmarks, round %d/%d\n", s.name, round+1, o.count)
			for _, pkg := range o.packages {
				if err := o.run(ctx, s, pkg); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// run runs the micro-benchmarks of one package once.
func (o *cmpOptions) run(ctx context.Context, s *side, pkg string) error {
	if _, err := os.Stat(s.tests(pkg)); err != nil {
		return nil // no tests, or not there in this commit
	}
	args := []string{"-test.run=^$", "-test.bench=" + o.bench, "-test.benchtime=" + o.benchTime.String(), "-test.benchmem"}
	if o.skip != "" {
		args = append(args, "-test.skip="+o.skip)
	}
	out, err := command(ctx, filepath.Join(s.dir, pkg), s.tests(pkg), args...)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	f, err := os.OpenFile(s.results(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(out)
	return errors.Join(err, f.Close())
}

// loads drives the same loads against the brokers of both sides in turn. This program is the loader of both.
func (o *cmpOptions) loads(ctx context.Context, sides []*side, stdout, stderr io.Writer) error {
	u := suite{entries: o.entries, rounds: o.rounds, budget: o.budget, log: stderr}
	var names []string
	for _, s := range sides {
		fmt.Fprintf(stderr, "%s: building gannet\n", s.name)
		if _, err := command(ctx, s.dir, "go", "build", "-trimpath", "-o", s.broker(), "./cmd/gannet"); err != nil {
			return err
		}
		r := gannetAt(s.broker())
		r.name = s.name
		u.brokers, names = append(u.brokers, r), append(names, s.name)
	}
	rows, err := u.run(ctx)
	fmt.Fprintf(stdout, "\nLoads: %d rounds of %v, medians; CPU is the broker's, for each message in or out, or connection. × is base to new:\n", o.rounds, o.budget.length)
	fmt.Fprint(stdout, "below 1 for a rate, or above 1 for the rest, new is the better one. A few per cent are noise: compare a commit with itself to see how many.\n\n")
	writeReport(stdout, names, rows)
	return errors.Join(err, faultsOf(rows))
}
