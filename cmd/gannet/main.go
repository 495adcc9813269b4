package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/gannetmq/gannet/bench"
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

// run executes one subcommand and returns the exit status. Without one it is
// serve.
func (p *process) run(ctx context.Context, args []string) int {
	if len(args) == 0 || (strings.HasPrefix(args[0], "-") && args[0] != "--version") {
		return p.serve(ctx, args)
	}
	switch name, rest := args[0], args[1:]; name {
	case "serve":
		return p.serve(ctx, rest)
	case "pub":
		return p.pub(ctx, rest)
	case "sub":
		return p.sub(ctx, rest)
	case "convert":
		return p.convert(rest)
	case "store":
		return p.store(ctx, rest)
	case "passwd":
		return p.passwd(ctx, rest)
	case "bench":
		return bench.Main(rest, p.stdout, p.stderr)
	case "version", "--version":
		return p.version()
	case "help":
		return p.help(ctx, rest)
	default:
		fmt.Fprintf(p.stderr, "gannet: unknown command %q: write gannet serve, pub, sub, convert, store, passwd, bench, version or help\n", name)
		return statusConfiguration
	}
}

// help prints the overview, or the help of the command named.
func (p *process) help(ctx context.Context, rest []string) int {
	if len(rest) > 0 && rest[0] != "help" && rest[0] != "version" {
		return p.run(ctx, []string{rest[0], "--help"})
	}
	fmt.Fprint(p.stdout, overview)
	return statusSuccess
}

const overview = `gannet is an MQTT 3.1, 3.1.1 and 5.0 broker.

  gannet [serve] [flags]   run the broker; without flags on mqtt://127.0.0.1:1883
  gannet pub [flags]       publish messages (gannet pub -t greetings -m "Hello world")
  gannet sub [flags]       print messages as they come (gannet sub -t greetings)
  gannet convert FILE      turn a mosquitto.conf into Gannet's own format (gannet convert --help)
  gannet store SUBCOMMAND  look at the store of a broker, mend it, copy it (gannet store --help)
  gannet passwd FILE USER  set a password in a password file (gannet passwd --help)
  gannet bench load        measure brokers on the same loads (gannet bench load --help)
  gannet version           print the version
  gannet help COMMAND      explain the flags of serve, pub, sub, convert, store, passwd or bench
`
