package bench

import (
	"fmt"
	"net/netip"
	"net/url"
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

// listening is what the listener of a broker speaks. The zero value is MQTT over TCP.
type listening struct {
	webSocket        bool
	certificate, key string // files for TLS; both or neither
}

// url is how Gannet is told.
func (s listening) url(addr netip.AddrPort) string {
	u := url.URL{Scheme: "mqtt", Host: addr.String()}
	switch {
	case s.webSocket:
		u.Scheme = "ws"
	case s.certificate != "":
		u.Scheme = "mqtts"
		u.RawQuery = url.Values{"certfile": {s.certificate}, "keyfile": {s.key}}.Encode()
	}
	return u.String()
}

// lines are how mosquitto is told, after its listener line. With TLS 1.3 it would choose
// AES-256, where the clients would like AES-128 and Gannet lets them. 2.0 starts with
// a WebSocket listener only if it has another one, too. It reads the key and makes that
// listener's socket as another user than the one who may, unless told not to.
func (s listening) lines(dir string) string {
	switch {
	case s.webSocket:
		return "protocol websockets\nlistener 0 " + filepath.Join(dir, "mqtt.sock") + "\nuser root\n"
	case s.certificate != "":
		return fmt.Sprintf("certfile %s\nkeyfile %s\nciphers_tls1.3 TLS_AES_128_GCM_SHA256\nuser root\n", s.certificate, s.key)
	}
	return ""
}

func gannetRecipe(path string, at listening) recipe {
	return recipe{
		name:    "gannet",
		path:    path,
		version: []string{"version"},
		arguments: func(_ string, addr netip.AddrPort) ([]string, error) {
			inflight, messages := strconv.Itoa(mostInflight), strconv.Itoa(mostMessages)
			return []string{
				"serve", "--listen", at.url(addr), "--in-memory", "--log-level", "error",
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
func mosquittoRecipe(path string, at listening) recipe {
	return recipe{
		name:    "mosquitto",
		path:    path,
		version: []string{"-h"},
		arguments: func(dir string, addr netip.AddrPort) ([]string, error) {
			text := fmt.Sprintf(`listener %d %s
%sallow_anonymous true
persistence false
set_tcp_nodelay true
max_inflight_messages %d
max_queued_messages 0
connection_messages false
log_dest stderr
log_type error
`, addr.Port(), addr.Addr(), at.lines(dir), mostInflight)
			file := filepath.Join(dir, "mosquitto.conf")
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				return nil, fmt.Errorf("mosquitto: configuration: %w", err)
			}
			return []string{"-c", file}, nil
		},
	}
}
