package work

import (
	"container/list"
	"net"
	"sync"
)

// Defaults of a Pool.
const (
	WaitingDefault = 4096 // tasks in line
	WorkersMax     = 1024 // however many are asked for
)

// Task is one piece of work. Exactly one of its functions is called, exactly once, unless Pool.Try did not take it.
type Task struct {
	Key  string // who it is for, as far as sharing the line goes: see Address
	Run  func() // does it, on a goroutine of the Pool
	Drop func() // says that it will not be done, because the Pool closes
}

// Pool runs tasks, in the order of their coming. It has a goroutine for each that runs, and none when there is nothing to do. Safe for
// concurrent use.
type Pool struct {
	workersMax int
	waitingMax int
	shareMax   int // tasks in line with the same key

	mu      sync.Mutex
	closed  bool
	workers int
	line    list.List      // of Task
	share   map[string]int // tasks in line by key
	done    sync.WaitGroup // workers
}

// NewPool makes a Pool that runs at most workers tasks at once, while at most waiting others are in line (0 = WaitingDefault), of which
// no key has more than half.
func NewPool(workers, waiting int) *Pool {
	if waiting <= 0 {
		waiting = WaitingDefault
	}
	return &Pool{
		workersMax: max(1, min(workers, WorkersMax)), waitingMax: waiting, shareMax: (waiting + 1) / 2,
		share: make(map[string]int),
	}
}

// Try takes a task. False: there is no room for it, or the Pool is closed. It never blocks.
func (p *Pool) Try(t Task) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return false
	case p.workers < p.workersMax: // then nobody is in line
		p.workers++
		p.done.Go(func() { p.work(t) })
		return true
	case p.line.Len() >= p.waitingMax || p.share[t.Key] >= p.shareMax:
		return false
	}
	p.line.PushBack(t)
	p.share[t.Key]++
	return true
}

// work runs t and then what is in line, until nothing is.
func (p *Pool) work(t Task) {
	for more := true; more; t, more = p.next() {
		t.Run()
	}
}

// next takes a task from the line; false: there is none, and the worker is gone.
func (p *Pool) next() (Task, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line.Len() == 0 {
		p.workers--
		return Task{}, false
	}
	t := p.line.Remove(p.line.Front()).(Task)
	if p.share[t.Key]--; p.share[t.Key] == 0 {
		delete(p.share, t.Key)
	}
	return t, true
}

// Waiting returns how many tasks are in line.
func (p *Pool) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.line.Len()
}

// Closed tells whether Close was called.
func (p *Pool) Closed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// Close takes no more tasks, drops those in line and waits for those that run. It may be called again.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	var dropped []Task
	for e := p.line.Front(); e != nil; e = e.Next() {
		dropped = append(dropped, e.Value.(Task))
	}
	p.line.Init()
	clear(p.share)
	p.mu.Unlock()
	for _, t := range dropped {
		t.Drop()
	}
	p.done.Wait()
}

// Address is the key of a network address: that without the port, which is another one for every connection.
func Address(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}
