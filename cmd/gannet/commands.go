package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gannetmq/gannet/bench"
)

// subcommand is what may stand behind gannet on a command line.
type subcommand struct {
	name      string
	arguments string // for people
	about     string
	run       func(p *process, ctx context.Context, args []string) int
}

// subcommands lists them in the order of the overview.
func subcommands() []subcommand {
	return []subcommand{
		{"serve", "[flags]", "run the broker; the word serve may be left out", (*process).serve},
		{"pub", "[flags]", `publish messages: gannet pub -t greetings -m "Hello world"`, (*process).pub},
		{"sub", "[flags]", "print messages as they come: gannet sub -t greetings", (*process).sub},
		{"passwd", "FILE USER", "set a user's password in a password file", (*process).passwd},
		{"convert", "FILE", "turn a mosquitto.conf into Gannet's own format", (*process).convert},
		{"store", "SUBCOMMAND", "look at the store of a broker, mend it, copy it", (*process).store},
		{"bench", "SUBCOMMAND", "measure brokers on the same loads", (*process).bench},
		{"completion", "SHELL", "print what makes bash, zsh or fish complete these commands", (*process).completion},
		{"version", "", "print the version", (*process).version},
		{"help", "COMMAND", "explain one of these, as gannet COMMAND --help does", (*process).help},
	}
}

// run executes one subcommand and returns the exit status. Without one it is
// serve.
func (p *process) run(ctx context.Context, args []string) int {
	if len(args) == 0 || (strings.HasPrefix(args[0], "-") && args[0] != "--version") {
		return p.serve(ctx, args)
	}
	name, rest := strings.TrimPrefix(args[0], "--"), args[1:]
	var names []string
	for _, c := range subcommands() {
		if c.name == name {
			return c.run(p, ctx, rest)
		}
		names = append(names, c.name)
	}
	last := len(names) - 1
	fmt.Fprintf(p.stderr, "gannet: unknown command %q: write gannet %s or %s\n", args[0], strings.Join(names[:last], ", "), names[last])
	return statusConfiguration
}

// help prints the overview, or the help of the command named.
func (p *process) help(ctx context.Context, rest []string) int {
	if len(rest) == 0 || isHelp(rest[0]) {
		fmt.Fprint(p.stdout, overview())
		return statusSuccess
	}
	return p.run(ctx, append(slices.Clone(rest), "--help"))
}

func isHelp(arg string) bool { return arg == "-h" || arg == "--help" || arg == "help" }

func (p *process) bench(_ context.Context, args []string) int {
	return bench.Main(args, p.stdout, p.stderr)
}

func overview() string {
	var b strings.Builder
	b.WriteString("gannet is an MQTT 3.1, 3.1.1 and 5.0 broker. Without arguments it serves mqtt://127.0.0.1:1883.\n\n")
	for _, c := range subcommands() {
		fmt.Fprintf(&b, "  gannet %-18s %s\n", c.name+" "+c.arguments, c.about)
	}
	b.WriteString(`
From mosquitto:    gannet -c /etc/mosquitto/mosquitto.conf
What is in force:  gannet -c FILE --test-config
`)
	return b.String()
}
