package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
	"github.com/gannetmq/gannet/engine"
	"github.com/gannetmq/gannet/engine/auth"
	"github.com/gannetmq/gannet/engine/session"
)

// serve is the subcommand `gannet serve`: it runs the broker until ctx ends.
func (p *process) serve(ctx context.Context, args []string) int {
	c, err := config.Load(config.Source{Args: args, Environ: p.environ, ReadFile: os.ReadFile})
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
		fmt.Fprintln(p.stdout, "gannet: the configuration is sound")
		return statusSuccess
	}
	lines := newLogWriter(p.stderr)
	defer lines.Close()
	log := newLogger(lines, &c)
	err = p.runServer(ctx, &c, users, log)
	var cannot unusable
	switch {
	case errors.As(err, &cannot):
		lines.Close() // what the store had to say comes before
		fmt.Fprintf(p.stderr, "gannet: %v\n", cannot)
		return statusConfiguration
	case err != nil:
		log.Error("broker ended", "reason", err)
		return statusFailure
	}
	log.Info("broker stopped")
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

func newLogger(w io.Writer, c *config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// runServer opens the store and the listeners, serves until ctx ends and closes what it opened. users may be nil.
func (p *process) runServer(ctx context.Context, c *config.Config, users *auth.Scram, log *slog.Logger) error {
	memory := engine.KeepMemory(c.GOGC)
	defer memory.Stop()
	if c.MemoryLimit > 0 {
		debug.SetMemoryLimit(c.MemoryLimit)
	}
	var methods []session.EnhancedMethod
	if users != nil {
		methods = append(methods, scramMethod{users})
		defer reloadOnHangup(c.ScramUsers, users, log)()
	}
	options := engineOptions(c, methods)
	engine.TuneRuntime(options.Loops)
	keeper, err := openKeeper(c, log)
	if err != nil {
		return err
	}
	return errors.Join(p.serveClients(ctx, c, options, keeper, memory, log), keeper.close())
}

// serveClients runs the server. When it returns, nobody uses the store any more but for what keeper itself does.
func (p *process) serveClients(ctx context.Context, c *config.Config, options engine.Options, keeper *keeper, memory *engine.MemoryKeeper, log *slog.Logger) error {
	server, err := keeper.newServer(options, log)
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
	defer publishSys(server, time.Duration(c.SysIntervalSeconds)*time.Second).Stop()
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

// reloadOnHangup reads the users file again at each SIGHUP until the function it
// returns is called. A file with a mistake changes nothing.
func reloadOnHangup(path string, users *auth.Scram, log *slog.Logger) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	quit, joined := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(joined)
		for {
			select {
			case <-hangups:
				reload(path, users, log)
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

func reload(path string, users *auth.Scram, log *slog.Logger) {
	fresh, err := auth.LoadUsers(path)
	if err != nil {
		log.Error("users not read again, the old ones stay", "reason", err)
		return
	}
	users.SetUsers(fresh)
	log.Info("users read again", "file", path, "users", fresh.Len())
}
