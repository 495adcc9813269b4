package bench

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// order is what one agent is to do. It has no paths: what stands in files of the
// coordinator comes as text, and nothing of it is run by a shell.
type order struct {
	Part int `json:"part"` // from 0
	Of   int `json:"of"`   // agents

	Scenario string     `json:"scenario"`
	File     string     `json:"file,omitempty"` // text of a scenario file; empty: a scenario of the catalog
	Sizes    orderSizes `json:"sizes"`          // of this part
	Usual    bool       `json:"usual"`          // all parts have as many clients as the scenario
	First    int        `json:"first"`          // number of its first client, for users and passwords

	Warm         time.Duration `json:"warm"`
	Length       time.Duration `json:"length"`
	Patience     time.Duration `json:"patience"`
	RestartLimit time.Duration `json:"restart_limit"`
	Dialing      int           `json:"dialing"`
	ConnectRate  float64       `json:"connect_rate"`
	Prefix       string        `json:"prefix"`
	Seed         uint64        `json:"seed"`

	Broker      string `json:"broker"`
	Mine        bool   `json:"mine"` // it may be loaded although its address is not loopback
	PID         int    `json:"pid"`
	Syscalls    bool   `json:"syscalls,omitempty"`
	Source      string `json:"source,omitempty"`
	MQTT        string `json:"mqtt"`
	User        string `json:"user,omitempty"`
	Password    string `json:"password,omitempty"`
	CA          []byte `json:"ca,omitempty"`
	Certificate []byte `json:"certificate,omitempty"`
	Key         []byte `json:"key,omitempty"`
	Insecure    bool   `json:"insecure,omitempty"`
}

// orderSizes are sizes on their way.
type orderSizes struct {
	Connections int     `json:"connections,omitempty"`
	Publishers  int     `json:"publishers,omitempty"`
	Subscribers int     `json:"subscribers,omitempty"`
	Messages    int     `json:"messages,omitempty"`
	Payload     int     `json:"payload,omitempty"`
	QoS         int     `json:"qos,omitempty"`
	Window      int     `json:"window,omitempty"`
	Rate        float64 `json:"rate,omitempty"`
	Arrivals    string  `json:"arrivals,omitempty"`
}

// share is one of several equal parts of a run. The zero value is all of it.
type share struct{ part, of int }

// cut returns how many of n things belong to s, and how many to the parts before it.
func (s share) cut(n int) (mine, before int) {
	if s.of <= 1 {
		return n, 0
	}
	mine, before = n/s.of, n/s.of*s.part
	if rest := n % s.of; s.part < rest {
		return mine + 1, before + s.part
	} else {
		return mine, before + rest
	}
}

// sizes returns what belongs to s of all sizes, and the number of clients before it. The
// rate of one publisher stays as it is. There must be one of everything for every part:
// each has topics of its own.
func (s share) sizes(all sizes) (mine sizes, first int, err error) {
	mine = all
	for _, n := range []struct {
		name    string
		of      *int
		clients bool
	}{
		{"connections", &mine.connections, true}, {"publishers", &mine.publishers, true},
		{"subscribers", &mine.subscribers, true}, {"messages", &mine.messages, false},
	} {
		if *n.of == 0 {
			continue
		}
		if *n.of < s.of {
			return all, 0, fmt.Errorf("agents: %d %s cannot be shared by %d agents with topics of their own: write --%s %d or more", *n.of, n.name, s.of, n.name, s.of)
		}
		var before int
		*n.of, before = s.cut(*n.of)
		if n.clients {
			first += before
		}
	}
	if all.publishers > 0 {
		mine.rate *= float64(mine.publishers) / float64(all.publishers)
	}
	return mine, first, nil
}

// fleet takes what belongs to s out of a fleet of a file, and returns the number of
// clients of the parts before it.
func (s share) fleet(spec *fleetSpec) (first int, err error) {
	if s.of <= 1 {
		return 0, nil
	}
	if n := len(spec.groups) * len(spec.phases); n > distributionsMax {
		return 0, fmt.Errorf("%d groups in %d phases: %d distributions of latency, and with agents there can be %d: write fewer groups or phases",
			len(spec.groups), len(spec.phases), n, distributionsMax)
	}
	for i := range spec.groups {
		g := &spec.groups[i]
		if g.count < s.of {
			return 0, fmt.Errorf("group %s: %d clients cannot be shared by %d agents with topics of their own", g.name, g.count, s.of)
		}
		var before int
		g.count, before = s.cut(g.count)
		first += before
		templates := append([]string(nil), g.subscribe...)
		if g.publish != nil {
			templates = append(templates, g.publish.topic)
		}
		if g.will != nil {
			templates = append(templates, g.will.topic)
		}
		for _, template := range templates {
			if !hasPrefix(template) {
				return 0, fmt.Errorf("group %s: %q: without {prefix} as a level of its own, several agents would hear each other", g.name, template)
			}
		}
	}
	return first, nil
}

