package auth

import (
	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// Opinion is what one Judge has to say.
type Opinion uint8

const (
	NoOpinion Opinion = iota // it does not know this client: the next is asked
	Allow
	Deny
)

// Answer is the opinion of one Judge, and with Allow or Deny the Verdict that follows from it. The Code of a Deny that names none is
// Not authorized. With NoOpinion the Code, if there is one, is why the Judge could not find out: what the client is told if nobody else
// has an opinion. It may be right: it has not failed to log in.
type Answer struct {
	Opinion Opinion
	Verdict session.Verdict
}

// Judge is one way to find out who a client is: a password file, tokens, a service. Safe for concurrent use.
type Judge interface {
	// Judge calls done exactly once: before it returns, or later on any goroutine. It is called on an event loop, or on a goroutine
	// of the Judge before it, and must not block. It may keep c, and must not change it.
	Judge(c *session.Credentials, done func(Answer))
}

// Chain asks its judges in order; the first that has an opinion decides. A client of whom none has one is refused.
type Chain []Judge

// Authenticate implements session.Authenticator.
func (ch Chain) Authenticate(c *session.Credentials, done func(session.Verdict)) {
	ch.ask(c, codec.NotAuthorized, done)
}

// ask is Authenticate, with what to say when nobody has an opinion.
func (ch Chain) ask(c *session.Credentials, otherwise codec.ReasonCode, done func(session.Verdict)) {
	if len(ch) == 0 {
		done(session.Verdict{Code: otherwise})
		return
	}
	ch[0].Judge(c, func(a Answer) {
		switch a.Opinion {
		case Allow:
			a.Verdict.Code = codec.Success
			done(a.Verdict)
		case Deny:
			if a.Verdict.Code < codec.UnspecifiedError {
				a.Verdict.Code = codec.NotAuthorized
			}
			done(a.Verdict)
		default:
			if a.Verdict.Code >= codec.UnspecifiedError {
				otherwise = a.Verdict.Code
			}
			ch[1:].ask(c, otherwise, done)
		}
	})
}
