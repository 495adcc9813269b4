package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// probeAgain is how soon a connection is tried again that was refused.
const probeAgain = time.Millisecond

// answered returns when the broker has answered CONNECT, which is tried until it
// does: a listener alone says little about a broker that may still be loading.
func (s *storeRun) answered(ctx context.Context, id string, durable bool) (present bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	again := time.NewTicker(probeAgain)
	defer again.Stop()
	for {
		if present, err = probe(ctx, s.process.addr.String(), id, durable); err == nil {
			return present, nil
		}
		select {
		case <-s.process.exited:
			return false, s.process.died()
		case <-ctx.Done():
			return false, fmt.Errorf("no CONNACK within %v: %w", storePatience, err)
		case <-again.C:
		}
	}
}

// probe connects once, durable or not, and leaves when it has been answered.
func probe(ctx context.Context, addr, id string, durable bool) (present bool, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return false, err
		}
	}
	p := codec.Connect{Version: codec.V311, ClientID: []byte(id), CleanStart: !durable}
	if _, err := conn.Write(p.Append(nil, codec.V311)); err != nil {
		return false, err
	}
	var answer [4]byte // CONNACK of 3.1.1 is as long as that
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return false, err
	}
	present, err = readConnack(answer[:])
	if err != nil {
		return false, err
	}
	var bye codec.Disconnect
	_, err = conn.Write(bye.Append(nil, codec.V311))
	return present, err
}

func readConnack(answer []byte) (present bool, err error) {
	f, _, err := codec.Next(answer, 0)
	if err != nil {
		return false, err
	}
	if f.Type != codec.TypeConnack {
		return false, fmt.Errorf("%s instead of CONNACK", f.Type)
	}
	var c codec.Connack
	if err := c.Parse(codec.V311, f.Flags, f.Body); err != nil {
		return false, err
	}
	if c.Return != codec.Accepted {
		return false, fmt.Errorf("connection refused: %s", c.Return)
	}
	return c.SessionPresent, nil
}
