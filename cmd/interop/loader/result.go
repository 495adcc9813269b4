package main

import (
	"fmt"
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// result is what a load came to. Sent and Received are of the whole load, InTime those of
// them that the clock's time had, by which rates and processor time are reckoned.
type result struct {
	Sent, Received         uint64 // messages, or connections begun and made
	SentInTime, DoneInTime uint64
	Faults                 faults
	Seconds                float64
	BrokerCPU, LoaderCPU   float64 // µs for each message in or out, or each connection
	BrokerUse, LoaderUse   float64 // of one processor
	Latency, Wire, Late    spread  // from due to done; from write to read; from due to the write
}

// spread are quantiles, in microseconds.
type spread struct{ P50, P99, Max float64 }

// longest bounds what a histogram tells apart; what took longer counts as that.
const longest = 10 * time.Minute

// spreadOf puts durations into a histogram of three digits, and takes the quantiles out.
func spreadOf(lists ...[]time.Duration) spread {
	h := hdrhistogram.New(1, int64(longest), 3)
	for _, list := range lists {
		for _, d := range list {
			_ = h.RecordValue(int64(min(max(d, 1), longest))) // so it is in range
		}
	}
	µs := func(v int64) float64 { return float64(v) / 1e3 }
	return spread{µs(h.ValueAtQuantile(50)), µs(h.ValueAtQuantile(99)), µs(h.Max())}
}

// costs fills in what two readings say about the units between them.
func (r *result) costs(from, to reading, units uint64) {
	r.Seconds = (to.at - from.at).Seconds()
	broker, loader := to.broker-from.broker, to.loader-from.loader
	r.BrokerUse, r.LoaderUse = broker.Seconds()/r.Seconds, loader.Seconds()/r.Seconds
	if units > 0 {
		r.BrokerCPU = float64(broker.Microseconds()) / float64(units)
		r.LoaderCPU = float64(loader.Microseconds()) / float64(units)
	}
}

func (r *result) write(w io.Writer) {
	fmt.Fprintf(w, "%d sent, %d received: %v.\n", r.Sent, r.Received, r.Faults)
	fmt.Fprintf(w, "In %.3f s: %.0f/s sent, %.0f/s received.\n", r.Seconds, float64(r.SentInTime)/r.Seconds, float64(r.DoneInTime)/r.Seconds)
	fmt.Fprintf(w, "For each in or out: broker %.2f µs (%.0f %% of a processor), loader %.2f µs (%.0f %%).\n",
		r.BrokerCPU, 100*r.BrokerUse, r.LoaderCPU, 100*r.LoaderUse)
	for _, s := range []struct {
		name string
		spread
	}{{"from due", r.Latency}, {"on the wire", r.Wire}, {"written late", r.Late}} {
		if s.spread != (spread{}) {
			fmt.Fprintf(w, "%-13s p50 %7.3f ms, p99 %7.3f ms, max %7.3f ms\n", s.name, s.P50/1e3, s.P99/1e3, s.Max/1e3)
		}
	}
}
