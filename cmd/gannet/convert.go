package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
)

const convertHelp = `gannet convert FILE writes a configuration in Gannet's own format to the standard output.

  gannet convert /etc/mosquitto/mosquitto.conf > gannet.conf
  gannet --config gannet.conf --test-config

FILE is usually a mosquitto.conf, and the files that it includes become part of the result. What
has no equivalent is named on the standard error stream, with its line. Password files, ACL files
and certificates stay where they are: Gannet reads them as they are.

There is no need to convert: gannet -c mosquitto.conf reads that format, too. Gannet's own has
settings that mosquitto lacks, such as tokens (gannet serve --help).

Exit status: 0 done, 2 a mistake in FILE, which is named with its line; 1 it could not be written.
`

// convert is the subcommand `gannet convert`. Environment variables have no part in it: they would be written into the file.
func (p *process) convert(_ context.Context, args []string) int {
	if slices.ContainsFunc(args, func(arg string) bool { return arg == "-h" || arg == "--help" }) {
		fmt.Fprint(p.stdout, convertHelp)
		return statusSuccess
	}
	if len(args) != 1 || strings.HasPrefix(args[0], "-") {
		fmt.Fprintln(p.stderr, "gannet: convert takes one file: write gannet convert FILE (gannet convert --help)")
		return statusConfiguration
	}
	source := p.configSource([]string{"--config=" + args[0]})
	source.Environ = nil
	c, err := config.Load(source)
	if err != nil {
		fmt.Fprintf(p.stderr, "gannet: %v\n", err)
		return statusConfiguration
	}
	fmt.Fprintf(p.stdout, "# Converted from %s. Relative paths are seen from where gannet is started.\n", strings.Map(printable, args[0]))
	if err := config.Write(p.stdout, &c, config.Changed); err != nil {
		fmt.Fprintf(p.stderr, "gannet: %v\n", err)
		return statusFailure
	}
	return statusSuccess
}

// printable keeps a file's name on one line.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return '?'
	}
	return r
}
