package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// secureLoad are the scenarios over one transport.
type secureLoad struct {
	title   string
	over    transport
	entries []entry
}

// secureOptions reads the arguments of gannet bench secure.
func secureOptions(args []string, output io.Writer) (*options, error) {
	o := &options{}
	f := newFlags("secure", "measures brokers over TLS and WebSocket in turn and prints tables of medians", output)
	which, seconds := o.addScenarios(f.FlagSet)
	steps := f.String("connections", "2000,6000", "`FEW,MANY` silent clients, one subscription each; the slope is between the two")
	f.DurationVar(&o.settle, "settle", 6*time.Second, "`TIME` of silence before each look at the memory")
	common := addCommon(f.FlagSet, "gannet,mosquitto")
	if err := f.parse(args); err != nil {
		return nil, err
	}
	if err := o.setRuns(*seconds, patience); err != nil {
		return nil, err
	}
	if err := o.setSteps(*steps); err != nil {
		return nil, err
	}
	var err error
	if o.certificate, err = newCertificate(); err != nil {
		return nil, err
	}
	o.loads = o.secureLoads()
	if o.entries, err = choose("scenarios", slices.Concat(o.loads[0].entries, o.loads[1].entries), *which); err != nil {
		return nil, err
	}
	chosen := namesOf(o.entries)
	for i := range o.loads {
		o.loads[i].entries = slices.DeleteFunc(o.loads[i].entries, func(e entry) bool { return !slices.Contains(chosen, e.name) })
	}
	return o, common.into(o)
}

// secure is gannet bench secure. When it is ended early, it prints what it has.
func secure(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	if o.listEntries {
		for _, e := range o.entries {
			fmt.Fprintf(stdout, "%-15s %s\n", e.name, e.about)
		}
		return nil
	}
	if err := describe(ctx, o, stdout); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d rounds of %v, medians; payloads of %d bytes. CPU is the broker's, for each message in or out, or handshake with all around it.\n",
		o.rounds, o.budget.length, payloadSize)
	fmt.Fprintln(stdout, "RSS is the memory of one further connection. A client costs as much for TLS as a broker: where the loader is busy all the time,")
	fmt.Fprintln(stdout, "rates are the loader's, and processor time alone compares brokers.")
	if n := len(o.brokers); n > 1 {
		fmt.Fprintf(stdout, "× is %s to %s.\n", o.brokers[0].name, o.brokers[n-1].name)
	}
	var all []row
	for _, load := range o.loads {
		if len(load.entries) == 0 {
			continue
		}
		fmt.Fprintf(stdout, "\n### %s\n\n", load.title)
		rows, err := load.run(ctx, o, stdout, stderr)
		all = append(all, rows...)
		if err != nil {
			return err
		}
	}
	return faultsOf(all)
}

// run measures one load and prints its table.
func (s *secureLoad) run(ctx context.Context, o *options, stdout, stderr io.Writer) ([]row, error) {
	brokers, err := offering(ctx, o.brokers, s.over, o.certificate, stdout)
	if err != nil {
		return nil, err
	}
	u := suite{entries: s.entries, brokers: brokers, rounds: o.rounds, budget: o.budget, log: stderr}
	rows, err := u.run(ctx)
	var names []string
	for _, b := range brokers {
		names = append(names, b.name)
	}
	writeReport(stdout, names, rows)
	return rows, err
}

// offering returns recipes for the brokers that start with a listener, and names the
// others: mosquitto may be built without WebSocket.
func offering(ctx context.Context, brokers []recipe, over transport, c *certificate, w io.Writer) (able []recipe, err error) {
	for _, r := range brokers {
		r = r.serving(over, c)
		p, err := startProcess(ctx, r)
		if err == nil {
			err = p.stop()
		}
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		if err != nil {
			fmt.Fprintf(w, "%s: not measured: %v\n\n", r.name, err)
			continue
		}
		able = append(able, r)
	}
	if len(able) == 0 {
		return nil, errors.New("none of the brokers offers this transport")
	}
	return able, nil
}
