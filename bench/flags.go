package bench

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are what the flags of load and idle say.
type options struct {
	brokers []recipe

	// Of load.
	entries     []entry
	rounds      int
	budget      budget
	listEntries bool

	// Of idle, store and secure.
	steps  []int
	settle time.Duration

	// Of secure.
	loads       []secureLoad
	certificate *certificate

	// Of durable and store.
	parent string // of the folders that brokers keep their data in
	build  string // folder of programs that are built; empty: build none
	amount int
	kind   storeKind // of store
	kill   bool
}

// loadOptions reads the arguments of gannet bench load.
func loadOptions(args []string, output io.Writer) (*options, error) {
	o := &options{}
	f := newFlags("load", "drives scenarios against brokers in turn and prints a table of medians", output)
	which, seconds := o.addScenarios(f.FlagSet)
	f.IntVar(&o.budget.connections, "connections", 5000, "`N` clients of the connect scenario")
	common := addCommon(f.FlagSet, "gannet,mosquitto")
	common.addConnect(f.FlagSet)
	if err := f.parse(args); err != nil {
		return nil, err
	}
	err := o.setRuns(*seconds, patience)
	if err != nil {
		return nil, err
	}
	if o.budget.connections < 1 || o.budget.connections > connectionsMax {
		return nil, fmt.Errorf("connections: %d is not between 1 and %d", o.budget.connections, connectionsMax)
	}
	if o.entries, err = choose("scenarios", catalog(), *which); err != nil {
		return nil, err
	}
	if err := common.into(o); err != nil {
		return nil, err
	}
	return o, nil
}

// addScenarios adds the flags that say which scenarios to run, how often and for how long.
func (o *options) addScenarios(f *flag.FlagSet) (which *string, seconds *float64) {
	f.BoolVar(&o.listEntries, "list", false, "print the scenarios and end")
	f.IntVar(&o.rounds, "rounds", 3, "`N` runs of each scenario with each broker; the report has the medians")
	return f.String("scenarios", "all", "`NAMES` separated by commas, or all; see --list"),
		f.Float64("seconds", 3, "`S` seconds measured in each run, after a sixth of that to warm up")
}

// idleOptions reads the arguments of gannet bench idle.
func idleOptions(args []string, output io.Writer) (*options, error) {
	o := &options{}
	f := newFlags("idle", "opens connections that stay silent and prints what one adds to a broker's memory", output)
	steps := f.String("connections", "5000,19000", "`FEW,MANY` clients, one subscription each; the slope is between the two")
	f.DurationVar(&o.settle, "settle", 6*time.Second, "`TIME` of silence before each look at the memory")
	common := addCommon(f.FlagSet, "gannet")
	common.addConnect(f.FlagSet)
	if err := f.parse(args); err != nil {
		return nil, err
	}
	if err := o.setSteps(*steps); err != nil {
		return nil, err
	}
	if err := common.into(o); err != nil {
		return nil, err
	}
	if r := o.brokers[0].running; r != nil && r.pid == 0 {
		return nil, errors.New("pid: needed with --connect: memory is read from that process")
	}
	return o, nil
}

// setSteps takes the numbers of connections, FEW,MANY, and judges the time to settle.
func (o *options) setSteps(list string) error {
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 || n > connectionsMax {
			return fmt.Errorf("connections: %q is not a number from 1 to %d", text, connectionsMax)
		}
		o.steps = append(o.steps, n)
	}
	if len(o.steps) != 2 || o.steps[0] >= o.steps[1] {
		return fmt.Errorf("connections: %q is not two numbers, the second larger, such as 5000,19000", list)
	}
	if o.settle < 0 || o.settle > time.Hour {
		return fmt.Errorf("settle: %v is not between 0s and 1h", o.settle)
	}
	return nil
}

// setRuns judges the number of rounds and takes the seconds measured in each run.
func (o *options) setRuns(seconds float64, patience time.Duration) error {
	switch {
	case o.rounds < 1 || o.rounds > 1000:
		return fmt.Errorf("rounds: %d is not between 1 and 1000", o.rounds)
	case !(seconds >= 0.01 && seconds <= 3600):
		return fmt.Errorf("seconds: %v is not between 0.01 and 3600", seconds)
	}
	o.budget.length = time.Duration(seconds * float64(time.Second))
	o.budget.warm, o.budget.patience = o.budget.length/6, patience
	return nil
}

// patience is how long a broker may do nothing at all while it has something to do.
const patience = 3 * time.Second

// connectionsMax is bounded by the ports of one loopback address.
const connectionsMax = 60_000

