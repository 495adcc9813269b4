package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
)

// spotOf finds what follows a command line.
func spotOf(t *testing.T, path string) spot {
	t.Helper()
	for _, at := range spots() {
		if at.path == path {
			return at
		}
	}
	t.Fatalf("nothing follows gannet%s", path)
	return spot{}
}

func (s spot) flagNames() (names []string) {
	for _, f := range s.flags {
		names = append(names, f.names...)
	}
	return names
}

func TestCompletionKnowsEverySubcommand(t *testing.T) {
	for _, c := range subcommands() {
		spotOf(t, " "+c.name)
	}
	for _, c := range storeCommands() {
		spotOf(t, " store "+c.name)
	}
	for _, path := range []string{" bench load", " bench idle", " bench durable", " bench store sessions", " bench store queue"} {
		if at := spotOf(t, path); !slices.Contains(at.flagNames(), "--mosquitto") {
			t.Errorf("%s: flags %v", path, at.flagNames())
		}
	}
}

func TestCompletionKnowsEveryFlagThatIsRead(t *testing.T) {
	serve := spotOf(t, " serve").flagNames()
	for _, name := range config.Names() {
		if !slices.Contains(serve, "--"+name) {
			t.Errorf("serve: --%s is missing", name)
		}
	}
	table := clientFlagTable()
	for _, which := range []command{commandPub, commandSub} {
		complete := spotOf(t, " "+which.String()).flagNames()
		for _, f := range table {
			for _, name := range []string{f.short, f.long} {
				if got := slices.Contains(complete, name); got != (findClientFlag(table, which, name) != nil) {
					t.Errorf("%s %s: %v", which, name, got)
				}
			}
		}
	}
	for _, f := range passwdFlags() {
		if name := f.names[0]; !strings.Contains(passwdHelp, name) && name != "--help" {
			t.Errorf("passwd %s: not in its help", name)
		}
		args := []string{f.names[0]}
		if f.argument == "N" {
			args = append(args, "1")
		} else if f.argument != "" {
			args = append(args, f.choices()[0])
		}
		if err := new(passwdJob).parse(append(args, "FILE", "USER")); err != nil && strings.Contains(err.Error(), "unknown option") {
			t.Errorf("passwd %s: %v", f.names[0], err)
		}
	}
}

func TestChoicesAreWordsBetweenBars(t *testing.T) {
	for argument, want := range map[string]string{
		"": "", "FILE": "", "sync|os|off": "sync os off", "0|1|2": "0 1 2", "stderr|stdout|syslog|file:PATH": "stderr stdout syslog", "N/s": "",
	} {
		f := flagWord{argument: argument}
		if got := strings.Join(f.choices(), " "); got != want {
			t.Errorf("%s: %s", argument, got)
		}
	}
}

// completions are command lines, of which the last word is completed.
var completions = []struct {
	line []string
	want string // words that are among the completions
	not  string // words that are not
}{
	{[]string{""}, "serve pub sub passwd convert store bench completion version help", "--listen info"},
	{[]string{"--dura"}, "--durability", "serve"},
	{[]string{"--durability", ""}, "sync os off", "serve"},
	{[]string{"serve", "--log-level", "de"}, "debug", "info"},
	{[]string{"pub", "--c"}, "--cafile --capath --cert", "--listen"},
	{[]string{"sub", "-q", ""}, "0 1 2", "-q"},
	{[]string{"store", ""}, "info verify repair export backup", "--json"},
	{[]string{"store", "info", "-"}, "--json --help", "--output"},
	{[]string{"bench", "store", ""}, "sessions retained queue", "load"},
	{[]string{"bench", "load", "--sc"}, "--scenarios", "--seconds"},
	{[]string{"completion", ""}, "bash zsh fish", ""},
	{[]string{"help", "p"}, "pub passwd", "sub"},
	{[]string{"passwd", "-H", ""}, "argon2id", "-H"},
}

func TestShellsComplete(t *testing.T) {
	t.Run("bash", func(t *testing.T) {
		testShell(t, "bash", func(script string, line []string) (string, []string) {
			return script + `COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _gannet 2>/dev/null; printf '%s\n' "${COMPREPLY[@]}"`,
				append([]string{"bash", "gannet"}, line...)
		})
	})
	t.Run("fish", func(t *testing.T) {
		testShell(t, "fish", func(script string, line []string) (string, []string) {
			return script + "complete -C 'gannet " + strings.Join(line, " ") + "' | cut -f 1", nil
		})
	})
}

