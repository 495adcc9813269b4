package main

import (
	"log/slog"
	"testing"

	"github.com/gannetmq/gannet/engine"
)

func TestStoreGetsDescriptorsThatConnectionsLeave(t *testing.T) {
	for limit, want := range map[uint64]int{20: 1, 400: 1, 1024: 156, 4096: 500, 1 << 20: 500, 1 << 63: 500} {
		if got := storeDescriptors(limit); got != want {
			t.Errorf("of %d: %d, want %d", limit, got, want)
		}
	}
}

func TestConnectionsAreLoweredToWhatFits(t *testing.T) {
	fits := engine.DefaultOptions().MaxConnections
	for asked, want := range map[int]int{1: 1, fits: fits, fits + 1: fits} {
		o := engine.Options{MaxConnections: asked}
		if fitConnections(&o, slog.New(slog.DiscardHandler)); o.MaxConnections != want {
			t.Errorf("asked for %d: %d, want %d", asked, o.MaxConnections, want)
		}
	}
}
