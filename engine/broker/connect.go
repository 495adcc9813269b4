package broker

import (
	"github.com/valyala/bytebufferpool"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// handshake feeds a packet to a connection that is not accepted yet, or refuses it for bytes that are none (err).
func (l *Loop) handshake(cn *Conn, f codec.Frame, err error, now Time) {
	if err != nil {
		e := err.(*codec.Error)
		l.refuseConn(cn, e.Code, e.Message)
		return
	}
	l.stats.packetsIn[f.Type&15]++
	hs, lst := &cn.hello.handshake, cn.hello.listener
	if p := &lst.Policy; hs.From.Addr == "" && (p.Admit != nil || p.Authenticator != nil || len(p.Methods) > 0) {
		hs.From = session.Origin{Addr: cn.t.RemoteAddr(), Listener: lst.Name} // only now: it costs more than the packet
	}
	hs.Busy = l.overloaded
	out := &l.out
	out.Reset()
	out.Frames = l.scratch[:0]
	h := hs.Packet(&l.b.options().Session, &lst.Policy, cn.t.UserName(), f, out)
	l.greet(cn, h, out, now)
}

// greet carries out what the handshake has decided.
func (l *Loop) greet(cn *Conn, h *session.Hello, out *session.Output, now Time) {
	if len(out.Frames) > 0 { // one packet
		l.stats.sent.Packets[out.Frames[0]>>4]++
		l.write(cn, out.Frames)
	}
	out.Frames = nil
	switch {
	case out.Close:
		l.refuseConn(cn, out.Reason, out.Why)
	case cn.closing:
	case h != nil:
		l.accept(cn, h, now)
	case out.Judge != nil:
		l.judge(cn, out.Judge)
	}
}

// judge asks the Authenticator of the listener. Its answer comes through the mailbox, wherever it was found.
func (l *Loop) judge(cn *Conn, c *session.Credentials) {
	cn.hello.listener.Policy.Authenticator.Authenticate(c, func(v session.Verdict) {
		l.box.post(item{kind: itemVerdict, conn: cn, verdict: &v})
	})
}

// verdict goes on with a client that has been judged, and with what it sent meanwhile.
func (l *Loop) verdict(cn *Conn, v session.Verdict, now Time) {
	if cn.closing || cn.hello == nil || !cn.hello.handshake.Judging() {
		return
	}
	out := &l.out
	out.Reset()
	out.Frames = l.scratch[:0]
	l.greet(cn, cn.hello.handshake.Verdict(&l.b.options().Session, v, out), out, now)
	if p := cn.partial; p != nil && !cn.closing {
		cn.partial = nil
		l.take(cn, p.B, now)
		bytebufferpool.Put(p)
	}
}

// refuseConn counts and closes a connection that gets no session. What CONNACK there is to say was written before.
func (l *Loop) refuseConn(cn *Conn, code codec.ReasonCode, why string) {
	l.stats.refusedConnects++
	l.stats.refused[code]++
	if code == codec.NotAuthorized || code == codec.BadUserNameOrPassword || code == codec.Banned {
		l.stats.refusals.add("client refused", "remote", cn.t.RemoteAddr(), "listener", cn.hello.listener.Name, "reason", why)
	}
	if l.b.tells() {
		l.b.tell("connect refused", "remote", cn.t.RemoteAddr(), "listener", cn.hello.listener.Name, "code", code, "reason", why)
	}
	l.closeConn(cn)
}

// refuseClient turns a client away that the handshake had let in.
func (l *Loop) refuseClient(cn *Conn, h *session.Hello, code codec.ReasonCode, why string) {
	if b := session.AppendRefusal(l.scratch[:0], h, code, why); len(b) > 0 {
		l.stats.sent.Packets[codec.TypeConnack]++
		l.write(cn, b)
	}
	l.refuseConn(cn, code, why)
}

// accept gives the connection its session: a new one, or the one that its Client Identifier names [MQTT-3.1.2-4, -5, -6].
func (l *Loop) accept(cn *Conn, h *session.Hello, now Time) {
	b := l.b
	for {
		sh, hash := b.registry.shard(h.ClientID)
		sh.mu.Lock()
		old := sh.find(hash, h.ClientID)
		if b.store != nil && ((h.Expiry > 0 || old != nil && old.resumable.Load()) && b.store.Err() != nil ||
			h.Expiry > 0 && old == nil && b.store.Unavailable()) {
			sh.mu.Unlock()
			l.refuseClient(cn, h, codec.ServerUnavailable, "the store takes nothing new")
			return
		}
		if old == nil || h.CleanStart {
			if old == nil && b.short.Load() {
				sh.mu.Unlock()
				l.refuseClient(cn, h, codec.ServerBusy, "the server is short of memory")
				return
			}
			if old == nil && b.options().MaxSessions > 0 && b.sessions.Load() >= int64(b.options().MaxSessions) {
				sh.mu.Unlock()
				l.refuseClient(cn, h, codec.QuotaExceeded, "too many sessions")
				return
			}
			c := b.newClient(l, h.ClientID)
			sh.put(hash, c)
			if old == nil {
				b.sessions.Add(1)
			}
			sh.mu.Unlock()
			if old != nil {
				l.displace(old, true, cn, now)
			}
			if l.connect(cn, c, h, now) {
				return
			}
			continue // another connection with this identifier was faster, and now has to yield
		}
		sh.mu.Unlock()
		if !l.displace(old, false, cn, now) {
			l.forgetAs(h.ClientID, old) // it ended a moment ago; whoever ended it is still on the way here
			continue
		}
		if l.connect(cn, old, h, now) {
			return
		}
	}
}

func (b *Broker) newClient(l *Loop, id string) *client {
	c := &client{}
	c.s.Init(&b.options().Session, b.nextID.Add(1), id)
	c.owner.Store(int32(l.index))
	return c
}

// displace takes the connection away from a session, if it has one, with DISCONNECT 0x8E [MQTT-3.1.4-3], and ends the
// session if end says so or if it does not outlive its connection. by is for whom. It tells whether the session lives on.
func (l *Loop) displace(c *client, end bool, by *Conn, now Time) (alive bool) {
	l.join()
	defer l.part()
	out := &l.lost
	out.Reset()
	c.mu.Lock()
	if c.s.Ended() {
		c.mu.Unlock()
		return false
	}
	l.b.unpark(c)
	taken := c.conn != nil
	if cn := c.conn; cn != nil {
		l.begin(c, out)
		c.s.Disconnect(codec.SessionTakenOver, "session taken over", out)
		l.end(c, out)
		last := c.takeOut(l.b.durableUpTo.Load())
		c.conn = nil
		l.b.loops[cn.owner].box.post(item{kind: itemClose, conn: cn, last: last})
		out.Close, out.Why = false, ""
		l.begin(c, out)
		c.s.ConnectionLost(now, out)
		l.end(c, out)
		c.buffered.Store(0)
		c.starved = false
	} else { // what was due comes first, though its timer did not fire yet
		l.begin(c, out)
		c.s.Tick(now, out)
		l.end(c, out)
	}
	if end && !c.s.Ended() {
		published, m := out.HasPublish, out.Publish
		l.begin(c, out)
		c.s.End(now, out)
		l.end(c, out)
		if published { // one will at most: ConnectionLost forgets what it published
			out.HasPublish, out.Publish = true, m
		}
	}
	alive = !c.s.Ended()
	c.mu.Unlock()
	l.act(nil, c, out, now)
	if tell := l.b.options().TakenOver; taken && tell != nil {
		tell(c.s.ClientID(), by.t.RemoteAddr())
	}
	return alive
}

// closeDisplaced writes the last bytes of a connection whose session went elsewhere, if there are any, and closes it.
func (l *Loop) closeDisplaced(cn *Conn, last *bytebufferpool.ByteBuffer) {
	if !cn.closing {
		cn.closing = true
		l.stats.closed[codec.SessionTakenOver]++
		if last != nil {
			l.write(cn, last.B)
		}
		l.dropPartial(cn)
		cn.t.Close()
	}
	if last != nil {
		bytebufferpool.Put(last)
	}
	l.letGo(cn)
}

// letGo forgets the session of a connection.
func (l *Loop) letGo(cn *Conn) {
	if cn.client != nil {
		cn.client = nil
		l.stats.connected--
	}
}

// connect joins connection and session. False: the session ended or was taken by another connection in between.
func (l *Loop) connect(cn *Conn, c *client, h *session.Hello, now Time) bool {
	out := &l.out
	out.Reset()
	c.mu.Lock()
	if c.s.Ended() || c.conn != nil {
		c.mu.Unlock()
		return false
	}
	l.b.unpark(c)
	c.conn = cn
	_, c.vectors = cn.t.(VectorWriter)
	cn.client, cn.version, cn.largest = c, h.Version, h.MaxPacketSize()
	c.owner.Store(int32(l.index))
	c.buffered.Store(0)
	l.begin(c, out)
	c.s.Connect(h, now, out)
	c.resumable.Store(c.s.Resumable())
	ticket := l.record(c, out)
	if ticket == 0 {
		ticket = l.b.endsUntil()
	}
	if ticket > 0 {
		// CONNACK leaves once the session is durable, and nothing may go before it [MQTT-3.2.0-1].
		c.more().gate = ticket
		l.hold(c, ticket)
	}
	l.end(c, out)
	c.mu.Unlock()
	l.stats.accepted++
	l.stats.connected++
	l.setTimer(cn, l.connDeadline(cn, now))
	if l.b.tells() {
		l.b.tell("client connected", "client", h.ClientID, "user", h.UserName, "remote", cn.t.RemoteAddr(),
			"listener", cn.hello.listener.Name, "version", h.Version, "keep-alive", h.KeepAlive, "clean-start", h.CleanStart)
	}
	l.greeted(cn) // h is gone with it
	l.act(cn, c, out, now)
	l.slotFree(c, now)
	return true
}

// disconnect closes the connection from the server's side, with a reason.
func (l *Loop) disconnect(cn *Conn, code codec.ReasonCode, why string, now Time) {
	l.withClient(cn, now, func(s *session.Session, out *session.Output) { s.Disconnect(code, why, out) })
}

// closeClient ends the connection of a session: last bytes, close, and what follows for the session.
func (l *Loop) closeClient(cn *Conn, c *client, out *session.Output, now Time) {
	if cn.closing {
		return
	}
	cn.closing = true
	code, why, statement, graceful := out.Reason, out.Why, out.Statement, out.Graceful
	buf := l.detach(cn, c, now)
	if buf != nil {
		l.write(cn, buf.B)
		bytebufferpool.Put(buf)
	}
	l.dropPartial(cn)
	cn.t.Close()
	if !graceful {
		l.stats.closed[code]++
	}
	if l.b.tells() {
		l.b.tell("client disconnected", "client", c.s.ClientID(), "remote", cn.t.RemoteAddr(), "code", code, "reason", why, "statement", statement)
	}
}

// detach takes the connection off its session and carries out what that entails. It returns the bytes not yet written.
func (l *Loop) detach(cn *Conn, c *client, now Time) *bytebufferpool.ByteBuffer {
	l.join() // what this session gives up and others get of it
	defer l.part()
	out := &l.lost
	out.Reset()
	c.mu.Lock()
	if c.conn != cn {
		c.mu.Unlock()
		return nil
	}
	buf := c.takeOut(l.b.durableUpTo.Load())
	c.conn = nil
	c.buffered.Store(0)
	c.starved = false
	l.begin(c, out)
	c.s.ConnectionLost(now, out)
	if !out.Ended {
		l.park(c)
	}
	l.end(c, out)
	c.mu.Unlock()
	l.letGo(cn)
	l.act(nil, c, out, now)
	return buf
}

// closeConn closes a connection without a session.
func (l *Loop) closeConn(cn *Conn) {
	if cn.closing {
		return
	}
	cn.closing = true
	l.dropPartial(cn)
	cn.t.Close()
}

// Closed says that the network connection is gone. err is why, or nil.
func (l *Loop) Closed(cn *Conn, err error, now Time) {
	if cn.gone {
		return
	}
	cn.gone = true
	l.timers.remove(cn)
	l.b.connections.Add(-1)
	l.stats.closedConns++
	if cn.closing {
		return
	}
	cn.closing = true
	l.dropPartial(cn)
	if c := cn.client; c != nil {
		if buf := l.detach(cn, c, now); buf != nil {
			bytebufferpool.Put(buf)
		}
		if l.b.tells() {
			l.b.tell("connection lost", "client", c.s.ClientID(), "remote", cn.t.RemoteAddr(), "error", err)
		}
	}
}

// forget removes a session that ended. Its subscriptions are gone already.
func (l *Loop) forget(c *client) { l.forgetAs(c.s.ClientID(), c) }

func (l *Loop) forgetAs(id string, c *client) {
	if l.b.registry.remove(id, c) {
		l.b.sessions.Add(-1)
	}
}
