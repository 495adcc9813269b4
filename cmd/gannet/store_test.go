package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/cmd/gannet/internal/client"
	"github.com/gannetmq/gannet/codec"
)

func TestStoreRefusesArgumentsThatMakeNoSense(t *testing.T) {
	none := filepath.Join(shortDir(t), "none")
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "gannet store: subcommand missing (gannet store --help explains)\n"},
		{[]string{"frob"}, "gannet store: unknown subcommand \"frob\" (gannet store --help explains)\n"},
		{[]string{"info"}, "gannet store info: 0 arguments: write gannet store info [--json] DIR (gannet store --help explains)\n"},
		{[]string{"verify", "a", "b"}, "gannet store verify: 2 arguments: write gannet store verify DIR (gannet store --help explains)\n"},
		{[]string{"backup", "a"}, "gannet store backup: 1 argument: write gannet store backup DIR TO (gannet store --help explains)\n"},
		{[]string{"verify", ""}, "gannet store verify: an argument is empty (gannet store --help explains)\n"},
		{[]string{"verify", "a", "--json"}, "gannet store verify: flag provided but not defined: -json (gannet store --help explains)\n"},
		{[]string{"backup", "a", "a/b"}, "gannet: backup to a/b: inside the store: name a folder outside of a\n"},
		{[]string{"info", none}, "gannet: store " + none + ": no store of gannet"},
		{[]string{"verify", none}, "gannet: store " + none + ": no store of gannet"},
		{[]string{"repair", none}, "gannet: store " + none + ": no store of gannet"},
		{[]string{"export", none}, "gannet: store " + none + ": no store of gannet"},
		{[]string{"backup", none, none + "2"}, "gannet: store " + none + ": no store of gannet"},
	} {
		got := run(t, "", append([]string{"store"}, test.args...)...)
		if got.status != 2 || got.stdout != "" || !strings.HasPrefix(got.stderr, test.want) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%q: %+v", test.args, got)
		}
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("a store was made")
	}
}

