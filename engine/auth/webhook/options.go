package webhook

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Bounds and defaults.
const (
	ConnectionsDefault    = 16
	ConnectionsMax        = 1024
	TimeoutDefault        = 3 * time.Second
	AllowTTLDefault       = 30 * time.Second
	DenyTTLDefault        = 5 * time.Second
	TTLMax                = 24 * time.Hour // whatever Cache-Control says
	FailuresInARowDefault = 5
	PauseDefault          = 10 * time.Second
	AnswerBytesMax        = 64 << 10
	mergedMax             = 1024         // clients that wait for one answer; more are refused with 0x89
	latestSeconds         = 253402300799 // the end of the year 9999
	tellEvery             = time.Minute
)

// Format is how a question is sent.
type Format uint8

const (
	JSON  Format = iota // POST of an object
	Form                // POST of a form
	Query               // GET
)

// Down is what is answered while the service fails.
type Down uint8

const (
	Refuse Down = iota // Server unavailable
	Ignore             // no opinion: the next judge is asked; if there is none, it is 0x88 all the same
)

// Options say whom to ask, and how. Only URL is needed.
type Options struct {
	URL      string
	RulesURL string // asked for the rules of a client that was let in without any; empty: nobody
	Format   Format
	Header   map[string]string // sent with every request; secret
	CAFile   string            // that the service's certificate leads to, PEM; empty: those of the system
	CertFile string            // with KeyFile: our own certificate
	KeyFile  string

	AllowHTTP   bool          // send passwords to another machine over http://
	Connections int           // to the service, and requests under way; 0 = ConnectionsDefault
	Waiting     int           // in line before them; 0 = that of package work
	Timeout     time.Duration // of a request, and of the wait for its turn; 0 = TimeoutDefault

	AllowTTL     time.Duration // for which an answer that allows is remembered, if it does not say so itself; 0 = AllowTTLDefault, negative = not at all, whatever it says
	DenyTTL      time.Duration // same for one that does not; 0 = DenyTTLDefault, negative = not at all
	CacheEntries int           // 0 = that of package work, negative = none

	FailuresInARow int           // that open the breaker, 0 = FailuresInARowDefault
	Pause          time.Duration // for which it stays open, 0 = PauseDefault
	Down           Down

	Events Events
	Now    func() time.Time // nil: time.Now

	transport http.RoundTripper // instead of the network
}

// Events are told what happens; each may be nil. They are called on goroutines of the Judge and must not block. No error has a word of
// a question or an answer in it.
type Events struct {
	Failed func(err error) // the service; at most once in a minute
	Opened func()          // the breaker: nobody is asked any more
	Closed func()          // the breaker: the service works again
}

// Validate tells what is wrong with o, as far as that can be seen without opening a file.
func (o *Options) Validate() error {
	switch {
	case o.URL == "":
		return errors.New("webhook: no URL to ask")
	case o.Format > Query:
		return fmt.Errorf("webhook: format %d", o.Format)
	case o.Down > Ignore:
		return fmt.Errorf("webhook: down %d", o.Down)
	case o.Connections < 0 || o.Connections > ConnectionsMax:
		return fmt.Errorf("webhook: %d connections, at most %d", o.Connections, ConnectionsMax)
	case o.Waiting < 0 || o.FailuresInARow < 0 || o.Timeout < 0 || o.Pause < 0:
		return errors.New("webhook: waiting, failures in a row, time-out and pause are not below 0")
	}
	return nil
}

func (o Options) withDefaults() Options {
	o.Connections = cmp.Or(o.Connections, ConnectionsDefault)
	o.Timeout = cmp.Or(o.Timeout, TimeoutDefault)
	o.AllowTTL = cmp.Or(o.AllowTTL, AllowTTLDefault)
	o.DenyTTL = cmp.Or(o.DenyTTL, DenyTTLDefault)
	o.FailuresInARow = cmp.Or(o.FailuresInARow, FailuresInARowDefault)
	o.Pause = cmp.Or(o.Pause, PauseDefault)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
