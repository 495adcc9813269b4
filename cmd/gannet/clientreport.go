package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/gannetmq/gannet/cmd/gannet/internal/client"
	"github.com/gannetmq/gannet/codec"
)

// clientUsage answers a mistake in the arguments, or --help.
func (p *process) clientUsage(which command, f *clientFlags, err error) int {
	if errors.Is(err, errClientHelp) {
		writeClientHelp(p.stdout, which)
		return statusSuccess
	}
	if !f.quiet {
		fmt.Fprintf(p.stderr, "Error: %v\n\nUse 'gannet %s --help' to see usage.\n", err, which)
	}
	return statusFailure
}

// errorsOf is where pub and sub report failures.
func (p *process) errorsOf(f *clientFlags) io.Writer {
	if f.quiet {
		return io.Discard
	}
	return p.stderr
}

// explainDial prints why there is no connection and returns the exit status.
func explainDial(w io.Writer, err error) int {
	if refused, ok := errors.AsType[*client.RefusedError](err); ok {
		fmt.Fprintf(w, "Connection error: %s\n", refusalText(refused))
		return int(refused.Code())
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		fmt.Fprintln(w, "Unable to connect (Lookup error.).")
		return statusFailure
	}
	if errors.Is(err, context.Canceled) {
		return statusInterrupted
	}
	if text, ok := explainTLS(err); ok {
		fmt.Fprintf(w, "Error: %s.\n", strings.TrimSuffix(text, "."))
		return statusTLS
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		fmt.Fprintf(w, "Error: %s\n", capital(errno.Error()))
		return statusFailure
	}
	fmt.Fprintf(w, "Error: %s\n", capital(err.Error()))
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return statusLost
	}
	return statusFailure
}

// refusalText words a refusal as mosquitto's clients do.
func refusalText(e *client.RefusedError) string {
	if e.Version == codec.V5 {
		return e.Reason.String()
	}
	switch e.Return {
	case codec.RefusedVersion:
		return "Connection Refused: unacceptable protocol version."
	case codec.RefusedIdentifier:
		return "Connection Refused: identifier rejected."
	case codec.RefusedUnavailable:
		return "Connection Refused: broker unavailable."
	case codec.RefusedCredentials:
		return "Connection Refused: bad user name or password."
	case codec.RefusedNotAuthorized:
		return "Connection Refused: not authorised."
	default:
		return "Connection Refused: unknown reason."
	}
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