// common are the flags that say which brokers to measure.
type common struct {
	brokers, gannet, mosquitto, nats, dir, connect string
	pid                                            int
	library                                        []recipe // to be chosen from by name
}

// addCommon adds the flags for brokers that keep nothing.
func addCommon(f *flag.FlagSet, brokers string) *common {
	c := &common{library: libraryOf(shippedPeers(""))}
	c.add(f, "brokers", brokers)
	return c
}

func (c *common) add(f *flag.FlagSet, name, brokers string) {
	f.StringVar(&c.brokers, name, brokers, "`NAMES` separated by commas: "+strings.Join(recipeNames(c.library), ", "))
	f.StringVar(&c.gannet, "gannet", "", "`PATH` of the gannet to measure (default: this program)")
	f.StringVar(&c.mosquitto, "mosquitto", "mosquitto", "`PATH` of mosquitto, or its name to be looked up")
}

func (c *common) addConnect(f *flag.FlagSet) {
	f.StringVar(&c.connect, "connect", "", "`HOST:PORT` of a broker that runs already on this machine, instead of starting any")
	f.IntVar(&c.pid, "pid", 0, "`PID` of the broker of --connect; without it neither processor time nor memory is measured")
}

// into checks the flags and fills in o.
func (c *common) into(o *options) (err error) {
	if c.connect != "" {
		running := &target{pid: c.pid}
		running.addr, err = loopbackAddress(c.connect)
		o.brokers = []recipe{{name: "broker", running: running}}
		if err == nil && c.pid < 0 {
			err = fmt.Errorf("pid: %d is negative", c.pid)
		}
		return err
	}
	if c.pid != 0 {
		return errors.New("pid: only together with --connect")
	}
	if c.gannet == "" {
		if c.gannet, err = os.Executable(); err != nil {
			return fmt.Errorf("gannet: this program's file: %w", err)
		}
	}
	if err := c.absolute(); err != nil {
		return err
	}
	for name := range strings.SplitSeq(c.brokers, ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(c.library, func(r recipe) bool { return r.name == name })
		if i < 0 {
			return fmt.Errorf("brokers: %q is none of %s", name, strings.Join(recipeNames(c.library), ", "))
		}
		o.brokers = append(o.brokers, c.located(c.library[i]))
	}
	o.parent = c.dir
	return nil
}

// located returns the recipe with the program that a flag names for it.
func (c *common) located(r recipe) recipe {
	switch r.path {
	case "gannet":
		r.path = c.gannet
	case "mosquitto":
		r.path = cmp.Or(c.mosquitto, r.path)
	case "nats-server":
		r.located = c.nats != "" && c.nats != r.path
		r.path = cmp.Or(c.nats, r.path)
	}
	r.parent = c.dir
	return r
}

// libraryOf returns the recipes of all peers. Of those with one name, the first counts.
func libraryOf(peers []peer) (library []recipe) {
	for i := range peers {
		for _, r := range peers[i].recipes() {
			if !slices.Contains(recipeNames(library), r.name) {
				library = append(library, r)
			}
		}
	}
	return library
}

// gannetAt is the recipe of Gannet for the program at path.
func gannetAt(path string) recipe {
	library := libraryOf(shippedPeers(""))
	r := library[slices.IndexFunc(library, func(r recipe) bool { return r.name == "gannet" })]
	r.path = path
	return r
}

func recipeNames(recipes []recipe) (names []string) {
	for _, r := range recipes {
		names = append(names, r.name)
	}
	return names
}

// loopbackAddress reads HOST:PORT and refuses other machines: this command is to
// load brokers of one's own, and can read the processor time of no others.
func loopbackAddress(text string) (netip.AddrPort, error) {
	text = strings.Replace(text, "localhost:", "127.0.0.1:", 1)
	addr, err := netip.ParseAddrPort(text)
	if err != nil {
		return addr, fmt.Errorf("connect: %q is not an address and a port, such as 127.0.0.1:1883", text)
	}
	if !addr.Addr().IsLoopback() {
		return addr, fmt.Errorf("connect: %s is not a loopback address", addr.Addr())
	}
	return addr, nil
}

// flags is a flag set whose complaints are left to the caller.
type flags struct{ *flag.FlagSet }

func newFlags(name, about string, output io.Writer) flags {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {
		fmt.Fprintf(output, "gannet bench %s %s.\n\n", name, about)
		f.SetOutput(output)
		f.PrintDefaults()
	}
	return flags{f}
}

// parse returns flag.ErrHelp after the help was printed.
func (f flags) parse(args []string) error {
	usage := f.Usage
	f.Usage = func() {}
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage()
		return err
	case err != nil:
		return err
	case f.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return nil
}