// hasPrefix says whether the text of a template is different for every prefix, level by
// level.
func hasPrefix(template string) bool {
	levels := strings.Split(template, "/")
	if levels[0] == "$share" {
		levels = levels[min(2, len(levels)):]
	}
	return slices.Contains(levels, "{prefix}")
}

// scenarioText returns the text of the scenario file, if it is one.
func (a *runArguments) scenarioText() (string, error) {
	if a.path == "" {
		return "", nil
	}
	text, err := os.ReadFile(a.path)
	if err != nil {
		return "", fmt.Errorf("scenario: %w", err)
	}
	return string(text), nil
}

// ordersFor makes the orders for a number of agents.
func (a *runArguments) ordersFor(address string, of int) ([]*order, error) {
	text, err := a.scenarioText()
	if err != nil {
		return nil, err
	}
	if text != "" {
		spec, _, err := parseFleet(a.path, []byte(text))
		if err != nil {
			return nil, err
		}
		if _, err := (share{0, of}).fleet(spec); err != nil {
			return nil, fmt.Errorf("%s: %w", a.path, err)
		}
	}
	usual := !a.resized()
	var all []*order
	for part := range of {
		s := share{part, of}
		mine, first, err := s.sizes(a.sizes)
		if err != nil {
			return nil, err
		}
		dialing, _ := s.cut(a.dialing)
		if a.dialing > 0 {
			dialing = max(1, dialing)
		}
		x := &order{
			Part: part, Of: of, Scenario: cmp.Or(a.path, a.scenario.name), File: text, Usual: usual, First: first,
			Sizes: orderSizes{
				mine.connections, mine.publishers, mine.subscribers, mine.messages, mine.payload, mine.qos, mine.window, mine.rate, mine.arrivals,
			},
			Warm: a.warm, Length: a.length, Patience: a.patience, RestartLimit: a.restartLimit,
			Dialing: dialing, ConnectRate: a.connectRate / float64(of),
			Prefix: fmt.Sprintf("%s-%d", a.prefix, part), Seed: a.seed + uint64(part)<<32,
			Broker: address, Mine: a.mine, PID: -1, Source: a.source, MQTT: a.mqtt, User: a.user, Password: a.password,
			CA: a.caText, Certificate: a.certText, Key: a.keyText, Insecure: a.insecure,
		}
		if part == 0 { // one of them reads what the broker's process costs
			x.PID, x.Syscalls = a.pid, a.syscalls
		}
		all = append(all, x)
	}
	return all, nil
}

// options are those of gannet bench run that carry out an order. source is the agent's
// own; empty: the order's.
func (x *order) options(source string) (*runOptions, error) {
	if x.Of < 1 || x.Of > agentsMax || x.Part < 0 || x.Part >= x.Of || x.First < 0 || x.First > agentsMax*clientsMax {
		return nil, errors.New("order: it is of no part of the run")
	}
	if source == "" {
		source = x.Source
	}
	var a runArguments
	var err error
	if x.File != "" {
		a.scenario, err = textScenario(x.Scenario, []byte(x.File))
	} else {
		a.scenario, err = findScenario(x.Scenario)
	}
	if err != nil {
		return nil, err
	}
	s := x.Sizes
	a.sizes = sizes{s.Connections, s.Publishers, s.Subscribers, s.Messages, s.Payload, s.QoS, s.Window, s.Rate, s.Arrivals}
	a.share = share{x.Part, x.Of}
	a.seconds, a.warmup, a.patient = x.Length.Seconds(), x.Warm.Seconds(), x.Patience.Seconds()
	a.restartLimit, a.dialing, a.prefix, a.seed = x.RestartLimit, x.Dialing, x.Prefix, x.Seed
	a.mqtt, a.user, a.password, a.source, a.pid, a.mine = x.MQTT, x.User, x.Password, source, x.PID, x.Mine
	a.caText, a.certText, a.keyText, a.insecure, a.syscalls = x.CA, x.Certificate, x.Key, x.Insecure, x.Syscalls
	if err := a.settle(); err != nil {
		return nil, err
	}
	if x.Usual {
		own := &a.scenario.sizes
		own.connections, own.publishers, own.subscribers = s.Connections, s.Publishers, s.Subscribers
	}
	if !(x.ConnectRate >= 0 && x.ConnectRate <= 1e6) { // it may be less than 1 a second, being a share
		return nil, errors.New("order: the connect-rate makes no sense")
	}
	a.connectRate = x.ConnectRate
	if err := a.aim(x.Broker); err != nil {
		return nil, err
	}
	a.target.how.first = x.First
	return &a.runOptions, nil
}
