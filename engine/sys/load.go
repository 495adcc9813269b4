package sys

import (
	"math"
	"strconv"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// load averages one total's growth, in units a minute, over one, five and fifteen minutes: each average is pulled towards what the last
// interval showed, the more the longer the interval was.
type load struct {
	name   string
	total  func(*Snapshot) uint64
	last   uint64
	values [len(windows)]float64
}

// windows are the times over which is averaged, and what their topics end with.
var windows = [...]struct {
	length time.Duration
	name   string
}{{time.Minute, "/1min"}, {5 * time.Minute, "/5min"}, {15 * time.Minute, "/15min"}}

func loads() []load {
	return []load{
		{name: "messages/received", total: func(s *Snapshot) uint64 { return sum(&s.PacketsReceived) }},
		{name: "messages/sent", total: func(s *Snapshot) uint64 { return sum(&s.PacketsSent) }},
		{name: "publish/received", total: func(s *Snapshot) uint64 { return s.PacketsReceived[codec.TypePublish] }},
		{name: "publish/sent", total: func(s *Snapshot) uint64 { return s.PacketsSent[codec.TypePublish] }},
		{name: "publish/dropped", total: func(s *Snapshot) uint64 { return s.Dropped }},
		{name: "bytes/received", total: func(s *Snapshot) uint64 { return s.BytesReceived }},
		{name: "bytes/sent", total: func(s *Snapshot) uint64 { return s.BytesSent }},
		{name: "sockets", total: func(s *Snapshot) uint64 { return s.Opened }},
		{name: "connections", total: func(s *Snapshot) uint64 { return s.PacketsReceived[codec.TypeConnect] }},
	}
}

// next takes in what passed in the time since the last call and returns the averages as figures.
func (l *load) next(s *Snapshot, passed time.Duration, list []figure) []figure {
	total := l.total(s)
	rate := float64(total-l.last) / passed.Minutes()
	l.last = total
	for i, w := range windows {
		l.values[i] += (rate - l.values[i]) * (1 - math.Exp(-float64(passed)/float64(w.length)))
		list = append(list, figure{"load/" + l.name + w.name, strconv.FormatFloat(l.values[i], 'f', 2, 64)})
	}
	return list
}
