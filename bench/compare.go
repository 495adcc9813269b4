package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// compareSettings are what the flags of gannet bench compare say.
type compareSettings struct {
	options
	out  string // folder of the reports
	from *comparison
}

// quick are the scenarios of --scenarios quick: one of each kind.
const quick = "p2p-qos0,p2p-qos1,single-qos1,fanout-100,connect,idle"

// compareOptions reads the arguments of gannet bench compare.
func compareOptions(args []string, output io.Writer) (*compareSettings, error) {
	o := &compareSettings{}
	var files, programs []string
	f := newFlags("compare", "drives the same scenarios against brokers in turn and writes a report with charts", output)
	which, seconds := o.addScenarios(f.FlagSet)
	f.Lookup("scenarios").Usage = "`NAMES` separated by commas, all, or quick, which is " + quick + "; see --list"
	steps := f.String("connections", "2000,6000", "`FEW,MANY` silent clients of the scenario idle; the slope is between the two")
	f.DurationVar(&o.settle, "settle", 6*time.Second, "`TIME` of silence before each look at the memory")
	names := f.String("peers", "gannet,mosquitto,nats-server,mochi", "`NAMES` separated by commas: "+
		strings.Join(recipeNames(libraryOf(shippedPeers(""))), ", ")+", or the HOST:PORT of a broker that runs; the others are compared with the first")
	f.Func("peer", "`FILE` that describes one more broker; again for each", collect(&files))
	f.Func("program", "`NAME=PATH` of the program of a peer; again for each (default: this one for gannet, else looked up)", collect(&programs))
	f.StringVar(&o.build, "build", "", "`DIR` in which peers that are Go modules are built with go install, if they are not there")
	f.StringVar(&o.out, "out", "", "`DIR` for report.html, report.md, overview.svg, results.json, results.csv (default: gannet-bench-DATE)")
	from := f.String("from", "", "`FILE`, a results.json: make its reports again and measure nothing")
	if err := f.parse(args); err != nil {
		return nil, err
	}
	o.out = cmp.Or(o.out, "gannet-bench-"+time.Now().UTC().Format("2006-01-02T150405Z"))
	if *from != "" {
		var err error
		o.from, err = readComparison(*from)
		return o, err
	}
	if err := o.setRuns(*seconds, patience); err != nil {
		return nil, err
	}
	if err := o.setSteps(*steps); err != nil {
		return nil, err
	}
	o.budget.connections = connectionsCompared
	if *which == "quick" {
		*which = quick
	}
	var err error
	if o.entries, err = choose("scenarios", o.compareCatalog(), *which); err != nil {
		return nil, err
	}
	return o, o.choosePeers(*names, files, programs)
}

// connectionsCompared is how many clients the scenario connect has.
const connectionsCompared = 5000

func collect(list *[]string) func(string) error {
	return func(value string) error {
		*list = append(*list, value)
		return nil
	}
}

// compareCatalog is the catalog of gannet bench load, the memory of silent clients, and
// scenarios of gannet bench run.
func (o *compareSettings) compareCatalog() []entry {
	few, many := o.steps[0], o.steps[1]
	list := append(catalog(), entry{
		name: "idle", unit: unitConnection,
		about: fmt.Sprintf("silent clients with a subscription each, from %d to %d", few, many),
		run: func(ctx context.Context, t target, b budget) (outcome, error) {
			return measureIdle(ctx, t, few, many, o.settle, b)
		},
	})
	for _, c := range comparedRuns() {
		list = append(list, c.entry())
	}
	return list
}

// choosePeers fills in the brokers: those of names, and those of files after them. A
// file of the user wins over a shipped one of the same name.
func (o *compareSettings) choosePeers(names string, files, programs []string) error {
	var peers []peer
	for _, file := range files {
		p, err := loadPeer(file)
		if err != nil {
			return err
		}
		peers = append(peers, p)
	}
	own := recipeNames(libraryOf(peers))
	library := libraryOf(append(peers, shippedPeers("")...))
	for name := range strings.SplitSeq(names, ",") {
		r, err := pick(library, strings.TrimSpace(name))
		if err != nil {
			return err
		}
		if slices.Contains(o.names(), r.name) {
			return fmt.Errorf("peers: %s is there twice", r.name)
		}
		o.brokers = append(o.brokers, r)
	}
	for _, name := range own {
		if !slices.Contains(o.names(), name) {
			r, err := pick(library, name)
			if err != nil {
				return err
			}
			o.brokers = append(o.brokers, r)
		}
	}
	return o.locate(programs)
}

// pick returns the recipe of a name, or of a broker that runs.
func pick(library []recipe, name string) (recipe, error) {
	if i := slices.IndexFunc(library, func(r recipe) bool { return r.name == name }); i >= 0 {
		return library[i], nil
	}
	if strings.Contains(name, ":") {
		addr, err := loopbackAddress(name)
		if err != nil {
			return recipe{}, fmt.Errorf("peers: %w", err)
		}
		return recipe{name: addr.String(), running: &target{addr: addr}}, nil
	}
	return recipe{}, fmt.Errorf("peers: %q is none of %s, nor HOST:PORT", name, strings.Join(recipeNames(library), ", "))
}

