package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/gannetmq/gannet/cmd/gannet/internal/client"
)

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
