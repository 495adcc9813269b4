package sys

import (
	"strconv"
	"strings"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// Snapshot is what the broker knows of itself at one moment. Totals count from the start.
type Snapshot struct {
	Uptime time.Duration

	Connected    int // clients with a session and a connection
	Disconnected int // sessions that wait for their client
	Expired      uint64
	Sockets      int // network connections, with a session or not yet
	Opened       uint64

	BytesReceived, BytesSent               uint64
	PacketsReceived, PacketsSent           [16]uint64 // by codec.PacketType
	PublishBytesReceived, PublishBytesSent uint64
	Dropped                                uint64 // messages for one subscriber each

	Retained, RetainedBytes int64
	Queued, QueuedBytes     int64
	Subscriptions, Shared   int

	Heap uint64 // bytes of live and dead objects that the process holds
}

// figure is one topic below $SYS/broker/ and its payload.
type figure struct{ name, text string }

// figures lists what a snapshot says, in a fixed order. peak holds the largest values so far.
func figures(s *Snapshot, p *peaks, version string) []figure {
	var list []figure
	text := func(name, text string) { list = append(list, figure{name, text}) }
	number := func(name string, n uint64) { text(name, strconv.FormatUint(n, 10)) }
	signed := func(name string, n int64) { text(name, strconv.FormatInt(n, 10)) }

	text("version", version)
	text("uptime", strconv.FormatInt(int64(s.Uptime/time.Second), 10)+" seconds")

	total := s.Connected + s.Disconnected
	p.clients, p.heap = max(p.clients, total), max(p.heap, s.Heap)
	signed("clients/total", int64(total))
	signed("clients/connected", int64(s.Connected))
	signed("clients/active", int64(s.Connected)) // the older name
	signed("clients/disconnected", int64(s.Disconnected))
	signed("clients/inactive", int64(s.Disconnected)) // the older name
	signed("clients/maximum", int64(p.clients))
	number("clients/expired", s.Expired)
	signed("connections/socket/count", int64(s.Sockets))

	number("bytes/received", s.BytesReceived)
	number("bytes/sent", s.BytesSent)
	number("messages/received", sum(&s.PacketsReceived))
	number("messages/sent", sum(&s.PacketsSent))
	number("publish/messages/received", s.PacketsReceived[codec.TypePublish])
	number("publish/messages/sent", s.PacketsSent[codec.TypePublish])
	number("publish/messages/dropped", s.Dropped)
	number("publish/bytes/received", s.PublishBytesReceived)
	number("publish/bytes/sent", s.PublishBytesSent)
	for t := codec.TypeConnect; t <= codec.TypeAuth; t++ {
		name := "mqtt/" + strings.ToLower(t.String()) + "/"
		number(name+"received", s.PacketsReceived[t])
		number(name+"sent", s.PacketsSent[t])
	}

	signed("messages/stored", s.Retained+s.Queued) // the older name
	signed("store/messages/count", s.Retained+s.Queued)
	signed("store/messages/bytes", s.RetainedBytes+s.QueuedBytes)
	signed("retained messages/count", s.Retained)
	signed("subscriptions/count", int64(s.Subscriptions))
	signed("shared_subscriptions/count", int64(s.Shared))

	number("heap/current", s.Heap)
	number("heap/maximum", p.heap)
	return list
}

func sum(n *[16]uint64) (total uint64) {
	for _, n := range n {
		total += n
	}
	return total
}

// peaks are largest values since the start.
type peaks struct {
	clients int
	heap    uint64
}
