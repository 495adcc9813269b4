package bench

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
)

func TestDurableLoadRunsAgainstGannetWithoutFaults(t *testing.T) {
	for _, everything := range []bool{true, false} {
		running := startEngine(t)
		spec := durableSpec{publishers: 5, sessions: 3, window: 4, payload: 64, everything: everything}
		b := patient()
		b.length, b.warm = 20*time.Millisecond, 0
		o, err := measureDurable(context.Background(), running, spec, b)
		check(t, o, err)
		if o.rate <= 0 || o.drained <= 0 || o.both <= 0 || o.p50 <= 0 || o.p99 < o.p50 {
			t.Errorf("everything %v: %+v", everything, o)
		}
		if _, err := park(context.Background(), running, 1, spec.session, b.patience, nil); err == nil {
			t.Error("a session that is there already is no error")
		}
	}
}

func TestCollectionKeepsExactBooks(t *testing.T) {
	type message struct {
		receiver, publisher int
		seq                 uint64
		qos                 codec.QoS
		retain              bool
	}
	all := []message{{0, 0, 0, 1, false}, {0, 1, 0, 1, false}, {1, 0, 0, 1, false}, {1, 1, 0, 1, false}, {0, 0, 1, 1, false}, {1, 0, 1, 1, false}}
	tests := []struct {
		name string
		came []message
		want faults
	}{
		{"all", all, faults{}},
		{"one missing", all[1:], faults{lost: 1}},
		{"one twice", append(all[:len(all):len(all)], all[3]), faults{duplicate: 1}},
		{"the wrong way round", []message{all[4], all[0], all[1], all[2], all[3], all[5]}, faults{reordered: 1}},
		{"of nobody", append(all[:len(all):len(all)], message{0, 2, 0, 1, false}), faults{stray: 1}},
		{"with QoS 2", append(all[:5:5], message{1, 0, 1, 2, false}), faults{stray: 1, lost: 1}},
		{"not what it should be", append(all[:len(all):len(all)], message{0, 0, 2, 1, true}), faults{stray: 1}},
		{"and others with QoS 0", append(all[:len(all):len(all)], message{0, 0, 0, 0, false}), faults{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := newCollection(2, 2, uint64(len(all)))
			x.belongs = func(_ int, retain bool, topic []byte, _ int, _ uint64) bool { return !retain && string(topic) == "t" }
			x.loop = &loop{scenario: x}
			clients := []*client{{index: 0}, {index: 1}}
			for _, m := range tt.came {
				payload := make([]byte, 20)
				putStamp(payload, m.publisher, m.seq)
				d := codec.Delivery{Topic: []byte("t"), Payload: payload, QoS: m.qos, PacketID: 9, Retain: m.retain}
				f, _, err := codec.Next(codec.AppendDelivery(nil, codec.V311, &d), 0)
				if err != nil {
					t.Fatal(err)
				}
				if err := x.packet(clients[m.receiver], f); err != nil {
					t.Fatal(err)
				}
			}
			if x.close(); x.faults != tt.want {
				t.Errorf("%s, want %s", x.faults, tt.want)
			}
		})
	}
}

func TestFeedSharesItsTotal(t *testing.T) {
	spec := feedSpec{publishers: 3, total: 11}
	if a, b, c := spec.share(0), spec.share(1), spec.share(2); a != 4 || b != 4 || c != 3 {
		t.Errorf("%d %d %d", a, b, c)
	}
}

func TestFeedOfFewerMessagesThanPublishersEnds(t *testing.T) {
	running := startEngine(t)
	for _, args := range [][]string{{"durable", "--publishers", "3", "--subscribers", "3"}, {"retained", "--subscribers", "1"}} {
		x := runMeasured(t, append(args, "--messages", "1", running.addr.String()))
		if x.Phases[0].Done != 1 || x.Phases[1].Done != 1 {
			t.Errorf("%s: %d messages taken and %d given back, want 1", args[0], x.Phases[0].Done, x.Phases[1].Done)
		}
	}
}

func TestRivalThatIsNotInstalledIsSaid(t *testing.T) {
	var stdout, stderr bytes.Buffer
	status := Main([]string{"durable", "--brokers", "nats-server", "--nats", "no-such-nats"}, &stdout, &stderr)
	if status != statusFault || !strings.Contains(stdout.String(), "nats-server: not measured: ") {
		t.Errorf("status %d\n%s%s", status, &stdout, &stderr)
	}
}

func TestDurableReport(t *testing.T) {
	o := outcome{
		rate: 1000, drained: 3000, both: 2000, ackCPU: 4, serverCPU: 2, p50: 20 * time.Microsecond, p99: 90 * time.Microsecond,
		loaderUse: 0.25, total: 77,
	}
	twice := o
	twice.rate, twice.ackCPU = 2000, 2
	rows := []row{{entry{name: "p2p", about: "as it says"}, []column{
		{outcomes: []outcome{twice}}, {outcomes: []outcome{o}, faults: faults{lost: 2}}, {failed: []error{errStalled}},
	}}}
	var b bytes.Buffer
	writeDurable(&b, []string{"x", "measure", "z"}, rows, "measure")
	for _, want := range []string{
		"### p2p: as it says",
		"| x | 2000 | 2.00 | 3000 | 1.00 | 2000 | 1.00 | 2.00 | 0.500 | 2.00 | 1.00 | 20.0 | 90.0 | 25.0 | none |",
		"| measure | 1000 | 1.00 | 3000 | 1.00 | 2000 | 1.00 | 4.00 | 1.00 | 2.00 | 1.00 | 20.0 | 90.0 | 25.0 | 2 lost |",
		"| z | – | – | – | – | – | – | – | – | – | – | – | – | – | 1 of 1 runs failed |",
		"| 1 | measure | 1000 | 3000 | 2000 | 4.00 | 2.00 | 20.0 | 90.0 | 25.0 | 77 |",
		"z failed: nothing moves any more",
	} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("no line %q in\n%s", want, &b)
		}
	}
}

func TestDurableRatiosAreToABrokerThatIsThere(t *testing.T) {
	for names, want := range map[string]string{"gannet-os mosquitto": "mosquitto", "gannet-os gannet-off": "gannet-os"} {
		if got := comparedWith(strings.Fields(names)); got != want {
			t.Errorf("of %s ratios are to %s, want %s", names, got, want)
		}
	}
}
