package engine

import (
	"testing"
)

func TestEcho(t *testing.T) {
	s := serve(t, Options{Loops: 2})
	nc := dial(t, s.Addrs()[0])
	exchange(t, nc, "hello")
}