func TestStoreHelpNamesEverySubcommand(t *testing.T) {
	for _, args := range [][]string{{"store", "--help"}, {"help", "store"}, {"store", "verify", "--help"}} {
		got := run(t, "", args...)
		for _, c := range storeCommands() {
			if !strings.Contains(got.stdout, "gannet store "+c.name+" "+c.arguments) {
				t.Errorf("%v: %s is missing", args, c.name)
			}
		}
		if got.status != 0 || got.stderr != "" {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestInterruptedStoreCommandEndsAtOnce(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"verify", []string{"DIR"}, "gannet: interrupted\n"},
		{"export", []string{"--output=FILE", "DIR"}, "gannet: interrupted: FILE is not complete\n"},
		{"backup", []string{"DIR", "TO"}, "gannet: interrupted: TO appears only when it is complete\n"},
	} {
		ctx, interrupt := context.WithCancel(t.Context())
		commands := storeCommands()
		forever := commands[slices.IndexFunc(commands, func(c storeCommand) bool { return c.name == test.name })]
		forever.run = func(context.Context, *storeJob) (int, error) {
			interrupt()
			select {}
		}
		var stderr bytes.Buffer
		p := process{stderr: &stderr}
		if status := p.runStore(ctx, &forever, test.args); status != statusInterrupted || stderr.String() != test.want {
			t.Errorf("%s: status %d, %q", test.name, status, stderr.String())
		}
	}
}

// leaveStore has a broker make a store with a Session that is owed two messages, and retained messages of some megabytes, and end.
func leaveStore(t *testing.T) (dir, data string) {
	t.Helper()
	dir = shortDir(t)
	broker := serveChild(t, dir, "--store-memtable=4MiB")
	broker.subscribe("away", "q/#")
	for i := range 2 {
		broker.publish(client.Message{Topic: "q/1", Payload: fmt.Append(nil, i), QoS: codec.QoS1})
	}
	for i := range 12 {
		broker.publish(client.Message{Topic: fmt.Sprint("r/", i), Payload: make([]byte, 512<<10), QoS: codec.QoS1, Retain: true})
	}
	broker.terminate()
	if status := broker.wait(); status != 0 {
		t.Fatalf("status %d", status)
	}
	return dir, filepath.Join(dir, "data")
}

func TestStoreOfAnEndedBrokerIsShownAndCopied(t *testing.T) {
	dir, data := leaveStore(t)
	info := run(t, "", "store", "info", data)
	for _, want := range []string{"store              " + data, "sessions           1\n", "subscriptions      1\n", "queued messages    2, ", "retained messages  12, 6.0 MiB\n"} {
		if info.status != 0 || info.stderr != "" || !strings.Contains(info.stdout, want) {
			t.Errorf("info: no %q in %+v", want, info)
		}
	}
	var fields map[string]any
	if got := run(t, "", "store", "info", data, "--json"); json.Unmarshal([]byte(got.stdout), &fields) != nil || fields["retained"] != 12.0 {
		t.Errorf("info --json: %+v", got)
	}
	if got := run(t, "", "store", "verify", data); got.status != 0 || !strings.HasPrefix(got.stdout, "store "+data+": sound: ") {
		t.Errorf("verify: %+v", got)
	}

	if got := run(t, "", "store", "repair", data+"/"); got.status != 0 || !strings.HasPrefix(got.stdout, "store "+data+": sound, and left as it is: ") {
		t.Errorf("repair: %+v", got)
	}

	export := run(t, "", "store", "export", data)
	records := 0
	for line := range strings.Lines(export.stdout) {
		records++
		if !json.Valid([]byte(line)) {
			t.Fatalf("export: %.100s", line)
		}
	}
	if export.status != 0 || export.stderr != "" || records < 16 {
		t.Errorf("export: status %d, %d records, %s", export.status, records, export.stderr)
	}
	file := filepath.Join(dir, "file")
	if got := run(t, "", "store", "export", "--output", file, data); got != (result{}) {
		t.Errorf("export --output: %+v", got)
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != export.stdout {
		t.Errorf("the file has %d bytes, the output %d: %v", len(content), len(export.stdout), err)
	}
	if got := run(t, "", "store", "export", "--output", file, data); got.status != 2 || !strings.Contains(got.stderr, "file exists") {
		t.Errorf("export over a file: %+v", got)
	}

	to := filepath.Join(dir, "copy")
	if got := run(t, "", "store", "backup", data, to); got != (result{0, "store " + data + ": copied to " + to + "\n", ""}) {
		t.Errorf("backup: %+v", got)
	}
	if got := run(t, "", "store", "backup", data, to); got.status != 2 || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, to) {
		t.Errorf("backup over a folder: %+v", got)
	}
	if got := run(t, "", "store", "export", to); got != export {
		t.Error("the copy is another store")
	}
}

func TestDamagedStoreIsNamedAndRepaired(t *testing.T) {
	dir, data := leaveStore(t)
	table := damageTable(t, data)
	broker := spawn(t, dir, "serve", "--listen=mqtt://127.0.0.1:0")
	if status := broker.wait(); status != 2 || !strings.Contains(broker.last(), "damaged") || !strings.Contains(broker.last(), "gannet store repair") ||
		!strings.HasPrefix(broker.last(), "gannet: store ") {
		t.Errorf("serve: status %d: %s", status, broker.last())
	}
	if got := run(t, "", "store", "verify", data); got.status != 1 || !strings.HasPrefix(got.stdout, table) || !strings.Contains(got.stdout, "damaged") {
		t.Errorf("verify: %+v", got)
	}
	if got := run(t, "", "store", "info", data); got.status != 1 || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("info: %+v", got)
	}
	repaired := run(t, "", "store", "repair", data)
	originals, err := filepath.Glob(data + ".damaged-*")
	if err != nil || len(originals) != 1 {
		t.Fatalf("originals: %v, %v", originals, err)
	}
	if repaired.status != 0 || !strings.Contains(repaired.stdout, "the damaged original is "+originals[0]) || !strings.Contains(repaired.stdout, table) {
		t.Errorf("repair: %+v", repaired)
	}
	if got := run(t, "", "store", "verify", data); got.status != 0 {
		t.Errorf("verify after repair: %+v", got)
	}
	again := serveChild(t, dir)
	again.publish(client.Message{Topic: "q/1", Payload: []byte("end"), QoS: codec.QoS1})
	if got := strings.Join(again.drain("away", "end"), " "); got != "0 1" {
		t.Errorf("queued: %s", got)
	}
}

// damageTable flips a byte in the middle of the largest table, which is among the retained messages.
func damageTable(t *testing.T, data string) (name string) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(data, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables: %v, %v", tables, err)
	}
	var content []byte
	for _, path := range tables {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > len(content) {
			name, content = path, b
		}
	}
	content[len(content)/2] ^= 0xff
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Base(name)
}
