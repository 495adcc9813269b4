package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/gannetmq/gannet/codec"
)

// A scenario file describes a fleet:
//
//	about: meters, the one who reads them, and displays
//	groups:
//	  - name: meter              # part of the Client Identifiers
//	    count: 1000
//	    keepalive: 60            # seconds
//	    will: {topic: "gone/{n}", payload: off, qos: 1}
//	    publish: {topic: "meter/{n}/power", qos: 1, size: 64, rate: 0.2, arrivals: poisson}
//	  - name: reader
//	    count: 4
//	    subscribe: ["$share/readers/meter/+/power"]
//	    qos: 1
//	  - name: display
//	    count: 1000
//	    subscribe: ["meter/{n}/#"]
//	    read: 1000               # bytes a second; what it misses is no loss
//	phases:
//	  - {name: warm, seconds: 5, warm: true}
//	  - {name: evening, seconds: 60}
//	  - {name: peak, seconds: 60, rate: 3}  # of every group's rate
//
// Rates are those of one client. A publisher without one has a window. What template.go
// says stands in braces; without {prefix}, topics are as they are written.

// fleetFileMax bounds a scenario file, in bytes.
const fleetFileMax = 1 << 20

type fleetFile struct {
	About  string      `yaml:"about"`
	Groups []fileGroup `yaml:"groups"`
	Phases []filePhase `yaml:"phases"`
}

type fileGroup struct {
	Name      string       `yaml:"name"`
	Count     int          `yaml:"count"`
	Clean     *bool        `yaml:"clean"`
	KeepAlive int          `yaml:"keepalive"`
	Will      *fileWill    `yaml:"will"`
	Subscribe []string     `yaml:"subscribe"`
	Filters   int          `yaml:"filters"`
	QoS       uint8        `yaml:"qos"`
	Read      int          `yaml:"read"`
	Publish   *filePublish `yaml:"publish"`
}

type fileWill struct {
	Topic   string `yaml:"topic"`
	Payload string `yaml:"payload"`
	QoS     uint8  `yaml:"qos"`
	Retain  bool   `yaml:"retain"`
}

type filePublish struct {
	Topic    string  `yaml:"topic"`
	QoS      uint8   `yaml:"qos"`
	Retain   bool    `yaml:"retain"`
	Size     int     `yaml:"size"`
	Window   int     `yaml:"window"`
	Rate     float64 `yaml:"rate"`
	Arrivals string  `yaml:"arrivals"`
}

type filePhase struct {
	Name    string   `yaml:"name"`
	Seconds float64  `yaml:"seconds"`
	Rate    *float64 `yaml:"rate"`
	Warm    bool     `yaml:"warm"`
}

// fileScenario reads a scenario file. Its errors name the file and the line.
func fileScenario(path string) (runEntry, error) {
	info, err := os.Stat(path)
	if err != nil {
		return runEntry{}, fmt.Errorf("scenario: %w", err)
	}
	if info.Size() > fleetFileMax {
		return runEntry{}, fmt.Errorf("%s: %d bytes, more than %d", path, info.Size(), fleetFileMax)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return runEntry{}, fmt.Errorf("scenario: %w", err)
	}
	return textScenario(path, text)
}

// textScenario makes a scenario of the text of a file.
func textScenario(path string, text []byte) (runEntry, error) {
	spec, about, err := parseFleet(path, text)
	if err != nil {
		return runEntry{}, err
	}
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	return runEntry{
		name: name, about: cmp.Or(strings.TrimSuffix(about, "."), "the fleet of "+path), phased: len(spec.phases) > 0,
		run: func(ctx context.Context, r *runner) error {
			if len(spec.phases) == 0 {
				spec.phases = r.o.phases()
			}
			first, err := r.o.share.fleet(spec)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			r.target.how.first += first
			if n, room := spec.clients(), r.room(); n > room {
				return misused(fmt.Errorf("%s: %d clients, and the limit of open files of this process or the broker allows %d", path, n, room))
			}
			if err := runFleet(ctx, r, spec); errors.As(err, new(*usageError)) {
				return fmt.Errorf("%s: %w", path, err)
			} else {
				return err
			}
		},
	}, nil
}

