package sys

import (
	"context"
	"sync"
	"time"
)

// Prefix comes before the name of every figure.
const Prefix = "$SYS/broker/"

// Options say what is published, and how.
type Options struct {
	Version  string        // payload of $SYS/broker/version
	Interval time.Duration // between two looks; 0 or less: nothing is ever published
	// Snapshot is called on the publisher's goroutine. False: ctx, which ends with Stop, ended first.
	Snapshot func(ctx context.Context) (Snapshot, bool)
	Publish  func(topic string, payload []byte) // publishes a retained message; takes payload over; called on the publisher's goroutine
}

// Publisher publishes figures at each interval. Its goroutine ends with Stop.
type Publisher struct {
	o     Options
	peaks peaks
	loads []load

	mu   sync.Mutex
	said map[string]string // payload by name; bounded by the list of figures

	ctx    context.Context // ends with Stop
	cancel context.CancelFunc
	joined sync.WaitGroup
}

// Start begins to publish: the first figures at once.
func Start(o Options) *Publisher {
	p := newPublisher(o)
	if o.Interval > 0 {
		p.joined.Go(p.run)
	}
	return p
}

func newPublisher(o Options) *Publisher {
	p := &Publisher{o: o, loads: loads(), said: make(map[string]string)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Figures returns what was published last to each topic. The caller owns the map. Safe for concurrent use.
func (p *Publisher) Figures() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := make(map[string]string, len(p.said))
	for name, text := range p.said {
		m[Prefix+name] = text
	}
	return m
}

// Stop ends the goroutine and waits for it. Called once.
func (p *Publisher) Stop() {
	p.cancel()
	p.joined.Wait()
}

func (p *Publisher) run() {
	t := time.NewTicker(p.o.Interval)
	defer t.Stop()
	for last := time.Now(); ; {
		now := time.Now()
		p.publish(now.Sub(last))
		last = now
		select {
		case <-t.C:
		case <-p.ctx.Done():
			return
		}
	}
}

// publish says what has changed. passed is the time since the last call, 0 at the first.
func (p *Publisher) publish(passed time.Duration) {
	s, ok := p.o.Snapshot(p.ctx)
	if !ok {
		return
	}
	list := figures(&s, &p.peaks, p.o.Version)
	if passed > 0 {
		for i := range p.loads {
			list = p.loads[i].next(&s, passed, list)
		}
	}
	for _, f := range list {
		if p.said[f.name] != f.text {
			p.mu.Lock()
			p.said[f.name] = f.text
			p.mu.Unlock()
			p.o.Publish(Prefix+f.name, []byte(f.text))
		}
	}
}
