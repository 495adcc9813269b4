package main

import (
	"log/slog"

	"github.com/gannetmq/gannet/engine"
)

// The engine leaves some of the file descriptors to others when it derives the bound of connections from their limit. Most of these
// are the store's; it must not need more, or a wave of connections keeps it from opening its own tables.

// otherDescriptors are for standard streams, logs, listeners, the control socket, connections that are being adopted and
// the files of the store that are no tables.
const otherDescriptors = 100

// storeDescriptors is how many tables the store may have open, of limit descriptors of the process.
func storeDescriptors(limit uint64) int {
	const most = 500
	return int(max(min(most, int64(limit/4)-otherDescriptors), 1))
}

// fitConnections lowers a configured bound of connections to what the descriptors allow beside a store.
func fitConnections(o *engine.Options, log *slog.Logger) {
	fits := engine.DefaultOptions().MaxConnections
	if o.MaxConnections <= fits {
		return
	}
	log.Warn("max-connections lowered: the limit of file descriptors has to do for the store as well",
		"asked", o.MaxConnections, "allowed", fits, "descriptors", engine.DescriptorLimit())
	o.MaxConnections = fits
}
