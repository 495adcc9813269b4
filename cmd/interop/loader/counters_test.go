package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// counts are what a broker says in $SYS of packets in and out, and of PUBLISH among them.
type counts struct {
	packetsIn, packetsOut, publishIn, publishOut uint64
}

func (c counts) since(d counts) counts {
	return counts{c.packetsIn - d.packetsIn, c.packetsOut - d.packetsOut, c.publishIn - d.publishIn, c.publishOut - d.publishOut}
}

// watcher subscribes to a broker's own counts, which come once a second as far as they
// have changed: a tick. What it receives itself counts as sent, so there is a change of
// that in every tick, and the watcher takes off what it has received so far. A tick in
// which nothing else has changed is quiet: whatever happened before is in it. Safe for
// concurrent use.
type watcher struct {
	library mqtt.Client

	mu      sync.Mutex
	now     counts
	own     uint64 // messages received
	others  bool   // something else has changed in this tick
	ticks   int
	quiet   int    // the last quiet tick
	settled counts // of that tick
	changed chan struct{}
}

const counters = "$SYS/broker/"

func watch(t *testing.T, address string) *watcher {
	t.Helper()
	w := &watcher{changed: make(chan struct{})}
	w.library = mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + address).SetClientID("watcher").
		SetKeepAlive(0).SetAutoReconnect(false).SetDefaultPublishHandler(w.take))
	if err := finish(w.library.Connect()); err != nil {
		t.Fatalf("watcher: %v", err)
	}
	t.Cleanup(func() { w.library.Disconnect(0) })
	wanted := map[string]byte{}
	for _, name := range []string{"messages/received", "messages/sent", "publish/messages/received", "publish/messages/sent"} {
		wanted[counters+name] = 0
	}
	if err := finish(w.library.SubscribeMultiple(wanted, nil)); err != nil {
		t.Fatalf("watcher: %v", err)
	}
	return w
}

func (w *watcher) take(_ mqtt.Client, m mqtt.Message) {
	n, err := strconv.ParseUint(string(m.Payload()), 10, 64)
	if err != nil {
		panic(fmt.Sprintf("%s: %q", m.Topic(), m.Payload()))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch strings.TrimPrefix(m.Topic(), counters) {
	case "messages/received":
		w.now.packetsIn, w.others = n, true
	case "publish/messages/received":
		w.now.publishIn, w.others = n, true
	case "messages/sent":
		w.now.packetsOut = n - w.own
	case "publish/messages/sent": // the last of a tick
		w.now.publishOut = n - w.own
		if w.ticks++; !w.others {
			w.quiet, w.settled = w.ticks, w.now
		}
		w.others = false
		close(w.changed)
		w.changed = make(chan struct{})
	}
	w.own++
}

// tick returns the number of the last tick.
func (w *watcher) tick() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ticks
}

// after returns the counts when everything is in them that had happened at a tick: those
// of a quiet one that had not begun then.
func (w *watcher) after(t *testing.T, tick int) counts {
	t.Helper()
	late := time.After(patience)
	for {
		w.mu.Lock()
		quiet, settled, changed := w.quiet, w.settled, w.changed
		w.mu.Unlock()
		if quiet > tick+1 {
			return settled
		}
		select {
		case <-changed:
		case <-late:
			t.Fatal("the broker's counts do not come, or do not come to rest")
		}
	}
}
