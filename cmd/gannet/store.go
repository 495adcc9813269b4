package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/gannetmq/gannet/persist"
)

// The subcommands of `gannet store` look at the store in a data folder, mend it and copy it. What they find goes to the standard
// output, progress and errors to the standard error stream. The exit status is that of diff: 0 all is well, 1 the store
// is damaged, 2 the command could not be carried out.

const statusDamaged = 1

// storeCommand is one of them.
type storeCommand struct {
	name      string
	arguments string // what stands beside the flags
	help      string
	run       func(context.Context, *storeJob) (status int, err error)
	flags     func(f *flag.FlagSet, j *storeJob) // nil: it has none
}

func storeCommands() []storeCommand {
	return []storeCommand{
		{"info", "[--json] DIR", "what is in it; of a running broker, how it is doing", storeInfo, func(f *flag.FlagSet, j *storeJob) {
			f.BoolVar(&j.json, "json", false, "print JSON, for programs")
		}},
		{"verify", "DIR", "read everything and name what is damaged; changes nothing", storeVerify, nil},
		{"repair", "DIR", "make it usable with what can be read; the original is kept beside it", storeRepair, nil},
		{"export", "[--output FILE] DIR", "every record as a line of JSON", storeExport, func(f *flag.FlagSet, j *storeJob) {
			f.StringVar(&j.output, "output", "", "`FILE` to write to instead of the standard output")
		}},
		{"backup", "DIR TO", "a consistent copy in the new folder TO; a running broker makes it itself", storeBackup, nil},
	}
}

// storeJob is one run of a subcommand.
type storeJob struct {
	*process
	dir      string
	to       string // of a backup
	json     bool   // of info
	output   string // of export; empty: the standard output
	progress *progress
}

// store is the subcommand `gannet store`.
func (p *process) store(ctx context.Context, args []string) int {
	if len(args) == 0 {
		return p.storeMistake("", errors.New("subcommand missing"))
	}
	if isHelp(args[0]) {
		p.storeHelp()
		return statusSuccess
	}
	for _, c := range storeCommands() {
		if c.name == args[0] {
			return p.runStore(ctx, &c, args[1:])
		}
	}
	return p.storeMistake("", fmt.Errorf("unknown subcommand %q", args[0]))
}

func (p *process) storeHelp() {
	fmt.Fprint(p.stdout, "gannet store SUBCOMMAND looks at the store of a broker, mends it, and copies it.\n\n")
	var flags strings.Builder
	for _, c := range storeCommands() {
		fmt.Fprintf(p.stdout, "  gannet store %s\n        %s\n", c.name+" "+c.arguments, c.help)
		for _, f := range c.flagList() {
			fmt.Fprintf(&flags, "  %-15s of %s: %s\n", f.names[0]+" "+f.argument, c.name, f.about)
		}
	}
	fmt.Fprintf(p.stdout, `
%s
DIR is the --data-dir of a broker. Info and backup work while the broker runs, the others when it does not.

Exit status: 0 all is well, 1 the store is damaged, 2 the command could not be carried out.
`, flags.String())
}

// flagList is what c may be told, for people and shells.
func (c *storeCommand) flagList() []flagWord {
	if c.flags == nil {
		return nil
	}
	var out []flagWord
	f := flag.NewFlagSet(c.name, flag.ContinueOnError)
	c.flags(f, &storeJob{})
	f.VisitAll(func(one *flag.Flag) {
		argument, about := flag.UnquoteUsage(one)
		out = append(out, flagWord{[]string{"--" + one.Name}, argument, about})
	})
	return out
}

// storeMistake reports arguments that make no sense.
func (p *process) storeMistake(name string, err error) int {
	where := strings.TrimSpace("gannet store " + name)
	fmt.Fprintf(p.stderr, "%s: %v (gannet store --help explains)\n", where, err)
	return statusConfiguration
}

// runStore carries out one subcommand, or ends with ctx. The store cannot be interrupted in what it does, and need not be: it is
// safe against the end of the process.
func (p *process) runStore(ctx context.Context, c *storeCommand, args []string) int {
	job := &storeJob{process: p, progress: newProgress(p.stderr)}
	if err := job.parse(c, args); errors.Is(err, flag.ErrHelp) {
		p.storeHelp()
		return statusSuccess
	} else if err != nil {
		return p.storeMistake(c.name, err)
	}
	type ending struct {
		status int
		err    error
	}
	ended := make(chan ending, 1)
	go func() {
		status, err := c.run(ctx, job)
		job.progress.end()
		ended <- ending{status, err}
	}()
	select {
	case e := <-ended:
		if e.err != nil {
			fmt.Fprintf(p.stderr, "gannet: %v%s\n", e.err, c.advice(e.err, job))
			return storeStatus(e.err)
		}
		return e.status
	case <-ctx.Done():
		if job.progress.terminal {
			fmt.Fprintln(p.stderr) // below the line that tells how far it is
		}
		fmt.Fprintf(p.stderr, "gannet: interrupted%s\n", job.leftBehind())
		return statusInterrupted
	}
}

// parse reads flags, which may stand before and after the arguments.
func (j *storeJob) parse(c *storeCommand, args []string) (err error) {
	f := flag.NewFlagSet(c.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	if c.flags != nil {
		c.flags(f, j)
	}
	var rest []string
	for {
		if err := f.Parse(args); err != nil {
			return err
		}
		if f.NArg() == 0 {
			break
		}
		rest = append(rest, f.Arg(0))
		args = f.Args()[1:]
	}
	wanted := []*string{&j.dir}
	if c.name == "backup" {
		wanted = append(wanted, &j.to)
	}
	if len(rest) != len(wanted) {
		return fmt.Errorf("%s: write gannet store %s %s", count(len(rest), "argument"), c.name, c.arguments)
	}
	for i, field := range wanted {
		if *field = rest[i]; *field == "" {
			return errors.New("an argument is empty")
		}
	}
	j.dir, err = properName(j.dir)
	return err
}

// properName is path in a form to which a suffix can be added: a repair makes folders beside the store.
func properName(path string) (string, error) {
	path = filepath.Clean(path)
	if base := filepath.Base(path); base == "." || base == ".." {
		return filepath.Abs(path)
	}
	return path, nil
}

// storeStatus is the exit status of an error.
func storeStatus(err error) int {
	if errors.Is(err, persist.ErrDamaged) {
		return statusDamaged
	}
	return statusConfiguration
}

// advice says how to go on after err, if that is not obvious.
func (c *storeCommand) advice(err error, j *storeJob) string {
	if errors.Is(err, persist.ErrInUse) && c.name != "backup" {
		return fmt.Sprintf(": stop it, or look at a copy made with gannet store backup %s TO", j.dir)
	}
	return ""
}

// leftBehind names what is not complete when a job was interrupted.
func (j *storeJob) leftBehind() string {
	switch {
	case j.to != "":
		return ": " + j.to + " appears only when it is complete"
	case j.output != "":
		return ": " + j.output + " is not complete"
	default:
		return ""
	}
}