// locate says where programs are: NAME=PATH for some, this one for gannet.
func (o *compareSettings) locate(programs []string) error {
	for i := range o.brokers {
		if r := &o.brokers[i]; r.peer != nil && r.path == "gannet" {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("gannet: this program's file: %w", err)
			}
			r.path = self
		}
	}
	for _, text := range programs {
		name, path, ok := strings.Cut(text, "=")
		i := slices.Index(o.names(), name)
		if !ok || i < 0 || path == "" || o.brokers[i].running != nil {
			return fmt.Errorf("program: %q is not NAME=PATH, with the name of a peer that is started", text)
		}
		o.brokers[i].path, o.brokers[i].located = path, true
	}
	return nil
}

// compare is gannet bench compare. When it is ended early, it writes what it has.
func compare(ctx context.Context, o *compareSettings, stdout, stderr io.Writer) error {
	if o.listEntries {
		for _, e := range o.entries {
			fmt.Fprintf(stdout, "%-17s %s\n", e.name, e.about)
		}
		return nil
	}
	unused, err := folderFor(o.out)
	if err != nil {
		return misused(fmt.Errorf("out: %w", err))
	}
	c := o.from
	if c == nil {
		c, err = o.measure(ctx, stderr)
	}
	if c == nil {
		unused()
		return err
	}
	if err := c.write(o.out); err != nil {
		return err
	}
	c.writeGlance(stdout)
	fmt.Fprintf(stdout, "\n%s\n", filepath.Join(o.out, "report.html"))
	if err == nil && faultsOf(c.rows()) != nil {
		err = errors.New("there were faults, see the report")
	}
	return err
}

// measure runs everything. It returns no comparison if there is nobody to compare, and
// one with an error if it was ended early.
func (o *compareSettings) measure(ctx context.Context, log io.Writer) (*comparison, error) {
	c := &comparison{
		Format: resultsFormat, Machine: thisMachine(), Rounds: o.rounds, Seconds: o.budget.length.Seconds(), Payload: payloadSize,
	}
	fmt.Fprintln(log, c.Machine)
	var there []recipe
	for _, r := range o.brokers {
		m, err := o.look(ctx, &r, log)
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		if err != nil {
			m.Reason = err.Error()
			c.Absent = append(c.Absent, m)
			fmt.Fprintf(log, "%s: not measured: %v\n", r.name, err)
			continue
		}
		c.Peers, there = append(c.Peers, m), append(there, r)
		fmt.Fprintf(log, "%s: %s\n", r.name, cmp.Or(m.Release, "runs already"))
	}
	if len(there) == 0 {
		return nil, errors.New("none of the brokers is there")
	}
	s := suite{entries: o.entries, brokers: there, rounds: o.rounds, budget: o.budget, log: log, goOn: true}
	rows, err := s.run(ctx)
	c.addRows(rows)
	if err != nil {
		c.Ended = err.Error()
	}
	return c, err
}

// look finds the program of a broker, builds it if it is to be built, and asks for its
// version. Of a broker that runs it only asks whether it is there.
func (o *compareSettings) look(ctx context.Context, r *recipe, log io.Writer) (m measured, err error) {
	m.Name = r.name
	if r.running != nil {
		m.Address = r.running.addr.String()
		m.Notes = "It ran already, with settings that are not known here, and is not fresh for each run. Its process is not looked at."
		return m, r.running.there(ctx)
	}
	m.peer = r.settings()
	m.Release, err = r.obtain(ctx, o.build, log)
	return m, err
}

// obtain returns the version of the program, which is built first if it can be and a
// folder for that is given.
func (r *recipe) obtain(ctx context.Context, build string, log io.Writer) (version string, err error) {
	if build != "" && r.peer.Build != "" && !r.located {
		if r.path, err = r.peer.build(ctx, build, log); err != nil {
			return "", err
		}
	}
	if version, err = versionOf(ctx, *r); err != nil && absent(err) {
		err = fmt.Errorf("%w: %s", err, r.peer.hint())
	}
	return version, err
}

// settings are what a report shows of a recipe: its peer, with the listener filled in.
func (r *recipe) settings() peer {
	p := *r.peer
	p.Name = r.name
	fill := strings.NewReplacer("{listen}", strings.TrimSpace(r.listen[string(r.over)]), "{mode}", r.mode)
	p.Arguments = slices.Clone(p.Arguments)
	for i := range p.Arguments {
		p.Arguments[i] = fill.Replace(p.Arguments[i])
	}
	p.Files = map[string]string{}
	for name, text := range r.files {
		p.Files[name] = fill.Replace(text)
	}
	return p
}

// folderFor makes a folder if it is not there, and fails unless files can be made in it:
// better now than after hours. unused takes it away again if it was made here and is empty.
func folderFor(dir string) (unused func(), err error) {
	_, err = os.Stat(dir)
	made := errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	probe, err := os.CreateTemp(dir, ".probe-")
	if err != nil {
		return nil, err
	}
	return func() {
		if made {
			_ = os.Remove(dir) // it stays if something is in it
		}
	}, errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// write writes all reports to a folder.
func (c *comparison) write(dir string) error {
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"results.json", c.writeJSON}, {"results.csv", c.writeCSV}, {"report.md", c.writeMarkdown}, {"report.html", c.writePage}, {"overview.svg", c.writeOverview},
	} {
		file, err := os.Create(filepath.Join(dir, f.name))
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		if err := errors.Join(f.write(file), file.Close()); err != nil {
			return fmt.Errorf("report: %s: %w", f.name, err)
		}
	}
	return nil
}
