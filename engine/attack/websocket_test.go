package attack

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine"
)

// answersMost is what a connection may hold for its client below MQTT, as package engine documents it.
const answersMost = 64 * kib

// webFrame returns a masked frame with the byte of its opcode first. The mask changes nothing.
func webFrame(first byte, payload []byte) []byte {
	b := []byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}
	return append(b, payload...)
}

// connectWeb opens a WebSocket and an MQTT connection in it to the second listener, and subscribes.
func (s *server) connectWeb(t *testing.T, id, topic string) net.Conn {
	t.Helper()
	c := &server{Server: s.Server, addr: s.Addrs()[1].String()}
	nc := c.dial(t, codec.V311).deafen().nc
	_, err := fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(nc)
	if answer, err := http.ReadResponse(in, nil); err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("no WebSocket: %v", err)
	}
	h := codec.Connect{Version: codec.V311, CleanStart: true, ClientID: []byte(id)}
	b := webFrame(0x82, h.Append(nil, h.Version))
	b = append(b, webFrame(0x82, subscribePacket(h.Version, filter(topic, 0)))...)
	if _, err := nc.Write(b); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < 4+5; n++ { // CONNACK and SUBACK
		c, err := in.ReadByte()
		if err == nil && c == 0x82 {
			_, err = in.ReadByte() // a header does not count
			n--
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return nc
}

// Whoever has pings of WebSocket answered and does not read is closed when the answers reach their bound, and no sooner for what
// the broker has to tell him.
func TestWebSocketPingsWithoutReading(t *testing.T) {
	const attackers = 20
	ping := webFrame(0x89, []byte(strings.Repeat("p", 125)))
	for name, topic := range map[string]string{"nothing else waits": "nothing", "much else waits": "fire/hose"} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(o *engine.Options) {
				tight(o)
				o.Broker.MaxOutboundBytes = 512 * kib
				o.Listeners = append(o.Listeners, engine.ListenerOptions{URL: "ws://127.0.0.1:0", Policy: o.Listeners[0].Policy})
			})
			s.under(func() {
				var deaf []net.Conn
				for i := range attackers {
					deaf = append(deaf, s.connectWeb(t, fmt.Sprint("deaf", i), topic))
				}
				s.flood("fire/hose", 32*kib, 500, 0)
				for _, nc := range deaf { // now and then a ping is everybody's right
					if _, err := nc.Write(ping); err != nil {
						t.Error(err)
					}
				}
				s.counters()
				if n := s.Stats().TransportErrors; n != 0 {
					t.Errorf("%d closed for a ping", n)
				}
				var all sync.WaitGroup
				pack := bytes.Repeat(ping, 200)
				for _, nc := range deaf {
					all.Go(func() {
						for {
							if _, err := nc.Write(pack); err != nil { // the broker has had enough
								return
							}
						}
					})
				}
				all.Wait()
				s.until("they are closed", func() bool { return s.Stats().TransportErrors == attackers })
				b := &s.options.Broker
				s.heapWithin(attackers*(b.MaxOutboundBytes+int(b.Session.MaxPacketSize)+2*answersMost) + 4*mib)
			})
			s.quiet()
		})
	}
}
