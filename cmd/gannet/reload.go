package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
)

// reloader reads the configuration again at each SIGHUP, says what is different, and has it applied. A configuration with a
// mistake changes nothing. Log files are opened again in any case.
type reloader struct {
	load    func() (config.Config, error)
	current config.Config
	log     *logging
	account *account  // whom the process has become; nil: nobody
	manager *notifier // who is told when it begins and ends; nil: nobody

	// apply are asked in turn, and each takes on all that concerns it or nothing; the first error ends it. They read their files even if no
	// setting is different: what is in the files may be.
	apply []func(next *config.Config) error
}

// onHangup reloads at each SIGHUP until the function it returns is called, which joins the goroutine.
func (r *reloader) onHangup() (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	quit, joined := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(joined)
		for {
			select {
			case <-hangups:
				r.reload()
			case <-quit:
				return
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(quit)
		<-joined
	}
}

func (r *reloader) reload() {
	r.manager.reloading()
	defer r.manager.ready()
	if err := r.log.reopen(&r.current); err != nil {
		r.log.Error("log file not opened again, the old one stays", "reason", r.account.explainDenied(err))
	}
	next, err := r.load()
	if err != nil {
		r.log.Error("configuration not read again, the old one stays", "reason", r.account.explainDenied(err))
		return
	}
	for _, apply := range r.apply {
		if err := apply(&next); err != nil {
			r.log.Error("configuration not taken on, what was before stays", "reason", r.account.explainDenied(err))
			return
		}
	}
	r.log.level.Set(next.LogLevel)
	changes := config.Diff(&r.current, &next)
	for _, c := range changes {
		r.log.Info("configuration changed", "change", c.String())
	}
	r.log.Info("configuration read again", "changes", len(changes))
	r.current = next
}
