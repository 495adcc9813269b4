package websocket

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkReader reads chunks of 4 KiB, or one frame if that is more, filled with frames of one size. Each is copied first,
// because unmasking spoils it: the copy is part of what is measured.
func BenchmarkReader(b *testing.B) {
	for _, size := range []int{4, 100, 1000, 16 << 10} {
		b.Run(fmt.Sprintf("frames of %d", size), func(b *testing.B) {
			var in []byte
			for n := 0; n == 0 || len(in)+size < 4096; n++ {
				in = appendFrame(in, fin|2, strings.Repeat("x", size))
			}
			chunk := make([]byte, len(in))
			var r Reader
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				copy(chunk, in)
				if _, _, err := r.Read(chunk, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
