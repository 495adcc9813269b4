package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// storeKinds are the things that gannet bench store can fill a store with.
func storeKinds() []storeKind {
	return []storeKind{
		{"sessions", "durable sessions with a subscription each: time to serve again, memory for each", storeSessions},
		{"retained", "retained messages of 100 B: replay to one subscriber, and what others notice", storeRetained},
		{"queue", "messages of 100 B for one absent session: memory, and draining", storeQueue},
	}
}

type storeKind struct {
	name, about string
	run         func(ctx context.Context, s *storeRun) error
}

const (
	storeLimit    = 2 * time.Hour    // for one phase of a run
	storePatience = 60 * time.Second // without progress
	storeMax      = 100_000_000
)

// storeOptions reads the arguments of gannet bench store.
func storeOptions(args []string, output io.Writer) (*options, error) {
	kinds := storeKinds()
	if len(args) > 0 && slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
		args = []string{kinds[0].name, "-h"}
	}
	if len(args) == 0 {
		return nil, fmt.Errorf("store: say which: %s", kindNames(kinds))
	}
	i := slices.IndexFunc(kinds, func(k storeKind) bool { return k.name == args[0] })
	if i < 0 {
		return nil, fmt.Errorf("store: there is no %q: write %s", args[0], kindNames(kinds))
	}
	o, kind := &options{kind: kinds[i]}, kinds[i]
	f := newFlags("store "+kindNames(kinds), "fills one broker's store and prints what that costs.\nstore "+kind.name+": "+kind.about, output)
	f.IntVar(&o.amount, "n", 1_000_000, "`N` sessions or messages")
	f.BoolVar(&o.kill, "kill", false, "end the broker with SIGKILL instead of SIGTERM before it is started again")
	f.DurationVar(&o.settle, "settle", 10*time.Second, "`TIME` of silence before each look at the memory")
	common := addDurable(f.FlagSet, "broker", "gannet-sync", slices.Concat(shippedPeers("store"), shippedPeers("durable")))
	if err := f.parse(args[1:]); err != nil {
		return nil, err
	}
	switch {
	case o.amount < 1 || o.amount > storeMax:
		return nil, fmt.Errorf("n: %d is not between 1 and %d", o.amount, storeMax)
	case o.settle < 0 || o.settle > time.Hour:
		return nil, fmt.Errorf("settle: %v is not between 0s and 1h", o.settle)
	}
	if err := common.into(o); err != nil {
		return nil, err
	}
	if len(o.brokers) != 1 {
		return nil, errors.New("broker: one at a time")
	}
	return o, nil
}

func kindNames(kinds []storeKind) string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

// store is gannet bench store.
func store(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	if err := describe(ctx, o, stdout); err != nil {
		return err
	}
	fmt.Fprintln(stdout, describeDisk(o.parent))
	fmt.Fprintf(stdout, "store %s: %s, n = %d.\n\n", o.kind.name, o.kind.about, o.amount)
	writeLine(stdout, []string{"figure", "value"})
	writeRule(stdout, 1, 1, 0)
	s := &storeRun{recipe: o.brokers[0], n: o.amount, kill: o.kill, settle: o.settle, patience: storePatience, figures: stdout, log: stderr}
	return errors.Join(o.kind.run(ctx, s), s.close())
}
