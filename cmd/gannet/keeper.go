package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
	"github.com/gannetmq/gannet/cmd/gannet/internal/control"
	"github.com/gannetmq/gannet/engine"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/persist"
)

// keeper is what a broker has that keeps its state on the disk: the store, and the socket through which the tools of the store
// reach it. A nil keeper is that of a broker in memory, and all its methods do nothing.
//
// The store is opened before the server is made, which restores from it; the socket comes after that. At the end the
// server stops first, so that all it acknowledges has been appended; then the socket goes, as long as the folder is ours; then the
// store is closed, which makes durable what is left and ends a backup; then those are waited for who asked for one.
type keeper struct {
	config  *config.Config
	log     *slog.Logger
	since   time.Time
	store   *persist.Pebble
	control *control.Server // nil if the socket could not be made
}

// unusable is the error of a store that the broker cannot start with.
type unusable struct{ error }

func (u unusable) Unwrap() error { return u.error }

// openKeeper opens the store in the data folder, unless c asks for a broker in memory.
func openKeeper(c *config.Config, log *slog.Logger) (*keeper, error) {
	if c.Durability == config.Off {
		return nil, nil
	}
	k := &keeper{config: c, log: log, since: time.Now()}
	var err error
	if k.store, err = persist.Open(c.DataDir, storeOptions(c, log)); err != nil {
		return nil, cannotUse(err)
	}
	return k, nil
}

// storeOptions turns the settings into the store's options.
func storeOptions(c *config.Config, log *slog.Logger) persist.Options {
	o := persist.Options{
		Durability:      persist.Sync,
		MemTableBytes:   toInt(c.StoreMemtable),
		CacheBytes:      c.StoreCache,
		MaxPendingBytes: c.MaxPendingBytes,
		MaxStoreBytes:   c.MaxStoreBytes,
		Window:          int(c.MaxInflight),
		MaxOpenFiles:    storeDescriptors(engine.DescriptorLimit()),
		Log:             log,
	}
	if c.Durability == config.OS {
		o.Durability = persist.OS
	}
	return o
}

// cannotUse adds to err how to mend it, where that is not said.
func cannotUse(err error) error {
	advice := ""
	switch {
	case errors.Is(err, persist.ErrInUse):
		advice = ": stop that one, or give this one a folder of its own with --data-dir"
	case errors.Is(err, os.ErrPermission):
		advice = ": let the user of this process write there, or name another folder with --data-dir"
	case errors.Is(err, syscall.ENOSPC):
		advice = ": make room, or name another folder with --data-dir"
	}
	return unusable{fmt.Errorf("%w%s", err, advice)}
}

// newServer makes the server, with what the store holds. A keeper that is nil lends it none.
func (k *keeper) newServer(o engine.Options, log *slog.Logger) (*engine.Server, error) {
	if k == nil {
		return engine.New(o, log)
	}
	fitConnections(&o, log)
	store := &loadedStore{Pebble: k.store}
	o.Store = store
	server, err := engine.New(o, log)
	switch {
	case store.err != nil:
		return nil, cannotUse(store.err)
	case err != nil:
		return nil, err
	}
	k.logOpened()
	k.serveControl(server)
	return server, nil
}

// loadedStore remembers why it could not be loaded, which is not one of the other things that keep a server from being made.
type loadedStore struct {
	*persist.Pebble
	err error
}

func (s *loadedStore) Load(visitor func() func(session.Record) error) error {
	s.err = s.Pebble.Load(visitor)
	return s.err
}

// logOpened says what came back.
func (k *keeper) logOpened() {
	n := k.store.Loaded()
	k.log.Info("store opened", "data-dir", k.config.DataDir, "durability", k.config.Durability.String(), "sessions", n.Sessions,
		"subscriptions", n.Subscriptions, "queued", n.Queued, "retained", n.Retained, "wills", n.Wills,
		"took", time.Since(k.since).Round(time.Millisecond).String())
}

// serveControl opens the socket. A broker without it serves its clients as well as one with it.
func (k *keeper) serveControl(server *engine.Server) {
	var err error
	k.control, err = control.Serve(k.config.DataDir, control.Broker{
		Info:   func() control.Info { return k.info(server) },
		Backup: func(to string, progress func(string, int64, int64)) error { return k.store.Backup(to, progress) },
		Log:    k.log,
	})
	if err != nil {
		k.log.Warn("gannet store cannot reach this broker", "reason", err)
	}
}

// info is what gannet store info shows of a running broker.
func (k *keeper) info(server *engine.Server) control.Info {
	dir, err := filepath.Abs(k.config.DataDir)
	if err != nil {
		dir = k.config.DataDir
	}
	b := server.Broker()
	i := control.Info{
		Store: dir, PID: os.Getpid(), Version: versionText(), Since: k.since, Durability: k.config.Durability.String(),
		Connections: b.Connections(), Sessions: b.Sessions(), Retained: b.Retained(), PendingBytes: k.store.Stats().PendingBytes,
	}
	if err := k.store.Err(); err != nil {
		i.Fault = err.Error()
	}
	return i
}

// close ends the socket and the store. The server has ended.
func (k *keeper) close() error {
	if k == nil {
		return nil
	}
	if k.control != nil {
		k.control.Stop()
		defer k.control.Wait()
	}
	if err := k.store.Close(); err != nil {
		return fmt.Errorf("%w: what was acknowledged is there at the next start, what was not may be lost", err)
	}
	return nil
}
