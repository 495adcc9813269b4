package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
	"github.com/gannetmq/gannet/engine"
	"github.com/gannetmq/gannet/engine/admin"
	"github.com/gannetmq/gannet/engine/sys"
)

// listenHTTP opens the places of http-listen, all of them or none.
func listenHTTP(c *config.Config) (open []net.Listener, err error) {
	for _, address := range c.HTTPListen {
		l, err := net.Listen("tcp", address)
		if err != nil {
			for _, l := range open {
				_ = l.Close()
			}
			return nil, fmt.Errorf("http-listen: %w", err)
		}
		open = append(open, l)
	}
	return open, nil
}

// serveHTTP answers on the listeners until the function that it returns is called, which joins its goroutines.
func serveHTTP(listeners []net.Listener, c *config.Config, server *engine.Server, figures *sys.Publisher, log *slog.Logger) (stop func()) {
	o := admin.Options{
		Version: "gannet version " + versionText(), Figures: figures.Figures, Dir: c.HTTPDir,
		Listeners: func() (list []admin.Listener) {
			for _, l := range server.ListenerStats() {
				list = append(list, admin.Listener{Name: l.Name, Address: l.Address})
			}
			return list
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var joined sync.WaitGroup
	for _, l := range listeners {
		log.Info("listening", "listener", "http", "address", l.Addr().String())
		joined.Go(func() {
			if err := admin.Serve(ctx, l, o); err != nil && !errors.Is(err, net.ErrClosed) {
				log.Error("http server ended", "address", l.Addr().String(), "reason", err)
			}
		})
	}
	return func() {
		cancel()
		joined.Wait()
	}
}
