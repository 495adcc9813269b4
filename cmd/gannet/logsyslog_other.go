//go:build !unix

package main

import (
	"errors"
	"io"
	"log/slog"
)

// openSyslog fails: this system has no syslog.
func openSyslog(string) (io.WriteCloser, error) {
	return nil, errors.New("syslog: this system has none: name another log-dest")
}

func newSyslogHandler(io.Writer, slog.Leveler) slog.Handler { return slog.DiscardHandler }
