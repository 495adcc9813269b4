package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	checkOnly := errors.Is(err, config.ErrChecked)
	var users *auth.Scram
	if err == nil || checkOnly {
		users, err = loadUsers(&c)
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "gannet: %v\n", err)
		return statusConfiguration
	}
	if checkOnly {
		return p.printConfig(&c)
	}
	log, err := openLogging(&c, p.stdout, p.stderr)
	if err != nil {
		fmt.Fprintf(p.stderr, "gannet: %v\n", err)
		return statusConfiguration
	}
	defer log.Close()
	err = p.runServer(ctx, &c, users, p.newReloader(args, &c, log))
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

// printConfig prints all that is in force, secrets hidden.
func (p *process) printConfig(c *config.Config) int {
	fmt.Fprintln(p.stdout, "# gannet: the configuration is sound")
	if config.Write(p.stdout, c, config.Everything) != nil {
		return statusFailure
	}
	return statusSuccess
}

func (p *process) serveHelp() int {
	fmt.Fprint(p.stdout, overview, "\nFlags of gannet serve:\n")
	if config.WriteHelp(p.stdout) != nil {
		return statusFailure
	}
	return statusSuccess
}

// loadUsers reads the users file, if one is configured.
func loadUsers(c *config.Config) (*auth.Scram, error) {
	if c.ScramUsers == "" {
		return nil, nil
	}
	users, err := auth.LoadUsers(c.ScramUsers)
	if err != nil {
		return nil, fmt.Errorf("scram-users: %w", err)
	}
	return auth.NewScram(users, auth.ScramConfig{}), nil
}

// newReloader makes what reads the configuration again. Warnings go to the log then.
func (p *process) newReloader(args []string, c *config.Config, log *logging) *reloader {
	source := p.configSource(args)
	source.Warn = func(line string) { log.Warn("configuration", "reason", line) }
	return &reloader{load: func() (config.Config, error) { return config.Load(source) }, current: *c, log: log}
}

// runServer opens the store and the listeners, serves until ctx ends and closes what it opened. users may be nil.
func (p *process) runServer(ctx context.Context, c *config.Config, users *auth.Scram, r *reloader) (err error) {
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
	var methods []session.EnhancedMethod
	if users != nil {
		methods = append(methods, scramMethod{users})
		r.apply = append(r.apply, func(next *config.Config) error { return reloadUsers(next.ScramUsers, users, log) })
	}
	options := engineOptions(c, methods)
	engine.TuneRuntime(options.Loops)
	if err := becomeUser(r.account, c, r.log); err != nil {
		return unusable{err}
	}
	keeper, err := openKeeper(c, log)
	if err != nil {
		return err
	}
	return errors.Join(p.serveClients(ctx, c, options, keeper, memory, r), keeper.close())
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

// listenAs makes the server, which binds its ports as root if the process was started as that, and gives root up.
func listenAs(a *account, c *config.Config, keeper *keeper, options engine.Options, log *slog.Logger) (server *engine.Server, err error) {
	err = a.raised(func() error {
		if server, err = keeper.newServer(options, log); err != nil || a == nil || c.Durability == config.Off {
			return err
		}
		return a.takeFiles(c.DataDir)
	})
	if err == nil {
		err = a.drop()
	}
	if err != nil && server != nil {
		err = errors.Join(err, server.Close())
	}
	return server, err
}

// serveClients runs the server. When it returns, nobody uses the store any more but for what keeper itself does.
func (p *process) serveClients(ctx context.Context, c *config.Config, options engine.Options, keeper *keeper, memory *engine.MemoryKeeper, r *reloader) error {
	log := r.log.Logger
	server, err := listenAs(r.account, c, keeper, options, log)
	if err != nil {
		return err
	}
	memory.Loaded()
	manager, err := newNotifier(p.environ, os.Getpid(), log)
	if err != nil {
		log.Warn("no service manager", "reason", err)
	}
	defer manager.watch(func() bool { return server.Alive(watchdogPatience) })()
	r.manager = manager
	defer r.onHangup()() // before anybody can know that the broker is there
	log.Info("broker started", "version", versionText())
	for i, address := range server.Addrs() {
		log.Info("listening", "listener", c.Listen[i].String(), "address", address.String(), "anonymous", c.Anonymous(c.Listen[i]))
	}
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

// reloadUsers reads the users file again. A file with a mistake changes nothing.
func reloadUsers(path string, users *auth.Scram, log *slog.Logger) error {
	if path == "" {
		return errors.New("scram-users: it cannot be taken away from a running broker: start it again, or empty the file")
	}
	fresh, err := auth.LoadUsers(path)
	if err != nil {
		return fmt.Errorf("scram-users: %w", err)
	}
	users.SetUsers(fresh)
	log.Info("users read again", "file", path, "users", fresh.Len())
	return nil
}
