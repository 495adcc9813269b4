package guard

import (
	"net/netip"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// Hooks are the questions of a Guard in the form in which the engine asks them. Safe for concurrent use.
type Hooks struct {
	Guard *Guard
	Now   func() Time // a clock that does not go back; called on event loops
}

// Accept tells an acceptor whether to go on with a connection from addr. Behind a proxy that is the address of the client, which is
// known once the proxy's header has been read.
func (h *Hooks) Accept(addr netip.Addr, listener string) bool {
	return h.Guard.Admit(addr, h.Now()) == Admitted
}

// Admit is for session.Policy.Admit.
func (h *Hooks) Admit(c *session.Credentials) codec.ReasonCode {
	return h.Guard.Connect(whoIs(c), c.Certain, h.Now()).Code()
}

// Banned tells whether the ban list keeps c out, whom nobody asks to connect: it may be connected already.
func (h *Hooks) Banned(c *session.Credentials) bool {
	who, b, now := whoIs(c), h.Guard.Bans(), h.Now()
	return b.Client(who.ClientID, who.UserName, now) != nil || who.Addr.IsValid() && b.Address(plain(who.Addr), now) != nil
}

// TakenOver is for broker.Options.TakenOver.
func (h *Hooks) TakenOver(clientID, by string) {
	h.Guard.TakenOver(clientID, addressOf(by), h.Now())
}

// Watch returns an Authenticator that asks a and tells the guard what it said.
func (h *Hooks) Watch(a session.Authenticator) session.Authenticator { return &watched{h, a} }

type watched struct {
	hooks *Hooks
	session.Authenticator
}

func (w *watched) Authenticate(c *session.Credentials, done func(session.Verdict)) {
	who := whoIs(c)
	w.Authenticator.Authenticate(c, func(v session.Verdict) {
		w.hooks.judged(who, v.Code)
		done(v)
	})
}

// WatchMethod is Watch for a method of enhanced authentication.
func (h *Hooks) WatchMethod(m session.EnhancedMethod) session.OriginMethod {
	return &watchedMethod{m, h}
}

type watchedMethod struct {
	session.EnhancedMethod
	hooks *Hooks
}

// BeginFor implements session.OriginMethod.
func (m *watchedMethod) BeginFor(c *session.Credentials) session.Exchange {
	x := &watchedExchange{hooks: m.hooks, who: whoIs(c)}
	if o, ok := m.EnhancedMethod.(session.OriginMethod); ok {
		x.Exchange = o.BeginFor(c)
	} else {
		x.Exchange = m.Begin(c.ClientID, c.UserName)
	}
	return x
}

type watchedExchange struct {
	session.Exchange
	hooks *Hooks
	who   Who
}

// Step implements session.Exchange.
func (x *watchedExchange) Step(data []byte) (reply []byte, done bool, code codec.ReasonCode) {
	if reply, done, code = x.Exchange.Step(data); done || code >= codec.UnspecifiedError {
		x.hooks.judged(x.who, code)
	}
	return reply, done, code
}

// judged tells the guard of a verdict. Who could not be judged has not failed.
func (h *Hooks) judged(who Who, code codec.ReasonCode) {
	switch {
	case code < codec.UnspecifiedError:
		h.Guard.Succeeded(who, h.Now())
	case code == codec.NotAuthorized || code == codec.BadUserNameOrPassword:
		h.Guard.Failed(who, h.Now())
	}
}

func whoIs(c *session.Credentials) Who {
	return Who{Addr: addressOf(c.Addr), ClientID: c.ClientID, UserName: c.UserName}
}

// addressOf takes the address from "ip:port"; it is not valid for anything else, such as the name of a socket.
func addressOf(s string) netip.Addr {
	a, _ := netip.ParseAddrPort(s)
	return a.Addr()
}
