package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// addDurable adds the flags for brokers that keep what they are given, some of peers.
func addDurable(f *flag.FlagSet, flagName, brokers string, peers []peer) *common {
	c := &common{library: libraryOf(peers)}
	c.add(f, flagName, brokers)
	f.StringVar(&c.nats, "nats", "nats-server", "`PATH` of nats-server, or its name to be looked up")
	f.StringVar(&c.dir, "dir", "", "`FOLDER` below which brokers keep their data, on the disk to be measured (default: the system's for temporary files)")
	return c
}

// durableOptions reads the arguments of gannet bench durable.
func durableOptions(args []string, output io.Writer) (*options, error) {
	o := &options{}
	f := newFlags("durable", "fills the queues of absent clients, drains them, and prints tables of medians", output)
	which := f.String("variants", "all", "`NAMES` separated by commas, or all: "+strings.Join(namesOf(durableCatalog()), ", "))
	f.IntVar(&o.rounds, "rounds", 3, "`N` runs of each variant with each broker; the report has the medians")
	seconds := f.Float64("seconds", 5, "`S` seconds of publishing measured in each run, after a sixth of that to warm up")
	common := addDurable(f.FlagSet, "brokers", "gannet-sync,gannet-os,gannet-off,mosquitto,nats-server", shippedPeers("durable"))
	f.StringVar(&o.build, "build", "", "`DIR` in which nats-server is built with go install, if it is not there")
	if err := f.parse(args); err != nil {
		return nil, err
	}
	err := o.setRuns(*seconds, durablePatience)
	if err != nil {
		return nil, err
	}
	if o.entries, err = choose("variants", durableCatalog(), *which); err != nil {
		return nil, err
	}
	return o, common.into(o)
}

// durable is gannet bench durable. When it is ended early, it prints what it has.
func durable(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	fmt.Fprintln(stdout, thisMachine())
	var missing []string
	o.brokers, missing = installed(ctx, o, stdout, stderr)
	if len(o.brokers) == 0 {
		return errors.New("none of the brokers is installed")
	}
	fmt.Fprintln(stdout, describeDisk(o.parent))
	base := comparedWith(o.names())
	fmt.Fprintf(stdout, "%d rounds, %v of publishing measured in each; medians. CPU is the broker's. × is to %s. QoS 1 throughout.\n", o.rounds, o.budget.length, base)
	fmt.Fprintln(stdout, "Before it acknowledges, a message is on disk with gannet-sync and nats-server, with the operating system with gannet-os, in memory with gannet-off and mosquitto.")
	fmt.Fprintln(stdout)
	s := suite{entries: o.entries, brokers: o.brokers, rounds: o.rounds, budget: o.budget, log: stderr}
	rows, err := s.run(ctx)
	writeDurable(stdout, o.names(), rows, base)
	for _, name := range missing {
		fmt.Fprintf(stdout, "%s is not installed and was not measured.\n", name)
	}
	if err != nil {
		return err
	}
	return faultsOf(rows)
}

// comparedWith returns the broker that ratios are to: mosquitto, or the first where that is
// not among them.
func comparedWith(names []string) string {
	if slices.Contains(names, "mosquitto") {
		return "mosquitto"
	}
	return names[0]
}

// installed prints the version of each broker that is there and returns them, and
// the names of the others.
func installed(ctx context.Context, o *options, w, log io.Writer) (found []recipe, missing []string) {
	for _, b := range o.brokers {
		version, err := b.obtain(ctx, o.build, log)
		if err != nil {
			fmt.Fprintf(w, "%s: not measured: %v.\n", b.name, err)
			missing = append(missing, b.name)
			continue
		}
		fmt.Fprintf(w, "%s: %s.\n", b.name, version)
		found = append(found, b)
	}
	return found, missing
}

// absolute makes the folder of --dir, which has to be there, independent of the working
// directory, which is another one for the brokers.
func (c *common) absolute() (err error) {
	if c.dir != "" {
		if c.dir, err = filepath.Abs(c.dir); err != nil {
			return fmt.Errorf("dir: %w", err)
		}
		if info, err := os.Stat(c.dir); err != nil {
			return fmt.Errorf("dir: %w", err)
		} else if !info.IsDir() {
			return fmt.Errorf("dir: %s is no folder", c.dir)
		}
	}
	return nil
}
