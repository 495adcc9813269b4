package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/gannetmq/gannet/cmd/gannet/internal/client"
	"github.com/gannetmq/gannet/codec"
)

// pub is the subcommand `gannet pub`.
func (p *process) pub(ctx context.Context, args []string) int {
	f, err := parseClientFlags(commandPub, args)
	if err != nil {
		return p.clientUsage(commandPub, f, err)
	}
	u := publisher{process: p, flags: f, errors: p.errorsOf(f)}
	return u.run(ctx)
}

// publisher is one run of `gannet pub`.
type publisher struct {
	*process
	flags  *clientFlags
	errors io.Writer
}

func (u *publisher) run(ctx context.Context) int {
	f := u.flags
	if !u.load() {
		return statusFailure
	}
	options := f.options(newClientID())
	options.Trace = f.trace(&printer{out: u.stdout}, options.ClientID)
	options.OnMessage = func(*client.Client, client.Message) {} // a kept Session may bring some
	c, err := client.Dial(ctx, options)
	if err != nil {
		status := explainDial(u.errors, err)
		if _, refused := errors.AsType[*client.RefusedError](err); refused {
			fmt.Fprintf(u.errors, "Error: The connection was refused.\n")
		}
		return status
	}
	if f.source == sourceLines {
		err = u.publishLines(ctx, c)
	} else {
		err = u.publishRepeatedly(ctx, c)
	}
	// What was sent before an interruption still deserves an orderly end.
	farewell, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if ended := c.DisconnectWith(farewell, codec.Disconnect{Properties: f.properties.disconnect}); err == nil {
		err = ended
	}
	return u.status(ctx, err)
}

// status turns the outcome of publishing into an exit status, with a line for
// the user if it is a failure.
func (u *publisher) status(ctx context.Context, err error) int {
	switch {
	case err == nil:
		return statusSuccess
	case ctx.Err() != nil:
		return statusInterrupted
	case errors.Is(err, client.ErrNotSupported), errors.Is(err, errInput):
		fmt.Fprintf(u.errors, "Error: %v.\n", err)
		return statusFailure
	}
	if ended, ok := errors.AsType[*client.DisconnectedError](err); ok {
		fmt.Fprintf(u.errors, "Error: %v.\n", ended)
		return int(ended.Reason)
	}
	fmt.Fprintf(u.errors, "Error: The connection was lost.\n")
	return statusLost
}

// load reads the payload that the flags name, unless it comes line by line. It
// reports why it cannot.
func (u *publisher) load() bool {
	f := u.flags
	var err error
	switch f.source {
	case sourceFile:
		if f.payload, err = os.ReadFile(f.file); err != nil {
			fmt.Fprintf(u.errors, "Error: Unable to open file %q.\nError loading input file %q.\n", f.file, f.file)
		}
	case sourceStdin:
		f.payload, err = io.ReadAll(u.stdin)
		if err == nil && len(f.payload) == 0 {
			err = errors.New("Zero length input")
		}
		if err != nil {
			fmt.Fprintf(u.errors, "Error: %v.\nError loading input from stdin.\n", err)
		}
	}
	return err == nil
}

func (u *publisher) message(payload []byte) client.Message {
	f := u.flags
	return client.Message{Topic: f.topics[0], Payload: payload, QoS: f.qos, Retain: f.retain, Properties: f.properties.publish}
}

// publishRepeatedly publishes the payload as often as --repeat says, each time
// once the message before is complete.
func (u *publisher) publishRepeatedly(ctx context.Context, c *client.Client) error {
	for i := range u.flags.repeat {
		if i > 0 && !pause(ctx, c, u.flags.repeatDelay) {
			return cmp.Or(ctx.Err(), c.Err())
		}
		pending, err := c.Send(ctx, u.message(u.flags.payload))
		if err != nil {
			return err
		}
		if err := u.settle(ctx, pending); err != nil {
			return err
		}
	}
	return nil
}

// pause waits for d. It returns false when ctx or the connection ended before.
func pause(ctx context.Context, c *client.Client, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-c.Done():
	}
	return false
}

// settle waits for the acknowledgement and reports a refusal, which is the
// server's verdict on one message and no reason to stop.
func (u *publisher) settle(ctx context.Context, pending *client.Pending) error {
	code, err := pending.Wait(ctx)
	if err == nil && code >= codec.UnspecifiedError {
		fmt.Fprintf(u.errors, "Warning: Publish %d failed: %s.\n", pending.PacketID, code)
	}
	return err
}

// settleAhead is how many messages publishLines may be ahead of the one whose
// acknowledgement it looks at. The client's own window is what bounds them.
const settleAhead = 1024

// publishLines publishes each line, as many at a time as the window allows.
func (u *publisher) publishLines(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pending := make(chan *client.Pending, settleAhead)
	settled := make(chan error, 1)
	go func() {
		var first error
		for p := range pending {
			if err := u.settle(ctx, p); err != nil && first == nil {
				first = err
				cancel(err)
			}
		}
		settled <- first
	}()
	err := u.sendLines(ctx, c, pending)
	close(pending)
	if failed := <-settled; failed != nil {
		return failed
	}
	return err
}

// errInput marks that the standard input could not be read.
var errInput = errors.New("standard input")

// line is what readLines hands over.
type line struct {
	text []byte
	err  error // io.EOF after the last one
}

func (u *publisher) sendLines(ctx context.Context, c *client.Client, pending chan<- *client.Pending) error {
	quit := make(chan struct{})
	defer close(quit)
	lines := readLines(u.stdin, quit)
	for {
		var next line
		select {
		case next = <-lines:
		case <-c.Done():
			return c.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
		if next.err == io.EOF {
			return nil
		}
		if next.err != nil {
			return fmt.Errorf("%w: %w", errInput, next.err)
		}
		p, err := c.Send(ctx, u.message(next.text))
		if err != nil {
			return err
		}
		if p.PacketID != 0 {
			pending <- p
		}
	}
}

// readLines reads lines on a goroutine of its own, because nothing can interrupt
// a read from a terminal: when quit is closed the goroutine ends with the line
// it is reading. The newline is not part of a line.
func readLines(in io.Reader, quit <-chan struct{}) <-chan line {
	lines := make(chan line)
	go func() {
		reader := bufio.NewReaderSize(in, 64<<10)
		for {
			text, err := reader.ReadBytes('\n')
			if n := len(text); n > 0 && text[n-1] == '\n' {
				text = text[:n-1]
			} else if err == io.EOF && n > 0 {
				err = nil // the last line need not end in a newline; the next read says EOF again
			}
			select {
			case lines <- line{text, err}:
			case <-quit:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return lines
}

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
