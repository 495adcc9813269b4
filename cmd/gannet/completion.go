package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/gannetmq/gannet/bench"
	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
)

// `gannet completion` prints a script by which a shell completes the command lines of gannet: subcommands, flags, the words that a flag
// may have, and files. The tables that flags are read by are what it is made of, so that it knows all there are. completionshells.go
// writes it down for each shell.

// spot is a point of a command line: gannet and the subcommands behind it. The flags of a subcommand are known by then.
type spot struct {
	path  string // with a space before each subcommand: " store info"; of gannet alone empty
	words []word // what may follow: subcommands, or the words of an argument
	flags []flagWord
	files bool // whether an argument may be a file or a folder
}

type word struct{ text, about string }

// flagWord is a flag in one or two spellings.
type flagWord struct {
	names    []string // with dashes
	argument string   // what stands for it in --help; empty: it has none
	about    string
}

// shells are those there is a script for, with the command that installs it.
func shells() []word {
	return []word{
		{"bash", "gannet completion bash > /usr/share/bash-completion/completions/gannet"},
		{"zsh", "gannet completion zsh > /usr/share/zsh/site-functions/_gannet"},
		{"fish", "gannet completion fish > ~/.config/fish/completions/gannet.fish"},
	}
}

// completion is the subcommand `gannet completion`.
func (p *process) completion(_ context.Context, args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(p.stderr, "gannet: completion takes the name of a shell: write gannet completion bash, zsh or fish")
		return statusConfiguration
	}
	var script string
	switch args[0] {
	case "bash":
		script = bashScript(spots())
	case "zsh":
		script = zshScript(spots())
	case "fish":
		script = fishScript(spots())
	case "-h", "--help", "help":
		script = completionHelp()
	default:
		fmt.Fprintf(p.stderr, "gannet: no completion for %q: write gannet completion bash, zsh or fish\n", args[0])
		return statusConfiguration
	}
	if _, err := io.WriteString(p.stdout, script); err != nil {
		fmt.Fprintf(p.stderr, "gannet: %v\n", err)
		return statusFailure
	}
	return statusSuccess
}

func completionHelp() string {
	var b strings.Builder
	b.WriteString("gannet completion SHELL prints what makes a shell complete the commands of gannet.\n\n")
	for _, s := range shells() {
		fmt.Fprintf(&b, "  %s\n", s.about)
	}
	b.WriteString(`
Shells started afterwards know it. To try it in this one: source <(gannet completion bash)
`)
	return b.String()
}

// spots lists all there are.
func spots() []spot {
	var subs, names []word
	for _, c := range subcommands() {
		subs = append(subs, word{c.name, c.about})
	}
	for _, s := range shells() {
		names = append(names, word{s.text, "for " + s.text})
	}
	serve := serveFlags()
	out := []spot{
		{path: "", words: subs, flags: serve},
		{path: " serve", flags: serve},
		{path: " pub", flags: clientFlagWords(commandPub)},
		{path: " sub", flags: clientFlagWords(commandSub)},
		{path: " passwd", flags: passwdFlags(), files: true},
		{path: " convert", flags: []flagWord{helpFlag()}, files: true},
		{path: " completion", words: names, flags: []flagWord{helpFlag()}},
		{path: " version", flags: []flagWord{helpFlag()}},
		{path: " help", words: subs},
	}
	return append(append(out, storeSpots()...), benchSpots()...)
}

func helpFlag() flagWord { return flagWord{[]string{"--help"}, "", "explain this command"} }

func serveFlags() []flagWord {
	var out []flagWord
	for _, f := range config.Flags() {
		out = append(out, flagWord{[]string{f.Name}, f.Placeholder, f.Help})
	}
	return out
}

func clientFlagWords(which command) []flagWord {
	var out []flagWord
	for _, f := range clientFlagTable() {
		if f.command&which == 0 {
			continue
		}
		w := flagWord{argument: f.placeholder, about: f.help}
		for _, name := range []string{f.short, f.long} {
			if name != "" {
				w.names = append(w.names, name)
			}
		}
		out = append(out, w)
	}
	return append(out, helpFlag())
}

func storeSpots() []spot {
	parent := spot{path: " store", flags: []flagWord{helpFlag()}}
	var out []spot
	for _, c := range storeCommands() {
		parent.words = append(parent.words, word{c.name, c.help})
		out = append(out, spot{path: " store " + c.name, flags: append(c.flagList(), helpFlag()), files: true})
	}
	return append(out, parent)
}

// benchSpots reads the help of gannet bench, which is all that another package says of its flags.
func benchSpots() []spot {
	const prefix = "gannet bench "
	parent := spot{path: " bench", flags: []flagWord{helpFlag()}}
	var groups []*spot // " bench store", below which there are several
	var out []spot
	for line := range strings.Lines(helpOf()) {
		usage, found := strings.CutPrefix(strings.TrimSpace(line), prefix)
		command, rest, both := strings.Cut(usage, " [flags] ")
		if !found || !both {
			continue
		}
		about := strings.TrimSpace(rest)
		first, second, nested := strings.Cut(command, " ")
		if !nested {
			parent.words = append(parent.words, word{first, about})
		} else {
			at := slices.IndexFunc(groups, func(g *spot) bool { return g.path == " bench "+first })
			if at < 0 {
				at = len(groups)
				groups = append(groups, &spot{path: " bench " + first, flags: []flagWord{helpFlag()}})
				parent.words = append(parent.words, word{first, "several, of which its help tells"})
			}
			groups[at].words = append(groups[at].words, word{second, about})
		}
		out = append(out, spot{path: " bench " + command, flags: append(flagsOf(helpOf(strings.Fields(command)...)), helpFlag())})
	}
	for _, g := range groups {
		out = append(out, *g)
	}
	return append(out, parent)
}

// helpOf is what gannet bench says of one of its commands.
func helpOf(command ...string) string {
	var text bytes.Buffer
	bench.Main(append(command, "--help"), &text, io.Discard)
	return text.String()
}

// flagsOf reads what package flag prints: "  -name ARGUMENT", and on the next line what it means.
func flagsOf(help string) []flagWord {
	var out []flagWord
	lines := strings.Split(help, "\n")
	for i, line := range lines[:len(lines)-1] {
		if usage, found := strings.CutPrefix(line, "  -"); found {
			name, argument, _ := strings.Cut(usage, " ")
			out = append(out, flagWord{[]string{"--" + name}, argument, strings.TrimSpace(lines[i+1])})
		}
	}
	return out
}

// choices are the words that the argument of f may be; nil: any.
func (f *flagWord) choices() []string {
	var out []string
	for part := range strings.SplitSeq(f.argument, "|") {
		if part != "" && !strings.ContainsFunc(part, unicode.IsUpper) {
			out = append(out, part)
		}
	}
	return out
}

// isFile reports whether the argument of f is a file or a folder.
func (f *flagWord) isFile() bool {
	switch f.argument {
	case "FILE", "DIR", "FOLDER", "PATH":
		return true
	default:
		return false
	}
}

// short is the first sentence of text, without its full stop.
func short(text string) string {
	first, _, _ := strings.Cut(text, ". ")
	return strings.TrimSuffix(first, ".")
}