// parseFleet reads the text of a scenario file.
func parseFleet(path string, text []byte) (spec *fleetSpec, about string, err error) {
	var f fleetFile
	tree, err := readYAML(path, text, &f)
	if err != nil {
		return nil, "", err
	}
	at := lines{path, tree}
	spec = &fleetSpec{}
	for i := range f.Groups {
		place := fmt.Sprintf("$.groups[%d]", i)
		g, err := f.Groups[i].spec()
		if err != nil {
			return nil, "", at.wrap(err, place)
		}
		if slices.ContainsFunc(spec.groups, func(other groupSpec) bool { return other.name == g.name }) {
			return nil, "", at.wrap(fmt.Errorf("name: %q is that of another group, whose Client Identifiers it would have", g.name), place)
		}
		if g.publish != nil {
			if err := g.publish.validate(); err != nil {
				return nil, "", at.wrap(err, place, "publish")
			}
		}
		if err := g.validate(); err != nil {
			return nil, "", at.wrap(err, place)
		}
		spec.groups = append(spec.groups, g)
	}
	for i := range f.Phases {
		p := f.Phases[i].spec(i)
		if err := validatePhases([]phaseSpec{p}); err != nil {
			return nil, "", at.wrap(err, fmt.Sprintf("$.phases[%d]", i))
		}
		spec.phases = append(spec.phases, p)
	}
	if err := spec.validateAll(len(spec.phases) > 0); err != nil {
		return nil, "", at.wrap(err, "$")
	}
	return spec, f.About, nil
}

func (f *fileGroup) spec() (g groupSpec, err error) {
	g = groupSpec{
		name: f.Name, count: f.Count, durable: f.Clean != nil && !*f.Clean, keepAlive: f.KeepAlive,
		subscribe: f.Subscribe, filters: f.Filters, qos: codec.QoS(f.QoS), readRate: f.Read,
	}
	if f.Name == "" {
		return g, errors.New("name: it is needed, and is part of the Client Identifiers")
	}
	if w := f.Will; w != nil {
		g.will = &will{topic: w.Topic, payload: w.Payload, qos: codec.QoS(w.QoS), retain: w.Retain}
	}
	if p := f.Publish; p != nil {
		g.publish = &publishSpec{
			topic: p.Topic, qos: codec.QoS(p.QoS), retain: p.Retain, size: cmp.Or(p.Size, 64), rate: p.Rate,
		}
		g.publish.window = cmp.Or(p.Window, defaultWindow)
		if p.Window == 0 && p.Rate > 0 {
			g.publish.window = defaultWindowOpen
		}
		switch cmp.Or(p.Arrivals, uniform.String()) {
		case uniform.String():
		case poisson.String():
			g.publish.arrivals = poisson
		default:
			return g, fmt.Errorf("arrivals: %q is neither uniform nor poisson", p.Arrivals)
		}
	}
	return g, nil
}

func (f *filePhase) spec(i int) phaseSpec {
	p := phaseSpec{name: cmp.Or(f.Name, fmt.Sprintf("phase %d", i+1)), factor: 1, unheard: f.Warm}
	if f.Rate != nil {
		p.factor = *f.Rate
	}
	if f.Seconds > 0 && f.Seconds <= runMax.Seconds() { // otherwise it stays 0, which is refused
		p.length = seconds(f.Seconds)
	}
	return p
}

// lines finds the line of what an error is about.
type lines struct {
	path string
	tree *ast.File
}

// wrap puts file and line before err. The error begins with the name of a field, which
// is looked for at a place and in the fields of it; failing that, the line is that of
// the place.
func (l lines) wrap(err error, place string, within ...string) error {
	field, _, _ := strings.Cut(err.Error(), ":")
	for _, candidate := range []string{
		strings.Join(append([]string{place}, append(within, field)...), "."),
		place + ".publish." + field, strings.Join(append([]string{place}, within...), "."), place,
	} {
		if line := l.of(candidate); line > 0 {
			return fmt.Errorf("%s:%d: %w", l.path, line, err)
		}
	}
	return fmt.Errorf("%s: %w", l.path, err)
}

// of returns the line of a path such as $.groups[0].count; 0: there is none.
func (l lines) of(path string) int {
	if strings.ContainsAny(strings.TrimPrefix(path, "$"), " $*'") {
		return 0
	}
	p, err := yaml.PathString(path)
	if err != nil {
		return 0
	}
	node, err := p.FilterFile(l.tree)
	if err != nil || node == nil || node.GetToken() == nil {
		return 0
	}
	return node.GetToken().Position.Line
}
