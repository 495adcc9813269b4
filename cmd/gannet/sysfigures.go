package main

import (
	"context"
	"log/slog"
	"runtime/metrics"
	"time"

	"github.com/gannetmq/gannet/engine"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/engine/sys"
)

// publishSys publishes what the server knows of itself, until Stop is called.
func publishSys(server *engine.Server, interval time.Duration) *sys.Publisher {
	began := time.Now()
	return sys.Start(sys.Options{
		Version:  "gannet version " + versionText(),
		Interval: interval,
		Snapshot: func(ctx context.Context) (sys.Snapshot, bool) { return sysSnapshot(ctx, server, time.Since(began)) },
		Publish: func(topic string, payload []byte) {
			server.Broker().Publish(&session.Message{Topic: []byte(topic), Payload: payload, Retain: true})
		},
	})
}

func sysSnapshot(ctx context.Context, server *engine.Server, uptime time.Duration) (sys.Snapshot, bool) {
	b := server.Broker()
	c, ok := b.Counters(ctx)
	if !ok {
		return sys.Snapshot{}, false
	}
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	ordinary, shared := b.Subscriptions()
	connected := int(c.Connected)
	return sys.Snapshot{
		Uptime:    uptime,
		Connected: connected, Disconnected: max(0, b.Sessions()-connected), Expired: c.Expired,
		Sockets: b.Connections(), Opened: c.Opened,
		BytesReceived: c.BytesIn, BytesSent: c.BytesOut,
		PacketsReceived: c.PacketsIn, PacketsSent: c.PacketsOut,
		PublishBytesReceived: c.PublishBytesIn, PublishBytesSent: c.PublishBytesOut,
		Dropped:  c.Dropped(),
		Retained: int64(b.Retained()), RetainedBytes: b.RetainedBytes(),
		Queued: c.Queued, QueuedBytes: c.QueuedBytes,
		Subscriptions: ordinary, Shared: shared,
		Heap: heap[0].Value.Uint64(),
	}, true
}

// tellHoldings logs how much the broker holds, and what became of the connections of each listener.
func tellHoldings(ctx context.Context, server *engine.Server, log *slog.Logger) {
	b := server.Broker()
	c, ok := b.Counters(ctx)
	if !ok {
		return
	}
	ordinary, shared := b.Subscriptions()
	log.Info("the broker holds", "connections", b.Connections(), "sessions", b.Sessions(), "subscriptions", ordinary,
		"shared-subscriptions", shared, "retained", b.Retained(), "queued", c.Queued, "dropped", c.Dropped())
	for _, l := range server.ListenerStats() {
		log.Info("the listener had", "listener", l.Name, "address", l.Address, "open", l.Open, "accepted", l.Accepted, "refused-full", l.RefusedFull,
			"refused-by-guard", l.RefusedAdmit, "refused-proxy", l.RefusedProxy, "refused-upgrade", l.RefusedUpgrade, "handshakes", l.Handshakes,
			"resumed", l.HandshakesResumed, "failed", l.HandshakesFailed, "timed-out", l.HandshakesTimedOut, "evicted", l.HandshakesEvicted)
	}
}
