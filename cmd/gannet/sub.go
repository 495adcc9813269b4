package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gannetmq/gannet/cmd/gannet/internal/client"
	"github.com/gannetmq/gannet/codec"
)

// sub is the subcommand `gannet sub`.
func (p *process) sub(ctx context.Context, args []string) int {
	f, err := parseClientFlags(commandSub, args)
	if err != nil {
		return p.clientUsage(commandSub, f, err)
	}
	out := &printer{out: p.stdout}
	s := &subscriber{
		flags: f, out: out, errors: p.errorsOf(f), session: new(client.Session),
		finished: make(chan struct{}), delay: reconnectDelay,
	}
	return s.run(ctx)
}

// subscriber is one run of `gannet sub`, over all its connections.
type subscriber struct {
	flags   *clientFlags
	out     *printer
	errors  io.Writer
	session *client.Session
	delay   func(attempt int) time.Duration // before reconnecting; attempts count from 1

	// The rest belongs to the reading goroutine of the connection at hand.
	printed  int
	over     bool          // enough was printed
	finished chan struct{} // closed when over becomes true
}

// reconnectDelay doubles from one second to half a minute.
func reconnectDelay(attempt int) time.Duration {
	return min(time.Second<<min(attempt-1, 10), 30*time.Second)
}

// errTimeout ends a run whose -W has run out.
var errTimeout = errors.New("timed out")

// run connects, and connects again when an established connection is lost, until
// there is a reason to stop.
func (s *subscriber) run(ctx context.Context) int {
	if s.flags.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.flags.timeout, errTimeout)
		defer cancel()
	}
	options := s.flags.options(newClientID())
	options.Session = s.session
	options.Trace = s.flags.trace(s.out, options.ClientID)
	options.OnMessage = s.message
	if err := s.flags.setTransport(&options, s.errors); err != nil {
		fmt.Fprintf(s.errors, "Error: %s.\n", capital(err.Error()))
		return statusFailure
	}

	established := false
	for attempt := 1; ; attempt++ {
		c, err := client.Dial(ctx, options)
		switch {
		case err == nil:
			attempt, established = 1, true
			if status, stop := s.serve(ctx, c); stop {
				return status
			}
		case ctx.Err() != nil:
			return s.interrupted(ctx)
		case !established || isRefused(err):
			return explainDial(s.errors, err)
		}
		timer := time.NewTimer(s.delay(attempt))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return s.interrupted(ctx)
		}
	}
}

func isRefused(err error) bool {
	_, ok := errors.AsType[*client.RefusedError](err)
	return ok
}

// interrupted is the exit status after a signal, or after -W has run out.
func (s *subscriber) interrupted(ctx context.Context) int {
	if context.Cause(ctx) == errTimeout {
		fmt.Fprintln(s.errors, "Timed out")
		return statusTimeout
	}
	return statusSuccess
}

// serve subscribes on one connection and follows it to its end. stop is false
// when it was lost in a way that another connection may mend.
func (s *subscriber) serve(ctx context.Context, c *client.Client) (status int, stop bool) {
	status, err := s.subscribe(ctx, c)
	switch {
	case err != nil && ctx.Err() == nil:
		return s.lost(c)
	case err == nil && status == statusSuccess && !s.flags.exitSubscribed:
		select {
		case <-s.finished:
		case <-ctx.Done():
		case <-c.Done():
			return s.lost(c)
		}
	}
	farewell, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_ = c.DisconnectWith(farewell, codec.Disconnect{Properties: s.flags.properties.disconnect})
	if ctx.Err() != nil {
		status = s.interrupted(ctx)
	}
	if err := s.out.failure(); err != nil {
		fmt.Fprintf(s.errors, "Error: %v\n", err)
		status = statusFailure
	}
	return status, true
}

