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
	signals chan os.Signal // of catchSignals
	account *account       // whom the process has become; nil: nobody
	manager *notifier      // who is told when it begins and ends; nil: nobody

	// apply are asked in turn, and each takes on all that concerns it or nothing; the first error ends it. They read their files even if no
	// setting is different: what is in the files may be.
	apply []func(next *config.Config) error
}

// catchSignals keeps the signals that serveSignals serves: from the first moment on, since they would end a process that still loads its
// store.
func catchSignals() chan os.Signal {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	return signals
}

// serveSignals serves signals until the function it returns is called, which joins the goroutine:
//
//	SIGHUP   reload
//	SIGUSR1  says that there is nothing to save, to whoever has it from Mosquitto
//	SIGUSR2  tell
func (r *reloader) serveSignals(tell func()) (stop func()) {
	quit, joined := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(joined)
		for {
			select {
			case s := <-r.signals:
				switch s {
				case syscall.SIGHUP:
					r.reload()
				case syscall.SIGUSR1:
					r.log.Info("nothing to save: what is acknowledged is kept already", "durability", r.current.Durability.String())
				case syscall.SIGUSR2:
					tell()
				}
			case <-quit:
				return
			}
		}
	}()
	return func() {
		signal.Stop(r.signals)
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
