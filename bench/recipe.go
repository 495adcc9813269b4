package bench

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
)

// recipe says how a broker is started.
type recipe struct {
	name    string
	path    string   // of the program, or its name to be found by the system
	version []string // arguments that make it print its version first
	// arguments returns those that make it serve addr, and may write files to dir.
	arguments func(dir string, addr netip.AddrPort) ([]string, error)
	parent    string   // where its folder is made; empty: the system's place for temporary files
	env       []string // in addition to this process's
}

// Every broker is told the same: listen on one loopback address, let anybody in, keep
// nothing on disk, log errors only, and drop nothing by configuration. The loader's
// windows keep the queues short; the numbers here are only out of the way.
const (
	mostInflight = 65535
	mostMessages = 100_000_000
)

func gannetRecipe(path string) recipe {
	return recipe{
		name:    "gannet",
		path:    path,
		version: []string{"version"},
		arguments: func(_ string, addr netip.AddrPort) ([]string, error) {
			inflight, messages := strconv.Itoa(mostInflight), strconv.Itoa(mostMessages)
			return []string{
				"serve", "--listen", "mqtt://" + addr.String(), "--in-memory", "--log-level", "error",
				"--max-accept-rate", "0",
				"--max-inflight", inflight, "--receive-maximum", inflight,
				"--max-queued-messages", messages, "--max-queued-bytes", "16GiB",
				"--max-group-queued-messages", messages, "--max-group-queued-bytes", "16GiB",
				"--max-outbound-bytes", "1GiB",
			}, nil
		},
	}
}

// mosquittoRecipe sets set_tcp_nodelay because the loader waits for single small
// messages, which Nagle's algorithm holds back; that is a choice of configuration and
// not of the broker's speed.
func mosquittoRecipe(path string) recipe {
	return recipe{
		name:    "mosquitto",
		path:    path,
		version: []string{"-h"},
		arguments: func(dir string, addr netip.AddrPort) ([]string, error) {
			text := fmt.Sprintf(`listener %d %s
allow_anonymous true
persistence false
set_tcp_nodelay true
max_inflight_messages %d
max_queued_messages 0
connection_messages false
log_dest stderr
log_type error
`, addr.Port(), addr.Addr(), mostInflight)
			file := filepath.Join(dir, "mosquitto.conf")
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				return nil, fmt.Errorf("mosquitto: configuration: %w", err)
			}
			return []string{"-c", file}, nil
		},
	}
}
