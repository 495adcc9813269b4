package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// runTogether is gannet bench run --agents: this process has no clients, but orders,
// starts and adds up.
func runTogether(ctx context.Context, o *runOptions, files resultFiles, stdout, stderr io.Writer) error {
	r := newRunner(o, stderr)
	c := newCoordinator(r)
	err := c.run(ctx)
	r.line.end()
	var reports []*resultReport
	for _, h := range c.hands {
		reports = append(reports, h.result)
	}
	r.result.Parameters["agents"] = strings.Join(o.agents, ",")
	c.explain()
	err = errors.Join(err, mergeResults(r.result, o.agents, reports))
	r.result.Interrupted = ctx.Err() != nil
	return files.conclude(r.result, err, stdout)
}

// hand is an agent as the coordinator knows it.
type hand struct {
	name   string
	link   *agentLink // nil: it never was there
	heard  time.Duration
	result *resultReport
	gone   bool // nothing more comes from it

	meeting *meeting // it waits for the others
	rounds  int      // of comparing clocks that are to come
	pinged  time.Duration
	offset  time.Duration // of its clock against the coordinator's
	doubt   time.Duration // by which that may be wrong
}

var errSilent = fmt.Errorf("nothing was heard of it for %v", silenceMax)

// event is what a hand says, or that its connection has ended.
type event struct {
	hand int
	at   time.Duration
	m    message
	err  error
}

const (
	// clockRounds is how often two clocks are compared before a start: the quickest
	// answer says most.
	clockRounds = 12
	// startLead is from the word to the start: agents look for it every turnLimit.
	startLead = 3 * turnLimit
	// eventsMax bounds what readers have read and the coordinator has not looked at.
	eventsMax = 256
)

// coordinator carries out one run with agents. One goroutine for each agent reads; all
// else is done by the goroutine that calls run, which joins them.
type coordinator struct {
	r       *runner
	base    time.Time
	hands   []*hand
	events  chan event
	series  *series
	readers sync.WaitGroup

	started   bool // for the first time at least
	stopping  bool
	giveUp    time.Duration // when results are not waited for any longer, when stopping
	failure   error         // the first
	first     time.Duration // when the first agent came to a meeting; 0: none is on
	restarted <-chan error  // the command of --restart; nil: none runs
	doubt     time.Duration // of all clocks at most
}

func newCoordinator(r *runner) *coordinator {
	c := &coordinator{r: r, base: time.Now(), events: make(chan event, eventsMax), series: newSeries(len(r.o.agents))}
	for _, name := range r.o.agents {
		c.hands = append(c.hands, &hand{name: name})
	}
	return c
}

func (c *coordinator) clock() time.Duration { return time.Since(c.base) }

// run engages the agents and returns when the last of them has given its result, or is
// given up.
func (c *coordinator) run(ctx context.Context) error {
	// The connections are needed after ctx ends, too: the results come then.
	if err := c.engage(ctx); err != nil {
		c.dismiss()
		return err
	}
	defer c.dismiss()
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	interrupted := ctx.Done()
	for !c.finished() {
		select {
		case e := <-c.events:
			c.handle(&e)
		case <-tick.C:
			c.look()
		case err := <-c.restarted:
			c.restarted = nil
			if err != nil {
				c.fail(fmt.Errorf("restart: %w", err))
			}
		case <-interrupted:
			interrupted = nil
			c.stop()
		}
		c.show()
	}
	c.show()
	return c.failure
}

// engage connects to all agents at the same time, and gives them their orders when all
// are there.
func (c *coordinator) engage(ctx context.Context) error {
	errs := make([]error, len(c.hands))
	var all sync.WaitGroup
	for i, h := range c.hands {
		all.Go(func() { h.link, errs[i] = dialAgent(ctx, h.name, c.r.o.token, agentProtocol) })
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("agent %s: %w", c.hands[i].name, err)
		}
	}
	for i, h := range c.hands {
		h.heard = c.clock()
		c.readers.Go(func() { c.read(i) })
		if err := h.link.send(&message{Type: "order", Order: c.r.o.orders[i]}); err != nil {
			return fmt.Errorf("agent %s: %w", h.name, err)
		}
	}
	return nil
}

