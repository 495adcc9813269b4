package engine

import (
	"io"
	"testing"
)

// BenchmarkTurn is one small message there and back at a time, the case in which
// peeking saves most: the turn runs inside the callback (peek) or as a task in the
// next iteration (task). The client's part is in the figures.
func BenchmarkTurn(b *testing.B) {
	for _, mode := range []string{"peek", "task"} {
		b.Run(mode, func(b *testing.B) {
			s := serve(b, Options{Loops: 1})
			nc := dial(b, s.Addrs()[0])
			if mode == "task" {
				done := make(chan struct{})
				s.cores[0].post(func(*echoCore) {
					s.loops[0].events.(*gnetLoop).peeker = nil
					close(done)
				})
				<-done
			}
			buf := make([]byte, 64)
			exchange(b, nc, string(buf))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := nc.Write(buf); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(nc, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWake is a wake-up from another goroutine and the turn that follows.
func BenchmarkWake(b *testing.B) {
	s := serve(b, Options{Loops: 1})
	done := make(chan struct{})
	post := func(*echoCore) { done <- struct{}{} }
	b.ReportAllocs()
	for b.Loop() {
		s.cores[0].post(post)
		<-done
	}
}

// BenchmarkConnect is a connection that comes, is served once and goes.
func BenchmarkConnect(b *testing.B) {
	s := serve(b, Options{Loops: 1})
	b.ReportAllocs()
	for b.Loop() {
		nc := dial(b, s.Addrs()[0])
		exchange(b, nc, "x")
		_ = nc.Close()
	}
}
