package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/gannetmq/gannet/engine/auth/password"
)

// askPassword asks twice, unless -b brought the password. Prompts go to the standard error stream: the file may go to the other one.
func (j *passwdJob) askPassword(ctx context.Context) error {
	if !j.batch {
		next, restore := j.secretLines(ctx)
		defer restore()
		var again string
		for _, prompt := range []struct {
			text string
			into *string
		}{{"Password: ", &j.password}, {"Reenter password: ", &again}} {
			fmt.Fprint(j.stderr, prompt.text)
			line, err := next()
			fmt.Fprintln(j.stderr)
			if err != nil {
				return err
			}
			if *prompt.into = line; j.password == "" {
				break
			}
		}
		if j.password != "" && j.password != again {
			return errMismatch
		}
	}
	switch {
	case j.password == "":
		return errEmpty
	case len(j.password) > password.PasswordBytesMax:
		return fmt.Errorf("password longer than %d bytes", password.PasswordBytesMax)
	}
	return nil
}

// secretLines returns a function that reads one line of the standard input after the other, without echo if it is a terminal. It returns when ctx
// ends, though the terminal is then still being read, until the process ends. restore gives the terminal its echo back.
func (p *process) secretLines(ctx context.Context) (next func() (string, error), restore func()) {
	if f, ok := p.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fd := int(f.Fd())
		state, err := term.GetState(fd)
		restore = func() {
			if err == nil {
				_ = term.Restore(fd, state)
			}
		}
		return untilDone(ctx, func() (string, error) {
			line, err := term.ReadPassword(fd)
			return string(line), err
		}), restore
	}
	lines := bufio.NewReader(io.LimitReader(p.stdin, 4*password.PasswordBytesMax))
	return untilDone(ctx, func() (string, error) {
		line, err := lines.ReadString('\n')
		if err == io.EOF { // the last line may end with it, or be missing
			err = nil
		}
		return strings.TrimRight(line, "\r\n"), err
	}), func() {}
}

func untilDone(ctx context.Context, read func() (string, error)) func() (string, error) {
	type result struct {
		line string
		err  error
	}
	return func() (string, error) {
		results := make(chan result, 1)
		go func() {
			line, err := read()
			results <- result{line, err}
		}()
		select {
		case r := <-results:
			return r.line, r.err
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}
