package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// The exit statuses of Main.
const (
	statusOK    = 0
	statusFault = 1 // a run failed, or a message was lost, doubled or reordered
	statusUsage = 2
)

const usage = `gannet bench measures brokers on this machine.

  gannet bench run [flags]             a scenario against a broker that runs: run SCENARIO [HOST:PORT]
  gannet bench agent [flags]           waits on one of several load machines for run --agents
  gannet bench load [flags]            messages, connections and churn: rate, CPU, latency
  gannet bench idle [flags]            memory for each idle connection
  gannet bench compare [flags]         brokers side by side: a report with charts
  gannet bench secure [flags]          handshakes, messages and memory over TLS and WebSocket
  gannet bench durable [flags]         queues of absent clients, filled and drained
  gannet bench store sessions [flags]  many durable sessions, and a restart
  gannet bench store retained [flags]  many retained messages, a restart, and their replay
  gannet bench store queue [flags]     many messages for one absent session
  gannet bench scale [flags]           a simulation: millions of sessions and filters in this process
  gannet bench plan [flags]            machines and settings for many connections, from measured slopes
  gannet bench cmp [flags]             two commits of Gannet in turn, for reviews

Every flag is explained by --help after the command.
`

// Main is the command gannet bench; args follow that word. The report goes to stdout,
// progress and complaints to stderr. The result is the exit status: 0, 1 if a run
// failed or a broker lost, doubled or reordered a message, 2 if the arguments make no
// sense. SIGINT and SIGTERM end it early, and the brokers that it started with it; the
// second one ends it at once, without a word.
//
// Main handles signals of the whole process, starts processes and occupies the
// calling goroutine's thread; it is called once at a time.
func Main(args []string, stdout, stderr io.Writer) int {
	raiseDescriptors()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	err := run(ctx, args, stdout, stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return statusOK
	}
	fmt.Fprintf(stderr, "gannet bench: %s\n", oneLine(err))
	if bad := (*usageError)(nil); errors.As(err, &bad) {
		return statusUsage
	}
	return statusFault
}

// usageError is a mistake in the arguments, or in what they name.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// misused makes a usageError of err, which may be nil.
func misused(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err}
}

// oneLine returns what err says in one line: what was joined, and what programs have
// printed, has several.
func oneLine(err error) string {
	text := ""
	for line := range strings.Lines(err.Error()) {
		switch line = strings.TrimSpace(line); {
		case line == "":
		case text == "" || strings.HasSuffix(text, ":"):
			text = strings.TrimSpace(text + " " + line)
		default:
			text += "; " + line
		}
	}
	return text
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	name := "help"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch name {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
		return nil
	}
	var names []string
	for _, s := range subcommands() {
		if s.name == name {
			return s.run(ctx, args, stdout, stderr)
		}
		names = append(names, s.name)
	}
	return misused(fmt.Errorf("unknown command %q: write one of %s", name, strings.Join(names, ", ")))
}

// subcommand is what may stand behind gannet bench.
type subcommand struct {
	name string
	run  func(ctx context.Context, args []string, stdout, stderr io.Writer) error
}

func subcommands() []subcommand {
	return []subcommand{
		{"run", with(runOptionsOf, runBroker)},
		{"agent", with(agentOptionsOf, runAgent)},
		{"load", with(loadOptions, load)},
		{"idle", with(idleOptions, idle)},
		{"compare", with(compareOptions, compare)},
		{"secure", with(secureOptions, secure)},
		{"durable", with(durableOptions, durable)},
		{"store", with(storeOptions, store)},
		{"scale", with(scaleSettings, scale)},
		{"plan", with(planSettings, planCommand)},
		{"cmp", with(cmpSettings, cmpCommand)},
	}
}

// with makes one function of that which reads the arguments of a command and that which
// carries it out.
func with[T any](options func([]string, io.Writer) (T, error), carryOut func(context.Context, T, io.Writer, io.Writer) error) func(context.Context, []string, io.Writer, io.Writer) error {
	return func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
		o, err := options(args, stdout)
		if err != nil {
			return misused(err)
		}
		return carryOut(ctx, o, stdout, stderr)
	}
}

// load is gannet bench load. When it is ended early, it prints what it has.
func load(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	if o.listEntries {
		for _, e := range catalog() {
			fmt.Fprintf(stdout, "%-12s %s\n", e.name, e.about)
		}
		return nil
	}
	if err := describe(ctx, o, stdout); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d rounds of %v, medians; payloads of %d bytes. CPU is the broker's, for each message in or out, connection or cycle.\n",
		o.rounds, o.budget.length, payloadSize)
	if n := len(o.brokers); n > 1 {
		fmt.Fprintf(stdout, "× is %s to %s.\n", o.brokers[0].name, o.brokers[n-1].name)
	}
	fmt.Fprintln(stdout)
	s := suite{entries: o.entries, brokers: o.brokers, rounds: o.rounds, budget: o.budget, log: stderr}
	rows, err := s.run(ctx)
	writeReport(stdout, o.names(), rows)
	if err != nil {
		return err
	}
	return faultsOf(rows)
}

// faultsOf returns an error if any run failed or any message was mistreated.
func faultsOf(rows []row) error {
	for i := range rows {
		for k := range rows[i].columns {
			if !rows[i].columns[k].ok() {
				return errors.New("there were faults, see the last column")
			}
		}
	}
	return nil
}

func (o *options) names() (names []string) {
	for _, b := range o.brokers {
		names = append(names, b.name)
	}
	return names
}

// there says whether somebody listens at the address of t, and whether its process, if it is
// known, can be looked at.
func (t *target) there(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", t.addr.String())
	if err != nil {
		return fmt.Errorf("no broker listens on %s: %w", t.addr, err)
	}
	if t.pid != 0 {
		err = readable(t.pid)
	}
	return errors.Join(err, conn.Close())
}

// describe prints what is needed to judge figures later: the machine, and which
// versions were measured. It prints nothing if a broker is not there.
func describe(ctx context.Context, o *options, w io.Writer) error {
	var brokers strings.Builder
	for _, b := range o.brokers {
		if b.running != nil {
			if err := b.running.there(ctx); err != nil {
				return misused(err)
			}
			fmt.Fprintf(&brokers, "The broker on %s, process %d.\n", b.running.addr, b.running.pid)
			continue
		}
		version, err := b.obtain(ctx, "", io.Discard)
		if err != nil {
			return misused(err)
		}
		fmt.Fprintf(&brokers, "%s: %s.\n", b.name, version)
	}
	_, err := fmt.Fprintf(w, "%v\n%s", thisMachine(), brokers.String())
	return err
}
