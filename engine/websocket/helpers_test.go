package websocket

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

// wire reads bytes in hexadecimal, with blanks anywhere.
func wire(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const fin = bitFin

var someMask = [4]byte{0x1b, 0xa5, 0x00, 0xff}

// appendFrame appends a frame as a Client sends it, with the shortest length, whatever first says.
func appendFrame(dst []byte, first byte, payload string) []byte {
	header := AppendHeader(nil, 0, len(payload))
	header[0] = first
	header[1] |= bitMask
	dst = append(append(dst, header...), someMask[:]...)
	for i := range len(payload) {
		dst = append(dst, payload[i]^someMask[i%4])
	}
	return dst
}

// frames joins frames given as pairs of a first byte and a payload.
func frames(pairs ...any) (b []byte) {
	for i := 0; i < len(pairs); i += 2 {
		b = appendFrame(b, byte(pairs[i].(int)), pairs[i+1].(string))
	}
	return b
}

func closePayload(code CloseCode, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

// collected is what a Reader made of an input.
type collected struct {
	data, out string
	err       error
}

// readChunks feeds b to a new Reader in chunks whose sizes next tells, each in a buffer of its own that is overwritten afterwards.
func readChunks(b []byte, next func(rest int) int) (c collected, r Reader) {
	var all, out []byte
	for len(b) > 0 && c.err == nil {
		n := next(len(b))
		chunk := bytes.Clone(b[:n])
		b = b[n:]
		var data []byte
		data, out, c.err = r.Read(chunk, out)
		all = append(all, data...)
		for i := range chunk {
			chunk[i] = 0xEE
		}
	}
	c.data, c.out = string(all), string(out)
	return c, r
}

func readWhole(b []byte) (collected, Reader) {
	return readChunks(b, func(rest int) int { return rest })
}
