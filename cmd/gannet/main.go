package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	p := process{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ()}
	ctx, stop := untilSignal(context.Background())
	status := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// untilSignal returns a context that ends with the first SIGINT or SIGTERM. A
// second one ends the process at once with status 1: whoever asks twice does not
// want to wait. stop must be called; it joins the goroutine.
func untilSignal(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	quit, joined := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(joined)
		select {
		case <-signals:
			cancel()
		case <-quit:
			return
		}
		select {
		case <-signals:
			os.Exit(statusFailure)
		case <-quit:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(quit)
		<-joined
		cancel()
	}
}

// The exit statuses that do not come from the server.
const (
	statusSuccess       = 0
	statusFailure       = 1
	statusConfiguration = 2
	statusLost          = 7   // as mosquitto_pub when the connection drops
	statusTLS           = 8   // as mosquitto_pub when TLS does not come about
	statusTimeout       = 27  // as mosquitto_sub when -W runs out
	statusInterrupted   = 130 // as a shell reports SIGINT
)

// process is what a subcommand may use of the operating system's process.
type process struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
}