// testShell has a shell complete what others must, too.
func testShell(t *testing.T, shell string, command func(script string, line []string) (text string, args []string)) {
	path, err := exec.LookPath(shell)
	if err != nil {
		t.Skip("there is no " + shell + " on this machine")
	}
	script := run(t, "", "completion", shell)
	if script.status != 0 || script.stderr != "" {
		t.Fatalf("%+v", script)
	}
	for _, test := range completions {
		text, args := command(script.stdout, test.line)
		cmd := exec.Command(path, append([]string{"-c", text}, args...)...)
		cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + t.TempDir()}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v: %s", test.line, err, out)
		}
		got := strings.Fields(string(out))
		for _, w := range strings.Fields(test.want) {
			if !slices.Contains(got, w) {
				t.Errorf("%q: %s is not among %q", test.line, w, got)
			}
		}
		for _, w := range strings.Fields(test.not) {
			if slices.Contains(got, w) {
				t.Errorf("%q: %s is among %q", test.line, w, got)
			}
		}
	}
}

func TestBashCompletesAValueBehindAnEqualsSign(t *testing.T) {
	path, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash on this machine")
	}
	script := run(t, "", "completion", "bash").stdout
	for _, words := range []string{"gannet --durability =", "gannet --durability = s"} {
		out, err := exec.Command(path, "-c", script+"COMP_WORDS=("+words+"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _gannet; echo ${COMPREPLY[0]}").Output()
		if err != nil || string(out) != "sync\n" {
			t.Errorf("%s: %q %v", words, out, err)
		}
	}
}

func TestScriptsOfOtherShellsAreOfTheRightShape(t *testing.T) {
	zsh, fish := run(t, "", "completion", "zsh").stdout, run(t, "", "completion", "fish").stdout
	for _, want := range []string{
		"#compdef gannet\n", "'*--durability[What an acknowledgement promises]: :(sync os off)'", "'*--cafile[Connect by TLS, and trust servers that an authority in FILE (PEM) has signed for]: :_files'",
		"'*--will-topic[Topic of the Will, which the server publishes when the connection is lost]:TOPIC: '", "'store:look at the store of a broker, mend it, copy it'", "'*: :_files'",
	} {
		if !strings.Contains(zsh, want) {
			t.Errorf("zsh: %s is missing", want)
		}
	}
	for _, want := range []string{
		"complete -c gannet -n '__gannet_at' -a serve -d 'run the broker; the word serve may be left out'\n",
		"complete -c gannet -n '__gannet_at passwd' -a", // must not be there: it has no subcommands
		"complete -c gannet -n '__gannet_at pub' -s q -l qos -x -a '0 1 2' -d 'QoS of the messages; default 0'\n",
		"complete -c gannet -n '__gannet_at store export' -l output -r -F -d 'FILE to write to instead of the standard output'\n",
	} {
		if strings.Contains(fish, want) != !strings.HasSuffix(want, "passwd' -a") {
			t.Errorf("fish: %s", want)
		}
	}
	for name, script := range map[string]string{"zsh": zsh, "fish": fish} {
		if path, err := exec.LookPath(name); err == nil {
			cmd := exec.Command(path, "-n", "/dev/stdin")
			cmd.Stdin = strings.NewReader(script)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s -n: %v: %s", name, err, out)
			}
		}
	}
}

func TestCompletionRefusesOtherShells(t *testing.T) {
	for _, args := range [][]string{{"completion"}, {"completion", "tcsh"}, {"completion", "bash", "zsh"}} {
		if got := run(t, "", args...); got.status != 2 || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestEveryCommandHasHelp(t *testing.T) {
	for _, c := range subcommands() {
		got := run(t, "", "help", c.name)
		if got.status != 0 || got.stderr != "" || !strings.HasPrefix(got.stdout, "gannet ") {
			t.Errorf("help %s: %+v", c.name, got)
		}
		if c.name != "help" && got != run(t, "", c.name, "--help") {
			t.Errorf("%s: help and --help differ", c.name)
		}
	}
	if got := run(t, "", "help", "bench", "load"); !strings.HasPrefix(got.stdout, "gannet bench load") {
		t.Errorf("help bench load: %+v", got)
	}
	if got := run(t, "", "help", "frob"); got.status != 2 || !strings.HasPrefix(got.stderr, `gannet: unknown command "frob"`) {
		t.Errorf("help frob: %+v", got)
	}
}
