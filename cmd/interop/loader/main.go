package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	sharpen()
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "loader: %v\n", err)
		os.Exit(1)
	}
}

// command carries out the load of a command line.
func command(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("loader", flag.ExitOnError)
	var l load
	f.IntVar(&l.clients, "clients", 50, "`N` pairs, or receivers with -fan")
	f.BoolVar(&l.fan, "fan", false, "one publisher to all receivers")
	f.Float64Var(&l.rate, "rate", 2000, "`N` messages, or connections, a second by the clock")
	f.IntVar(&l.payload, "payload", 64, "`BYTES` of each message, at least 16")
	f.DurationVar(&l.length, "length", 5*time.Second, "`TIME` of the load")
	f.IntVar(&l.pid, "pid", 0, "`PID` of the broker (default: its processor time is not measured)")
	f.StringVar(&l.prefix, "prefix", "loader", "`TEXT` before topics and Client Identifiers")
	f.DurationVar(&l.patience, "patience", 10*time.Second, "`TIME` after which what has not come is lost")
	qos := f.Uint("qos", 0, "`0|1` of messages and subscriptions")
	asJSON := f.Bool("json", false, "print the result as JSON, with times in microseconds")
	connections := f.Int("connections", 0, "`N` clients connect and subscribe by the clock, and there are no messages")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return fmt.Errorf("write loader [flags] HOST:PORT")
	}
	if l.clients < 1 && *connections < 1 || l.payload < stampSize || *qos > 1 || l.rate <= 0 || l.length <= 0 || *connections < 0 {
		return fmt.Errorf("a number is out of range: loader -help names them")
	}
	l.address, l.qos = f.Arg(0), byte(*qos)
	run := l.run
	if *connections > 0 {
		a := arrivals{address: l.address, pid: l.pid, prefix: l.prefix, clients: *connections, rate: l.rate}
		run = a.run
	}
	r, err := run(ctx)
	if err != nil {
		return err
	}
	if !*asJSON {
		r.write(os.Stdout)
	} else if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return err
	}
	if r.Faults != (faults{}) {
		return fmt.Errorf("there were faults: %v", r.Faults)
	}
	return nil
}
