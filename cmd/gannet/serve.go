package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/user"
	"runtime/debug"
	"time"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
	"github.com/gannetmq/gannet/engine"
	"github.com/gannetmq/gannet/engine/auth"
	"github.com/gannetmq/gannet/engine/session"
)

// serve is the subcommand `gannet serve`: it runs the broker until ctx ends.
func (p *process) serve(ctx context.Context, args []string) int {
	c, err := config.Load(p.configSource(args))
	if errors.Is(err, config.ErrHelp) {
		return p.serveHelp()
	}
	if errors.Is(err, config.ErrChecked) {
		return p.check(&c)
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "gannet: %v\n", err)
		return statusConfiguration
	}
	log, err := openLogging(&c, p.stdout, p.stderr)
	if err != nil {
		fmt.Fprintf(p.stderr, "gannet: %v\n", err)
		return statusConfiguration
	}
	defer log.Close()
	err = p.runServer(ctx, &c, p.newReloader(args, &c, log))
	var cannot unusable
	switch {
	case errors.As(err, &cannot):
		log.Close() // what the store had to say comes before
		fmt.Fprintf(p.stderr, "gannet: %v\n", cannot)
		return statusConfiguration
	case err != nil:
		log.Error("broker ended", "reason", err)
		return statusFailure
	}
	log.Info("broker stopped")
	return statusSuccess
}

// check reads the files that c names as a start would, and prints all that would be in force, secrets hidden.
func (p *process) check(c *config.Config) int {
	admission := newAdmission(slog.New(warnings{p.stderr}))
	ch, err := admission.prepare(c)
	if err != nil {
		fmt.Fprintf(p.stderr, "gannet: %v\n", err)
		return statusConfiguration
	}
	ch.giveUp()
	fmt.Fprintln(p.stdout, "# gannet: the configuration is sound")
	if config.Write(p.stdout, c, config.Everything) != nil {
		return statusFailure
	}
	return statusSuccess
}

func (p *process) serveHelp() int {
	fmt.Fprint(p.stdout, overview(), "\nFlags of gannet serve\n")
	if config.WriteHelp(p.stdout) != nil {
		return statusFailure
	}
	return statusSuccess
}

// warnings prints what is logged at Warn and above as lines for a person.
type warnings struct{ w io.Writer }

func (h warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (h warnings) WithAttrs([]slog.Attr) slog.Handler               { return h }
func (h warnings) WithGroup(string) slog.Handler                    { return h }

func (h warnings) Handle(_ context.Context, r slog.Record) error {
	line := "gannet: warning: " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += ": " + a.Value.String()
		return true
	})
	_, err := fmt.Fprintln(h.w, line)
	return err
}

// newReloader makes what reads the configuration again. Warnings go to the log then.
func (p *process) newReloader(args []string, c *config.Config, log *logging) *reloader {
	source := p.configSource(args)
	source.Warn = func(line string) { log.Warn("configuration", "reason", line) }
	return &reloader{
		load: func() (config.Config, error) { return config.Load(source) }, current: *c, log: log, signals: catchSignals(),
	}
}

// runServer opens the store and the listeners, serves until ctx ends and closes what it opened.
func (p *process) runServer(ctx context.Context, c *config.Config, r *reloader) (err error) {
	log := r.log.Logger
	if r.account, err = findAccount(c.User, os.Geteuid(), user.Lookup); err != nil {
		return unusable{err}
	}
	if c.PIDFile != "" {
		remove, err := writePIDFile(c.PIDFile)
		if err != nil {
			return unusable{err}
		}
		defer func() {
			if err := remove(); err != nil {
				log.Warn("pid-file not removed", "reason", err)
			}
		}()
	}
	memory := engine.KeepMemory(c.GOGC)
	defer memory.Stop()
	if c.MemoryLimit > 0 {
		debug.SetMemoryLimit(c.MemoryLimit)
	}
	admission := newAdmission(log)
	ch, err := admission.prepare(c) // as root still, if the process was started as that: keys may be for root only
	if err != nil {
		return unusable{err}
	}
	defer admission.close()
	admission.commit(ch)()
	options := admission.options(c, ch)
	engine.TuneRuntime(options.Loops)
	if err := becomeUser(r.account, c, r.log); err != nil {
		return unusable{err}
	}
	keeper, err := openKeeper(c, log)
	if err != nil {
		return err
	}
	return errors.Join(p.serveClients(ctx, c, options, admission, keeper, memory, r), keeper.close())
}

// becomeUser gives a what it needs, and has the process work as a from here on, with root in reserve for the ports. a may be nil.
func becomeUser(a *account, c *config.Config, log *logging) error {
	if a == nil {
		return nil
	}
	if c.Durability != config.Off {
		if err := a.makeFolder(c.DataDir); err != nil {
			return fmt.Errorf("data-dir: %w", err)
		}
	}
	if err := log.giveTo(a); err != nil {
		return err
	}
	return a.lower()
}

// listenAs makes the server and opens what answers HTTP, which bind their ports as root if the process was started as that, and gives
// root up.
func listenAs(a *account, c *config.Config, keeper *keeper, options engine.Options, log *slog.Logger) (server *engine.Server, web []net.Listener, err error) {
	err = a.raised(func() error {
		if web, err = listenHTTP(c); err != nil {
			return unusable{err}
		}
		if server, err = keeper.newServer(options, log); err != nil || a == nil || c.Durability == config.Off {
			return err
		}
		return a.takeFiles(c.DataDir)
	})
	if err == nil {
		err = a.drop()
	}
	if err != nil {
		for _, l := range web {
			_ = l.Close()
		}
		if server != nil {
			err = errors.Join(err, server.Close())
		}
	}
	return server, web, err
}

// serveClients runs the server. When it returns, nobody uses the store any more but for what keeper itself does.
func (p *process) serveClients(ctx context.Context, c *config.Config, options engine.Options, admission *admission, keeper *keeper, memory *engine.MemoryKeeper, r *reloader) error {
	log := r.log.Logger
	server, web, err := listenAs(r.account, c, keeper, options, log)
	if err != nil {
		return err
	}
	memory.Loaded()
	if c.MemoryLimit > 0 {
		memory.Limit(uint64(c.MemoryLimit), server.Broker().ShortOfMemory)
	}
	manager, err := newNotifier(p.environ, os.Getpid(), log)
	if err != nil {
		log.Warn("no service manager", "reason", err)
	}
	defer manager.watch(func() bool { return server.Alive(watchdogPatience) })()
	log.Info("broker started", "version", versionText())
	for i, address := range server.Addrs() {
		log.Info("listening", "listener", c.Listen[i].String(), "address", address.String(), "anonymous", c.Anonymous(c.Listen[i]))
	}
	figures := publishSys(server, time.Duration(c.SysIntervalSeconds)*time.Second)
	defer figures.Stop()
	defer serveHTTP(web, c, server, figures, log)()
	r.manager = manager
	r.apply = append(r.apply, func(next *config.Config) error { return admission.reload(server, next) })
	defer r.serveSignals(func() {
		tellHoldings(ctx, server, log)
		admission.tell()
	})()
	manager.ready()
	defer context.AfterFunc(ctx, manager.stopping)()
	return server.Run(ctx)
}

// watchdogPatience is how long an event loop may be silent before the watchdog is let loose. No work of a loop takes a second.
const watchdogPatience = 10 * time.Second

// scramMethod offers SCRAM to sessions, which declare the exchange themselves.
type scramMethod struct{ *auth.Scram }

func (m scramMethod) Begin(clientID, userName string) session.Exchange {
	return m.Scram.Begin(clientID, userName)
}
