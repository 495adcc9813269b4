package acl

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/engine/session"
)

// largeFile has n rules: for a tenth as many users nine each, some with wildcards and denies, and patterns for the rest.
func largeFile(n int) string {
	var b strings.Builder
	for i := range n / 10 {
		fmt.Fprintf(&b, "user user%d\ntopic deny site/%d/private/#\n", i, i)
		for j := range 6 {
			fmt.Fprintf(&b, "topic readwrite site/%d/area%d/+/value\n", i, j)
		}
		fmt.Fprintf(&b, "topic read site/%d/#\ntopic write site/%d/command\n", i, i)
		fmt.Fprintf(&b, "pattern read group%d/%%u/+/status\n", i)
	}
	return b.String()
}

// flatFile has n topics for one user.
func flatFile(n int) string {
	var b strings.Builder
	b.WriteString("user user77\ntopic deny secret/#\n")
	for i := range n - 1 {
		fmt.Fprintf(&b, "topic readwrite site/%d/area/+/value\n", i)
	}
	return b.String()
}

func BenchmarkCheck(b *testing.B) {
	const rules = 10000
	for _, bench := range []struct{ name, file, topic string }{
		{"user", largeFile(rules), "site/77/area3/sensor/value"},
		{"pattern", largeFile(rules), "group77/user77/sensor/status"},
		{"denied", largeFile(rules), "site/78/area3/sensor/value"},
		{"flat", flatFile(rules), "site/7777/area/sensor/value"},
		{"flat-none", flatFile(rules), "site/7777/area/sensor/other"},
	} {
		l := parse(b, bench.file)
		who, topic := session.Identity{ClientID: "client77", UserName: "user77"}, []byte(bench.topic)
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.MayReceive(who, topic)
			}
		})
	}
	// Each check about another user and topic, so that nothing is in the processor's caches.
	l := parse(b, largeFile(rules))
	whos, topics := make([]session.Identity, 1000), make([][]byte, 1000)
	for i := range whos {
		k := i * 7919 % 1000
		whos[i] = session.Identity{ClientID: "c", UserName: fmt.Sprint("user", k)}
		topics[i] = fmt.Appendf(nil, "site/%d/area3/sensor/value", k)
	}
	b.Run("everybody", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			l.MayPublish(whos[i%1000], topics[i%1000])
		}
	})
}

func BenchmarkMaySubscribe(b *testing.B) {
	l := parse(b, largeFile(10000)).Strict()
	who := session.Identity{ClientID: "client77", UserName: "user77"}
	for _, filter := range []string{"site/77/area3/+/value", "#", "none/#", "+/+/private/x"} {
		b.Run(strings.ReplaceAll(filter, "/", "."), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.MaySubscribe(who, []byte(filter))
			}
		})
	}
}

// BenchmarkBuild states what a list costs: bytes while it is kept, and the time to compile it.
func BenchmarkBuild(b *testing.B) {
	few := []Rule{
		{Pattern: true, Access: Read, Topic: "devices/%c/command/#"},
		{Pattern: true, Access: Write, Topic: "devices/%c/event/#"},
		{Pattern: true, Access: ReadWrite, Topic: "devices/%c/shadow"},
		{Pattern: true, Access: Read, Topic: "broadcast/+/news"},
		{Pattern: true, Access: Deny, Topic: "devices/%c/event/internal"},
	}
	b.Run("5-rules", func(b *testing.B) {
		kept := make([]*List, 0, 1000)
		before := heap()
		for range cap(kept) {
			l, _ := Build(few)
			kept = append(kept, l)
		}
		per := float64(heap()-before) / float64(len(kept))
		runtime.KeepAlive(kept)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = Build(few)
		}
		b.ReportMetric(per, "bytes/list")
	})
	for _, file := range []struct{ name, text string }{{"10000-users", largeFile(10000)}, {"10000-flat", flatFile(10000)}} {
		b.Run(file.name, func(b *testing.B) {
			before := heap()
			l := parse(b, file.text)
			per := float64(heap()-before) / float64(l.Len())
			b.ReportAllocs()
			for b.Loop() {
				parse(b, file.text)
			}
			b.ReportMetric(per, "bytes/rule")
			runtime.KeepAlive(l)
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestChecksAllocateNothing(t *testing.T) {
	l := parse(t, largeFile(1000)+"pattern write p-%c/%u/x\npattern deny q/%u\n").Strict()
	who := session.Identity{ClientID: "client7", UserName: "user7"}
	for _, topic := range []string{"site/7/area3/sensor/value", "p-client7/user7/x", "q/user7", "none/of/all", "$SYS/x"} {
		if n := testing.AllocsPerRun(100, func() {
			l.MayPublish(who, []byte(topic))
			l.MayReceive(who, []byte(topic))
		}); n > 0 {
			t.Errorf("%s: %v allocations", topic, n)
		}
	}
}
