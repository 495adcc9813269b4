package sys

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// board remembers what was published last to each topic, and how often.
type board struct {
	said  map[string]string
	count int
}

func (b *board) publish(topic string, payload []byte) {
	b.said[topic] = string(payload)
	b.count++
}

func newBoard(s *Snapshot) (*board, *Publisher) {
	b := &board{said: map[string]string{}}
	return b, newPublisher(Options{Version: "gannet version 1", Snapshot: func(context.Context) (Snapshot, bool) { return *s, true }, Publish: b.publish})
}

func TestFiguresHaveTheNamesThatDashboardsAskFor(t *testing.T) {
	s := Snapshot{
		Uptime: 90500 * time.Millisecond, Connected: 3, Disconnected: 4, Expired: 5, Sockets: 6,
		BytesReceived: 7, BytesSent: 8, PublishBytesReceived: 9, PublishBytesSent: 10, Dropped: 11,
		Retained: 12, RetainedBytes: 1200, Queued: 13, QueuedBytes: 1300, Subscriptions: 14, Shared: 15, Heap: 16,
	}
	s.PacketsReceived[codec.TypeConnect], s.PacketsReceived[codec.TypePublish] = 17, 18
	s.PacketsSent[codec.TypeConnack], s.PacketsSent[codec.TypePublish] = 19, 20
	b, p := newBoard(&s)
	p.publish(0)
	for name, want := range map[string]string{
		"version": "gannet version 1", "uptime": "90 seconds",
		"clients/total": "7", "clients/connected": "3", "clients/active": "3", "clients/disconnected": "4", "clients/inactive": "4",
		"clients/maximum": "7", "clients/expired": "5", "connections/socket/count": "6",
		"bytes/received": "7", "bytes/sent": "8", "messages/received": "35", "messages/sent": "39",
		"publish/messages/received": "18", "publish/messages/sent": "20", "publish/messages/dropped": "11",
		"publish/bytes/received": "9", "publish/bytes/sent": "10", "mqtt/connect/received": "17", "mqtt/connack/sent": "19",
		"mqtt/auth/sent": "0", "messages/stored": "25", "store/messages/count": "25", "store/messages/bytes": "2500",
		"retained messages/count": "12", "subscriptions/count": "14", "shared_subscriptions/count": "15",
		"heap/current": "16", "heap/maximum": "16",
	} {
		if got := b.said[Prefix+name]; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for topic := range b.said {
		if !codec.ValidTopicName([]byte(topic)) || !strings.HasPrefix(topic, "$SYS/broker/") || strings.Contains(topic, "(") {
			t.Errorf("topic %q", topic)
		}
	}
}

func TestOnlyWhatChangedIsPublished(t *testing.T) {
	s := Snapshot{Connected: 1, Heap: 5}
	b, p := newBoard(&s)
	p.publish(0)
	if f := p.Figures(); f[Prefix+"clients/connected"] != "1" || len(f) != b.count {
		t.Errorf("%d figures of %d, %s connected", len(f), b.count, f[Prefix+"clients/connected"])
	}
	b.count = 0
	p.publish(0)
	if b.count != 0 {
		t.Errorf("%d figures published again", b.count)
	}
	s.Heap = 4
	p.publish(0)
	if b.count != 1 || b.said[Prefix+"heap/current"] != "4" || b.said[Prefix+"heap/maximum"] != "5" {
		t.Errorf("%d figures published, heap %s of %s at most", b.count, b.said[Prefix+"heap/current"], b.said[Prefix+"heap/maximum"])
	}
}

// TestLoadApproachesARateThatStays: 10 bytes a second are 600 a minute; after one window an average has gone 1-1/e of the way.
func TestLoadApproachesARateThatStays(t *testing.T) {
	var s Snapshot
	b, p := newBoard(&s)
	p.publish(0)
	average := func(window string) float64 {
		f, err := strconv.ParseFloat(b.said[Prefix+"load/bytes/received/"+window], 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for range 6 {
		s.BytesReceived += 100
		p.publish(10 * time.Second)
	}
	if got := average("1min"); got < 379 || got > 380 {
		t.Errorf("after a minute the average of one minute is %v, want 379.27", got)
	}
	for range 6 * 60 {
		s.BytesReceived += 100
		p.publish(10 * time.Second)
	}
	if one, fifteen := average("1min"), average("15min"); one != 600 || fifteen < 585 || fifteen > 600 {
		t.Errorf("after an hour: %v and %v, want about 600", one, fifteen)
	}
	for range 6 * 60 {
		p.publish(10 * time.Second)
	}
	if one, fifteen := average("1min"), average("15min"); one != 0 || fifteen > 15 {
		t.Errorf("after a quiet hour: %v and %v", one, fifteen)
	}
}

func TestPublisherPublishesAtOnceAndStops(t *testing.T) {
	published := make(chan string, 1000)
	p := Start(Options{Version: "v", Interval: time.Hour, Snapshot: func(context.Context) (Snapshot, bool) { return Snapshot{}, true }, Publish: func(topic string, _ []byte) { published <- topic }})
	if topic := <-published; topic != "$SYS/broker/version" {
		t.Errorf("first %s", topic)
	}
	p.Stop()
	// Whoever asks loops that have ended waits for its context only.
	Start(Options{Interval: time.Hour, Snapshot: func(ctx context.Context) (Snapshot, bool) { <-ctx.Done(); return Snapshot{}, false }}).Stop()
	Start(Options{Snapshot: func(context.Context) (Snapshot, bool) { panic("asked") }}).Stop()
}
