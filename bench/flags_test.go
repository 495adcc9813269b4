package bench

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
	"time"
)

func TestLoadOptionsDefaults(t *testing.T) {
	o, err := loadOptions([]string{"--gannet", "bin/gannet"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.entries) != len(catalog()) || o.rounds != 3 || o.budget.length != 3*time.Second || o.budget.warm != 500*time.Millisecond {
		t.Errorf("%d scenarios, %d rounds, %+v", len(o.entries), o.rounds, o.budget)
	}
	if names := strings.Join(o.names(), " "); names != "gannet mosquitto" || o.brokers[0].path != "bin/gannet" || o.brokers[0].running != nil {
		t.Errorf("brokers %s, gannet is %q, running is %v", names, o.brokers[0].path, o.brokers[0].running)
	}
}

func TestLoadOptionsChooseScenariosInTheOrderOfTheCatalog(t *testing.T) {
	o, err := loadOptions([]string{"--scenarios", "churn,p2p-qos2", "--connect", "localhost:1883", "--pid", "42"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if names := strings.Join(namesOf(o.entries), " "); names != "p2p-qos2 churn" {
		t.Errorf("scenarios %s", names)
	}
	r := o.brokers[0].running
	if r == nil || r.addr.String() != "127.0.0.1:1883" || r.pid != 42 || len(o.brokers) != 1 {
		t.Errorf("running %+v, %d brokers", r, len(o.brokers))
	}
}

// checkRefusals runs a command with arguments that it does not take, each with what its
// error says.
func checkRefusals(t *testing.T, command string, complaints map[string]string) {
	t.Helper()
	for args, want := range complaints {
		err := run(t.Context(), append([]string{command}, strings.Fields(args)...), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s %s: %v, want %s", command, args, err, want)
		}
	}
}

func TestOptionsThatMakeNoSenseAreNamed(t *testing.T) {
	tests := []struct {
		command string
		args    string
		want    string
	}{
		{"load", "--scenarios p2p-qos0,p2p-qos3", `there is no "p2p-qos3"`},
		{"load", "--scenarios churn,churn,", `there is no ""`},
		{"load", "--rounds 0", "rounds: 0"},
		{"load", "--seconds 0", "seconds: 0"},
		{"load", "--seconds NaN", "seconds: NaN"},
		{"load", "--seconds many", "many"},
		{"load", "--connections 0", "connections: 0"},
		{"load", "--brokers gannet,nanomq", `brokers: "nanomq"`},
		{"load", "--connect broker.example:1883", "connect: \"broker.example:1883\""},
		{"load", "--connect 192.0.2.1:1883", "connect: 192.0.2.1 is not a loopback address"},
		{"load", "--connect 127.0.0.1", "connect: \"127.0.0.1\""},
		{"load", "--connect 127.0.0.1:1883 --pid -1", "pid: -1"},
		{"load", "--pid 1", "pid: only together with --connect"},
		{"load", "--speed 3", "speed"},
		{"load", "twice", `"twice"`},
		{"idle", "--connections 5000", "5000,19000"},
		{"idle", "--connections 5,5", "the second larger"},
		{"idle", "--connections 5,ten", `"ten"`},
		{"idle", "--settle -1s", "settle: -1s"},
		{"idle", "--connect 127.0.0.1:1883", "pid: needed"},
		{"compare", "--peers gannet,nanomq", `peers: "nanomq" is none of gannet, mochi`},
		{"compare", "--peers gannet,mochi,gannet", "peers: gannet is there twice"},
		{"compare", "--peers 192.0.2.1:1883", "192.0.2.1 is not a loopback address"},
		{"compare", "--peer no-such.yaml", "no-such.yaml"},
		{"compare", "--program mochi", `program: "mochi" is not NAME=PATH`},
		{"compare", "--peers mochi --program gannet=bin/gannet", `program: "gannet=bin/gannet"`},
		{"compare", "--scenarios p2p-qos3", `there is no "p2p-qos3"`},
		{"compare", "--rounds 0", "rounds: 0"},
		{"compare", "--connections 5", "such as"},
		{"compare", "--from no-such.json", "no-such.json"},
		{"secure", "--scenarios tls-p2p-qos2", `there is no "tls-p2p-qos2"`},
		{"secure", "--rounds 0", "rounds: 0"},
		{"secure", "--connections 6000,2000", "the second larger"},
		{"secure", "--settle 2h", "settle: 2h"},
		{"secure", "--connect 127.0.0.1:8883", "connect"},
		{"durable", "--variants p2p,fan-in", `there is no "fan-in"`},
		{"durable", "--rounds 0", "rounds: 0"},
		{"durable", "--seconds NaN", "seconds: NaN"},
		{"durable", "--brokers gannet", `brokers: "gannet" is none of gannet-sync`},
		{"durable", "--connect 127.0.0.1:1883", "connect"},
		{"store", "", "sessions, retained, queue"},
		{"store", "wills", `"wills"`},
		{"store", "queue -n 0", "n: 0"},
		{"store", "queue --settle -1s", "settle: -1s"},
		{"store", "queue --broker gannet-sync,mosquitto", "broker: one at a time"},
		{"run", "", "gannet bench run SCENARIO"},
		{"run", "p2p 127.0.0.1:1 again", "gannet bench run SCENARIO"},
		{"run", "p2q", `there is no scenario "p2q"`},
		{"run", "none.yaml", "none.yaml"},
		{"run", "p2p 192.0.2.1:1883", "192.0.2.1 is not a loopback address"},
		{"run", "p2p --remote-broker-is-mine --source 127.0.0.1 [2001:db8::1]:1883", "127.0.0.1 cannot connect"},
		{"run", "p2p http://127.0.0.1:80", "http is none of"},
		{"run", "p2p 127.0.0.1:0", "port"},
		{"run", "p2p mqtt://127.0.0.1/path", "path"},
		{"run", "p2p --payload 15", "payload: 15"},
		{"run", "p2p --qos 3", "qos: 3"},
		{"run", "p2p --rate -1", "rate: -1"},
		{"run", "p2p --rate NaN", "rate: NaN"},
		{"run", "p2p --arrivals bursts", `arrivals: "bursts"`},
		{"run", "p2p --seconds 0", "seconds: 0"},
		{"run", "p2p --connections 5", "connections: the scenario p2p has no such number"},
		{"run", "storm --rate 5", "rate: the scenario storm has no such number"},
		{"run", "p2p --restart true", "restart: the scenario p2p"},
		{"run", "p2p --mqtt 4.0", `mqtt: "4.0"`},
		{"run", "p2p --password x", "password"},
		{"run", "p2p --insecure", "mqtts://"},
		{"run", "p2p --cert x mqtts://127.0.0.1", "cert, key"},
		{"run", "p2p --cafile no-such-file mqtts://127.0.0.1", "cafile"},
		{"run", "p2p --source elsewhere", `source: "elsewhere"`},
		{"run", "p2p --prefix a/+", "prefix"},
		{"run", "p2p --connect-rate 0.5", "connect-rate: 0.5"},
		{"run", "p2p --pid -2", "pid: -2"},
		{"both", "", `"both"`},
	}
	for _, tt := range tests {
		t.Run(tt.command+" "+tt.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := Main(append([]string{tt.command}, strings.Fields(tt.args)...), &stdout, &stderr)
			if status != statusUsage || !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("status %d, %q; want 2 and %q", status, &stderr, tt.want)
			}
			if n := strings.Count(stderr.String(), "\n"); n != 1 {
				t.Errorf("%d lines of complaint", n)
			}
		})
	}
}

func TestHelpIsASuccess(t *testing.T) {
	for _, args := range []string{"", "help", "--help", "load --help", "idle -h", "load --list", "compare -h", "compare --list", "secure -h", "secure --list", "durable -h", "store --help", "store queue -h", "run -h", "run --list"} {
		var stdout, stderr bytes.Buffer
		if status := Main(strings.Fields(args), &stdout, &stderr); status != statusOK || stdout.Len() == 0 || stderr.Len() != 0 {
			t.Errorf("%q: status %d, %d bytes of help, complaint %q", args, status, stdout.Len(), &stderr)
		}
	}
	if _, err := loadOptions([]string{"-h"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("%v", err)
	}
}

func TestCatalogNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range runCatalog() {
		if seen[e.name] || strings.ContainsAny(e.name, ",. /") || e.about == "" || e.run == nil {
			t.Errorf("scenario %q of run", e.name)
		}
		seen[e.name] = true
	}
	clear(seen)
	for _, e := range catalog() {
		if seen[e.name] || e.name == "all" || strings.ContainsAny(e.name, ", ") || e.about == "" {
			t.Errorf("scenario %q", e.name)
		}
		seen[e.name] = true
	}
}