// lost judges the end of a connection that nobody here wanted. A server that
// says it will not have us is not asked again.
func (s *subscriber) lost(c *client.Client) (status int, stop bool) {
	c.Close()
	select {
	case <-s.finished: // the last message came before the connection went
		return statusSuccess, true
	default:
	}
	ended, ok := errors.AsType[*client.DisconnectedError](c.Err())
	if !ok {
		return 0, false
	}
	switch ended.Reason {
	case codec.ServerShuttingDown, codec.ServerBusy, codec.KeepAliveTimeout, codec.UnspecifiedError, codec.MaximumConnectTime,
		codec.NormalDisconnection, codec.ConnectionRateExceeded, codec.MessageRateTooHigh, codec.QuotaExceeded:
		return 0, false
	}
	fmt.Fprintf(s.errors, "Error: %v.\n", ended)
	return int(ended.Reason), true
}

// subscribe sends SUBSCRIBE and UNSUBSCRIBE. The status is the server's reason
// when it denies every Topic Filter.
func (s *subscriber) subscribe(ctx context.Context, c *client.Client) (status int, err error) {
	f := s.flags
	if len(f.topics) > 0 {
		reasons, err := c.SubscribeWith(ctx, f.properties.subscribe, s.subscriptions()...)
		if err != nil {
			return 0, err
		}
		if status = denied(reasons); status != statusSuccess {
			fmt.Fprintln(s.errors, "All subscription requests were denied.")
			return status, nil
		}
	}
	if len(f.unsubscribe) > 0 {
		_, err = c.UnsubscribeWith(ctx, f.properties.unsubscribe, f.unsubscribe...)
	}
	return statusSuccess, err
}

func (s *subscriber) subscriptions() []client.Subscription {
	f := s.flags
	var out []client.Subscription
	for _, topic := range f.topics {
		subscription := client.Subscription{Filter: topic, QoS: f.qos}
		if f.version == codec.V5 {
			subscription.RetainAsPublished = f.retainAsPublished
			if f.noRetained {
				subscription.RetainHandling = 2 // send none
			}
		}
		out = append(out, subscription)
	}
	return out
}

// denied is the first Reason Code when all of them refuse, else success.
func denied(reasons []codec.ReasonCode) int {
	for _, r := range reasons {
		if r < codec.UnspecifiedError {
			return statusSuccess
		}
	}
	if len(reasons) == 0 {
		return statusSuccess
	}
	return int(reasons[0])
}

// message handles one application message on the client's reading goroutine.
func (s *subscriber) message(c *client.Client, m client.Message) {
	f := s.flags
	if s.over {
		return
	}
	if f.retainedOnly && !m.Retain {
		s.finish()
		return
	}
	if f.noRetained && m.Retain {
		return
	}
	for _, filter := range f.without {
		if topicMatches(filter, m.Topic) {
			return
		}
	}
	if f.removeRetained && m.Retain {
		// QoS 0 waits for nothing the server has to answer. A failure shows as the end of the connection.
		_, _ = c.Send(context.Background(), client.Message{Topic: m.Topic, Retain: true})
	}
	s.print(&m)
	s.printed++
	if s.printed == f.count || s.out.failure() != nil {
		s.finish()
	}
}

func (s *subscriber) finish() {
	s.over = true
	close(s.finished)
}

func (s *subscriber) print(m *client.Message) {
	f := s.flags
	var b []byte
	switch {
	case f.format != "":
		var err error
		if b, err = appendFormat(nil, f.format, m, time.Now()); err != nil {
			fmt.Fprintf(s.errors, "Error: %v.\n", err)
		}
	case f.verbose && len(m.Payload) == 0:
		b = append(append(b, m.Topic...), " (null)"...)
	case f.verbose:
		b = append(append(append(b, m.Topic...), ' '), m.Payload...)
	case len(m.Payload) == 0:
		return // as mosquitto_sub: an empty message shows with -v or -F only
	default:
		b = append(b, m.Payload...)
	}
	if !f.noNewline {
		b = append(b, '\n')
	}
	_, _ = s.out.Write(b)
}