// read passes on what an agent says until its connection ends.
func (c *coordinator) read(i int) {
	for {
		m, err := c.hands[i].link.receive()
		c.events <- event{hand: i, at: c.clock(), m: m, err: err}
		if err != nil {
			return
		}
	}
}

// dismiss closes all connections and joins the readers.
func (c *coordinator) dismiss() {
	for _, h := range c.hands {
		if h.link != nil {
			h.link.Close()
		}
	}
	over := make(chan struct{})
	go func() {
		c.readers.Wait()
		close(over)
	}()
	for {
		select {
		case <-c.events: // a reader may wait for room
		case <-over:
			return
		}
	}
}

// finished says whether nothing more is to be waited for.
func (c *coordinator) finished() bool {
	if c.stopping && c.clock() >= c.giveUp {
		for _, h := range c.hands {
			if !h.gone {
				c.note(fmt.Errorf("agent %s: it gave no result", h.name))
			}
		}
		return true
	}
	return !slices.ContainsFunc(c.hands, func(h *hand) bool { return !h.gone })
}

// note keeps the first failure.
func (c *coordinator) note(err error) {
	if c.failure == nil {
		c.failure = err
	}
}

// fail ends the run of all agents with an error.
func (c *coordinator) fail(err error) {
	c.note(err)
	c.stop()
}

// lose ends the run because of an agent.
func (c *coordinator) lose(h *hand, err error) {
	h.gone = true
	h.link.Close()
	c.fail(fmt.Errorf("agent %s: %w", h.name, err))
}

// stop has the agents end early and give their results.
func (c *coordinator) stop() {
	if c.stopping {
		return
	}
	c.stopping = true
	c.giveUp = c.clock() + 2*setupLimit + 2*c.r.o.patience
	for _, h := range c.hands {
		if !h.gone {
			c.send(h, &message{Type: messageStop})
		}
	}
}

func (c *coordinator) send(h *hand, m *message) {
	if err := h.link.send(m); err != nil {
		c.lose(h, err)
	}
}

// look sends a sign of life to every agent, and takes those for dead from which none comes.
func (c *coordinator) look() {
	now := c.clock()
	for _, h := range c.hands {
		switch {
		case h.gone:
		case now-h.heard > silenceMax:
			c.lose(h, errSilent)
		case h.rounds == 0:
			c.send(h, &message{Type: "ping", Ping: &ping{At: now}})
		}
	}
	if limit := c.meetLimit(); c.first > 0 && now-c.first > limit && !c.stopping {
		for _, h := range c.hands {
			if h.meeting == nil {
				c.fail(fmt.Errorf("agent %s: it is slow: others were as far %v ago", h.name, limit))
			}
		}
	}
}

// meetLimit is how much longer one agent may take than another.
func (c *coordinator) meetLimit() time.Duration {
	return setupLimit + c.r.o.patience
}

// handle takes an event.
func (c *coordinator) handle(e *event) {
	h := c.hands[e.hand]
	if h.gone {
		return
	}
	if e.err != nil {
		switch {
		case e.err == io.EOF:
			e.err = errors.New("it closed the connection in the middle of a run")
		case errors.Is(e.err, os.ErrDeadlineExceeded):
			e.err = errSilent
		}
		c.lose(h, e.err)
		return
	}
	h.heard = e.at
	var err error
	switch e.m.Type {
	case "pong":
		c.compare(h, e.at, e.m.Pong)
	case "meet":
		err = c.gather(h, e.at, e.m.Meet)
	case "second":
		err = c.series.add(e.hand, e.m.Second)
	case "end":
		err = c.series.end(e.hand, e.m.End.Stage)
	case messageRestart:
		err = c.restart(e.hand)
	case "result":
		h.result, h.gone = e.m.Result, true
		if why := e.m.Result.Result.Error; why != "" {
			c.fail(fmt.Errorf("agent %s: %s", h.name, why))
		}
		h.link.Close()
		c.series.leave(e.hand)
	default:
		err = fmt.Errorf("it says %s, which is not for it to say", e.m.Type)
	}
	if err != nil {
		c.lose(h, err)
	}
}

