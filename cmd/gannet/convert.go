package main

import (
	"fmt"
	"strings"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
)

const convertHelp = `gannet convert FILE writes a configuration in Gannet's own format to the standard output.

FILE is usually a mosquitto.conf, with the files that it includes. What has no equivalent is named
on the standard error stream, with its line. Passwords files, ACL files and certificates stay as they
are; Gannet reads them.

  gannet convert /etc/mosquitto/mosquitto.conf > gannet.conf
  gannet --config gannet.conf --test-config
`

// convert is the subcommand `gannet convert`. Environment variables have no part in it: they would be written into the file.
func (p *process) convert(args []string) int {
	if len(args) == 1 && (args[0] == "-h" || args[0] == "--help") {
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
