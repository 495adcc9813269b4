package engine

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/gannetmq/gannet/engine/websocket"
)

// upgrade is a connection before it is a WebSocket. The time it has is that of the broker for a CONNECT.
type upgrade struct {
	setup   *setup
	peer    netip.Addr
	head    []byte // of the request, as far as it has come; less than Options.HeaderBytesMax
	proxied bool   // the PROXY protocol has told about the client: X-Forwarded-For has nothing to add
}

// request takes the HTTP request in b, and returns what follows it. While lay.upgrade stays, nothing does.
func (lay *layers) request(b []byte) (rest []byte) {
	u, c := lay.upgrade, lay.conn
	if len(u.head) > 0 {
		u.head = append(u.head, b...)
		b = u.head
	}
	s := c.loop.lend()
	answer, r := u.setup.options.WebSocket.Upgrade(s.frame[:0], b)
	s.frame = answer[:0]
	switch r.Status {
	case 0:
		if len(u.head) == 0 {
			u.head = append(u.head, b...)
		}
		return nil
	case http.StatusSwitchingProtocols:
		if !lay.introduced(u, &r) {
			lay.listener.tally.count(refusedAdmit)
			c.loop.hangUp(c, errUnwelcome)
			return nil
		}
		rest = b[r.Size:]
		lay.upgrade, lay.frames = nil, new(websocket.Reader)
		if lay.tls == nil {
			lay.wire = &wire{}
		}
		lay.send(s, answer)
		return rest
	default:
		lay.listener.tally.count(refusedUpgrade)
		c.loop.door.refused(c, u.setup, r.Reason)
		if lay.send(s, answer) {
			c.loop.hangUp(c, errUnwelcome)
		}
		return nil
	}
}

// introduced finds out whom the request speaks for, if it comes from a proxy that is believed, and whether it may come.
func (lay *layers) introduced(u *upgrade, r *websocket.Request) bool {
	p := &u.setup.options.Proxy
	if u.proxied || !p.trusts(u.peer) {
		return true
	}
	client := r.ClientAddr(p.trusts)
	if !client.IsValid() {
		return lay.conn.loop.door.welcome(u.peer, u.setup)
	}
	lay.remote = strings.Clone(client.String())
	return lay.conn.loop.door.welcome(client.Addr(), u.setup)
}
