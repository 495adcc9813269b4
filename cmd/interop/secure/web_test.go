package secure

import (
	"os"
	"os/exec"
	"testing"
)

// TestWebSocket runs web.mjs, which prints its own table.
func TestWebSocket(t *testing.T) {
	node, chromium := have(t, "node"), have(t, "chromium")
	onGannet(t, "Debian builds mosquitto without WebSocket", func(t *testing.T, m maker) {
		dir := folder(t)
		a := newAuthority(t, dir, "ca")
		server := a.server("server")
		plain, secure := freePort(t), freePort(t)
		m.serve(t, dir, "allow_anonymous true\nlistener "+plain+" 127.0.0.1\nprotocol websockets\n"+
			tlsListener(secure, a, server, "protocol websockets\n"), plain, secure)
		c := exec.CommandContext(t.Context(), node, "--test", "--test-reporter=spec", "web.mjs")
		c.Env = append(os.Environ(), "INTEROP_WS="+plain, "INTEROP_WSS="+secure, "INTEROP_CA="+a.file(),
			"INTEROP_SPKI="+server.fingerprint(), "INTEROP_CHROMIUM="+chromium)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		if err := c.Run(); err != nil {
			t.Errorf("node --test web.mjs: %v", err)
		}
	})
}
