package bench

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
)

// The recipes here are of brokers that keep what they are given. Nothing is dropped
// by configuration: every bound on a queue is lifted as far as the broker allows.

// queuesLifted are the flags of a Gannet whose queues may have any length.
func queuesLifted(addr netip.AddrPort) []string {
	messages := strconv.Itoa(mostMessages)
	return []string{
		"serve", "--listen", "mqtt://" + addr.String(), "--max-accept-rate", "0",
		"--max-queued-messages", messages, "--max-queued-bytes", "64GiB",
	}
}

// storeFlags are those of a Gannet that keeps its data below dir. durability is
// sync, os or off.
func storeFlags(durability, dir string) []string {
	return []string{"--durability", durability, "--data-dir", filepath.Join(dir, "data")}
}

// durableGannet is a Gannet with bounds lifted like those of its rivals.
func durableGannet(path, durability string) recipe {
	return recipe{
		name:    "gannet-" + durability,
		path:    path,
		version: []string{"version"},
		arguments: func(dir string, addr netip.AddrPort) ([]string, error) {
			inflight := strconv.Itoa(mostInflight)
			return append(append(queuesLifted(addr), storeFlags(durability, dir)...), "--log-level", "error",
				"--max-inflight", inflight, "--receive-maximum", inflight), nil
		},
	}
}

// plainGannet is a Gannet as it comes, except for the length of its queues. The Go
// runtime in it is asked for a line for each collection, which tells the live heap.
func plainGannet(path, durability string) recipe {
	return recipe{
		name:    "gannet-" + durability,
		path:    path,
		version: []string{"version"},
		env:     []string{"GODEBUG=gctrace=1"},
		arguments: func(dir string, addr netip.AddrPort) ([]string, error) {
			return append(queuesLifted(addr), storeFlags(durability, dir)...), nil
		},
	}
}

// durableMosquitto keeps its data in a snapshot that it writes every half hour, the
// default, and when it ends. It does not sync.
func durableMosquitto(path string) recipe {
	return recipe{
		name:    "mosquitto",
		path:    path,
		version: []string{"-h"},
		arguments: func(dir string, addr netip.AddrPort) ([]string, error) {
			text := fmt.Sprintf(`listener %d %s
allow_anonymous true
persistence true
persistence_location %s/
user root
set_tcp_nodelay true
max_inflight_messages %d
max_queued_messages 0
max_queued_bytes 0
connection_messages false
log_dest stderr
log_type error
`, addr.Port(), addr.Addr(), dir, mostInflight)
			return written(filepath.Join(dir, "mosquitto.conf"), text)
		},
	}
}

// natsServer is nats-server with MQTT, which syncs before it acknowledges. The
// messages that it has under way to one Session are bounded by 65,535 altogether.
func natsServer(path string) recipe {
	return recipe{
		name:    "nats",
		path:    path,
		version: []string{"--version"},
		arguments: func(dir string, addr netip.AddrPort) ([]string, error) {
			text := fmt.Sprintf(`server_name: bench
listen: "127.0.0.1:-1"
logfile: %q
max_pending: 1GB
write_deadline: "60s"
jetstream {
  store_dir: %q
  sync_interval: always
  max_file_store: 64GB
}
mqtt {
  listen: %q
  max_ack_pending: %d
}
`, filepath.Join(dir, "nats.log"), filepath.Join(dir, "jetstream"), addr, mostInflight)
			return written(filepath.Join(dir, "nats.conf"), text)
		},
	}
}

// written writes a configuration and returns the arguments that name it.
func written(file, text string) ([]string, error) {
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return []string{"-c", file}, nil
}
