package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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
	if err := f.setTransport(&options, u.errors); err != nil {
		fmt.Fprintf(u.errors, "Error: %s.\n", capital(err.Error()))
		return statusFailure
	}
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
			//lint:ignore ST1005 as mosquitto_pub prints it
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
