package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gannetmq/gannet/cmd/gannet/internal/client"
	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/certs/certtest"
	"github.com/gannetmq/gannet/engine/proxy"
	"github.com/gannetmq/gannet/engine/session"
)

// TestEverythingAtOnce has clients come and go by every transport, while all that decides about them is replaced again and again. Those
// who are entitled throughout must not notice; the others may be refused or thrown out, and what is wrong is for the race detector.
func TestEverythingAtOnce(t *testing.T) {
	const rounds = 15
	ca := certtest.NewCA(t, "ca")
	device := ca.Client(t, "device")
	tlsFlags := "certfile=DIR/server.crt&keyfile=DIR/server.key&cafile=DIR/ca.crt"
	always := []string{
		"--listen=mqtts://127.0.0.1:0?require-certificate=optional&" + tlsFlags, "--listen=ws://127.0.0.1:0?websockets-path=/mqtt",
		"--listen=mqtt://127.0.0.1:0?proxy-protocol=required&proxy-trusted=127.0.0.0/8", "--listen=wss://127.0.0.1:0?" + tlsFlags,
		"--password-file=DIR/users", "--ban-file=DIR/bans",
	}
	settings := [][]string{
		append([]string{"--acl-file=DIR/acl"}, always...),
		append([]string{"--flap-connects=100000", "--listen=unix://DIR/s"}, always...),
		append([]string{"--jwt-secret-file=DIR/secret", "--max-queued-messages=99"}, always...),
	}
	var files [2][3]string // users, bans, rules
	p := occupy(t, func(p *premises) {
		ca.Files(t, p.dir, "ca")
		ca.Server(t, []string{"localhost"}).Files(t, p.dir, "server")
		p.users("stay", "witness", "one")
		p.users("go", "guest", "two")
		stay, gone := read(t, p.path("stay")), read(t, p.path("go"))
		files = [2][3]string{
			{stay + gone, "user mallory\n", "pattern readwrite #\n"},
			{stay, "client-id guest-0\n", "pattern readwrite all/#\npattern read $SYS/#\n"},
		}
		p.write("users", files[0][0])
		p.write("bans", files[0][1])
		p.write("acl", files[0][2])
		p.write("secret", secretOfTokens)
	}, settings[0]...)
	secure := overTLS(ca, device)
	web := func(tls bool) func(context.Context, string) (net.Conn, error) {
		return func(ctx context.Context, address string) (net.Conn, error) {
			dial := secure
			if !tls {
				dial = func(ctx context.Context, address string) (net.Conn, error) {
					return (&net.Dialer{}).DialContext(ctx, "tcp", address)
				}
			}
			nc, err := dial(ctx, address)
			if err != nil {
				return nil, err
			}
			return client.WebSocket(ctx, nc, address, "/mqtt", codec.V5)
		}
	}
	behindProxy := func(ctx context.Context, address string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			_, err = nc.Write(proxy.AppendV2(nil, &proxy.Header{Kind: proxy.TCP, Source: netip.MustParseAddrPort("192.0.2.7:1"), Destination: netip.MustParseAddrPort("192.0.2.1:2")}, true))
		}
		return nc, err
	}
	transports := []func(context.Context, string) (net.Conn, error){secure, web(false), behindProxy, web(true)}
	addresses := make([]string, len(transports))
	for i := range addresses {
		addresses[i] = p.address(i)
	}

	var witnesses []*client.Client
	for i, dial := range transports {
		o := as("witness", "one")
		o.ClientID, o.Dialer, o.MessageBuffer = fmt.Sprint("witness-", i), dial, 1<<16
		w := p.in(i, o)
		if _, err := w.Subscribe(inTime(t), client.Subscription{Filter: "all/#", QoS: codec.QoS1}); err != nil {
			t.Fatal(err)
		}
		witnesses = append(witnesses, w)
	}
	var guests, others sync.WaitGroup
	var ended atomic.Bool
	var let atomic.Int32 // guests who came in
	ctx := inTime(t)
	for i, dial := range transports {
		guests.Go(func() {
			for n := range rounds {
				o := as("guest", "two")
				o.Version, o.Address, o.Dialer, o.MessageBuffer = codec.V5, addresses[i], dial, 1<<16
				if o.ClientID = fmt.Sprint("guest-", (i+n)%3); n%4 == 3 {
					o.UserName = "mallory"
				}
				c, err := client.Dial(ctx, o)
				if err != nil {
					continue // banned, or nobody's name at the moment
				}
				let.Add(1)
				_, _ = c.Subscribe(ctx, client.Subscription{Filter: "all/#", QoS: codec.QoS1}, client.Subscription{Filter: "$share/g/all/#"})
				for range 3 {
					_, _ = c.Publish(ctx, client.Message{Topic: "all/x", Payload: []byte("y"), QoS: codec.QoS1})
				}
				c.Close()
			}
		})
	}
	others.Go(func() {
		for !ended.Load() {
			p.server.Broker().Publish(&session.Message{Topic: []byte("all/own"), Payload: []byte("z")})
			_, _ = p.server.Broker().Counters(ctx)
			p.server.ListenerStats()
		}
	})
	reloads := 0
	others.Go(func() {
		for let.Load() == 0 && !ended.Load() { // how it is now lets guests in, and later a ban may outlast all their tries
			runtime.Gosched()
		}
		for n := 1; !ended.Load() || n < 4; n++ {
			for i, name := range []string{"users", "bans", "acl"} {
				p.write(name, files[n/(i+1)%2][i])
			}
			if n%3 == 0 {
				ca.Server(t, []string{"localhost"}).Files(t, p.dir, "server")
			}
			p.mustReload(settings[n%len(settings)]...)
			reloads = n
		}
	})
	guests.Wait()
	ended.Store(true)
	others.Wait()

	for i, w := range witnesses {
		if code := p.publish(w, "all/last"); code != codec.Success {
			t.Errorf("witness %d publishes with %v", i, code)
		}
	}
	for i, w := range witnesses {
		for last := 0; last < len(witnesses); {
			select {
			case m := <-w.Messages():
				if m.Topic == "all/last" {
					last++
				}
			case <-w.Done():
				t.Fatalf("witness %d: %v", i, w.Err())
			case <-ctx.Done():
				t.Fatalf("witness %d hears nothing any more", i)
			}
		}
	}
	if let.Load() == 0 || !strings.Contains(p.log.String(), "clients held against the rules") {
		t.Error("nothing happened")
	}
	t.Logf("%d guests were let in during %d reloads", let.Load(), reloads)
}