// gather notes that an agent waits for the others. When all do, their clocks are compared.
func (c *coordinator) gather(h *hand, at time.Duration, m *meeting) error {
	if h.meeting != nil {
		return errors.New("it waits for the others twice")
	}
	for _, other := range c.hands {
		if other.gone && !c.stopping {
			return fmt.Errorf("it waits for the others, and agent %s is through", other.name)
		}
	}
	h.meeting = m
	if c.first == 0 {
		c.first = at
	}
	for _, other := range c.hands {
		if other.meeting == nil {
			return nil
		}
		if other.meeting.Stage != m.Stage {
			return fmt.Errorf("it waits after %d stages, and agent %s after %d", m.Stage, other.name, other.meeting.Stage)
		}
	}
	for _, other := range c.hands {
		other.rounds, other.doubt = clockRounds, math.MaxInt64
		c.ask(other)
	}
	return nil
}

func (c *coordinator) ask(h *hand) {
	h.pinged = c.clock()
	c.send(h, &message{Type: "ping", Ping: &ping{At: h.pinged}})
}

// compare takes an answer to ping. The clock of the agent was read at some time
// between asking and answer; half of that is the doubt.
func (c *coordinator) compare(h *hand, at time.Duration, p *pong) {
	if h.rounds == 0 || p.At != h.pinged {
		return // a sign of life
	}
	if doubt := (at - p.At) / 2; doubt < h.doubt {
		h.doubt, h.offset = doubt, p.Clock-(p.At+doubt)
	}
	if h.rounds--; h.rounds > 0 {
		c.ask(h)
		return
	}
	for _, other := range c.hands {
		if other.meeting == nil || other.rounds > 0 {
			return
		}
	}
	c.start()
}

// start tells all agents one instant, each by its own clock.
func (c *coordinator) start() {
	lead, total := startLead, 0
	for _, h := range c.hands {
		total += h.meeting.Count
		lead = max(lead, startLead+4*h.doubt)
		c.doubt = max(c.doubt, h.doubt)
	}
	c.started = true
	at := c.clock() + lead
	c.first = 0
	for _, h := range c.hands {
		h.meeting = nil
	}
	for _, h := range c.hands {
		if !h.gone {
			c.send(h, &message{Type: "start", Start: &starting{At: at + h.offset, Total: total}})
		}
	}
}

// restart begins the command of --restart, or asks for a restart.
func (c *coordinator) restart(agent int) error {
	if agent != 0 || c.restarted != nil {
		return errors.New("it is not for it to have the broker restarted")
	}
	var err error
	if c.restarted, err = c.r.restart(); err != nil {
		c.fail(err)
	}
	return nil
}

// show tells of the seconds that are complete.
func (c *coordinator) show() {
	for i, h := range c.hands {
		if h.gone {
			c.series.leave(i)
		}
	}
	c.series.take(func(unit string, x *second) {
		if all := &c.r.result.Seconds; len(*all) < secondsMax {
			*all = append(*all, *x)
		}
		c.r.line.show(unit, x)
	})
}

// explain notes how the work was shared, if it was.
func (c *coordinator) explain() {
	if !slices.ContainsFunc(c.hands, func(h *hand) bool { return h.result != nil }) {
		return
	}
	late := time.Duration(0)
	for _, h := range c.hands {
		if h.result != nil {
			late = max(late, h.result.Late)
		} else {
			c.r.result.note("agent %s gave no result: what it did is missing here.", h.name)
		}
	}
	text := ""
	if c.started {
		text = fmt.Sprintf(" They started together within %v: clocks compared to %v, and the latest %v late.",
			(2*c.doubt + late).Round(time.Microsecond), c.doubt.Round(time.Microsecond), late.Round(time.Microsecond))
	}
	c.r.result.note("shared by %d agents, each with clients and topics of its own: a message of one agent goes to subscribers of that agent only.%s", len(c.hands), text)
}
