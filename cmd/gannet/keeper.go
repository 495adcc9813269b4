package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
	"github.com/gannetmq/gannet/engine"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/persist"
)

// keeper is what a broker has that keeps its state on the disk. A nil keeper is that of a broker in memory, and all its methods do nothing.
//
// The store is opened before the server is made, which restores from it, and closed when the server has stopped, so that all it
// acknowledges has been appended.
type keeper struct {
	config *config.Config
	log    *slog.Logger
	since  time.Time
	store  *persist.Pebble
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
		Window:          int(c.MaxInflight),
		MaxOpenFiles:    storeDescriptors(descriptorLimit()),
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
		return nil, cannotUse(fmt.Errorf("store %s: %w", k.config.DataDir, store.err))
	case err != nil:
		return nil, err
	}
	k.logOpened()
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

// close ends the store. The server has ended.
func (k *keeper) close() error {
	if k == nil {
		return nil
	}
	return k.store.Close()
}
