package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
)

// unitHandshake is a connection with TLS, CONNECT, CONNACK and DISCONNECT.
const unitHandshake = "handshake"

// visitPlaces is how many clients shake hands at the same time.
const visitPlaces = 32

// secureLoads returns the scenarios of gannet bench secure in the order of the report.
func (o *options) secureLoads() []secureLoad {
	newTLS := func() func() layer { return o.certificate.clients(tls.VersionTLS13, true).layer }
	newWeb := func() func() layer { return newWebClients().layer }
	handshakes := []entry{
		o.handshakes("tls13-full", "TLS 1.3, 32 clients at a time: connect, CONNECT, leave", tls.VersionTLS13, false),
		o.handshakes("tls13-resumed", "the same with a ticket", tls.VersionTLS13, true),
		o.handshakes("tls12-full", "TLS 1.2, 32 clients at a time: connect, CONNECT, leave", tls.VersionTLS12, false),
		o.handshakes("tls12-resumed", "the same with a ticket", tls.VersionTLS12, true),
	}
	return []secureLoad{
		{"TLS", overMQTTS, slices.Concat(handshakes, o.layered("tls-", newTLS))},
		{"WebSocket", overWS, o.layered("ws-", newWeb)},
	}
}

// layered returns the scenarios that are the same over every transport. newLayers is
// called for each run.
func (o *options) layered(prefix string, newLayers func() func() layer) []entry {
	few, many := o.steps[0], o.steps[1]
	entries := []entry{{
		name: "idle", unit: unitConnection,
		about: fmt.Sprintf("silent clients with a subscription each, from %d to %d", few, many),
		run: func(ctx context.Context, t target, b budget) (outcome, error) {
			return measureIdle(ctx, t, few, many, o.settle, b)
		},
	}}
	for _, e := range catalog() {
		switch e.name {
		case "p2p-qos0", "p2p-qos1", "single-qos0", "single-qos1", "fanout-100":
			entries = append(entries, e)
		}
	}
	for i := range entries {
		run := entries[i].run
		entries[i].name = prefix + entries[i].name
		entries[i].run = func(ctx context.Context, t target, b budget) (outcome, error) {
			t.layer = newLayers()
			return run(ctx, t, b)
		}
	}
	return append(entries[1:], entries[0])
}

// handshakes returns a scenario of clients that come and go. One of resumption fails
// if a client that has a ticket needs a full handshake: a broker that gives none would
// be measured as one that does.
func (o *options) handshakes(name, about string, version uint16, resume bool) entry {
	return entry{name, about, unitHandshake, func(ctx context.Context, t target, b budget) (outcome, error) {
		k := o.certificate.clients(version, resume)
		t.layer = k.layer
		x, err := measureChurn(ctx, t, newVisits(visitPlaces), b)
		if err == nil && resume {
			err = k.resumedBut(visitPlaces)
		}
		return x, err
	}}
}
