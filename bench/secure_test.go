package bench

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestListeningIsTheSameForEveryBroker(t *testing.T) {
	addr := netip.MustParseAddrPort("127.0.0.1:8883")
	tests := []struct {
		over  transport
		url   string
		lines []string
	}{
		{overMQTT, "mqtt://127.0.0.1:8883", nil},
		{overMQTTS, "mqtts://127.0.0.1:8883?certfile=server.crt&keyfile=server.key", []string{"ciphers_tls1.3 TLS_AES_128_GCM_SHA256"}},
		{overWS, "ws://127.0.0.1:8883", []string{"protocol websockets"}},
	}
	c, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		dir := t.TempDir()
		gannet := shippedRecipe(t, "gannet").serving(tt.over, c)
		flags, _, err := gannet.prepare(dir, addr)
		if err != nil || !slices.Contains(flags, "--listen="+tt.url) {
			t.Errorf("%q is not in %q, %v", tt.url, flags, err)
		}
		mosquitto := shippedRecipe(t, "mosquitto").serving(tt.over, c)
		args, _, err := mosquitto.prepare(dir, addr)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(args[1])
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		for _, want := range append(tt.lines, "listener 8883 127.0.0.1") {
			if !slices.Contains(lines, want) {
				t.Errorf("no line %q in\n%s", want, text)
			}
		}
	}
}

func TestSecureOptionsSplitScenariosByTransport(t *testing.T) {
	o, err := secureOptions([]string{"--gannet", "bin/gannet", "--scenarios", "ws-idle,tls13-full"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if got := [2]string{strings.Join(namesOf(o.loads[0].entries), " "), strings.Join(namesOf(o.loads[1].entries), " ")}; got != [2]string{"tls13-full", "ws-idle"} {
		t.Errorf("%q", got)
	}
	if o.steps[0] != 2000 || o.steps[1] != 6000 || o.settle != 6*time.Second {
		t.Errorf("%v, %v", o.steps, o.settle)
	}
}

func TestBrokerWithoutATransportIsNamedAndLeftOut(t *testing.T) {
	var b bytes.Buffer
	brokers := []recipe{{name: "mosquitto", path: "no-such-mosquitto"}}
	if able, err := offering(context.Background(), brokers, overWS, nil, &b); err == nil || able != nil {
		t.Errorf("%v, %v", able, err)
	}
	if !strings.Contains(b.String(), "mosquitto: not measured") {
		t.Errorf("%q", &b)
	}
}
