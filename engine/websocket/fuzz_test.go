package websocket

import (
	"bytes"
	"encoding/binary"
	"testing"
	"unicode/utf8"
)

// model reads all of b at once, the slow and obvious way.
func model(b []byte) (c collected) {
	refuse := func(err *Error) collected {
		c.out += string(AppendClose(nil, err.Code, err.Message))
		c.err = err
		return c
	}
	for inMessage := false; len(b) > 0; {
		isFin, opcode := b[0]&0x80 != 0, b[0]&0x0F
		isControl := opcode == 8 || opcode == 9 || opcode == 10
		switch {
		case b[0]&0x70 != 0:
			return refuse(errReserved)
		case opcode == 1:
			return refuse(errText)
		case opcode > 2 && !isControl:
			return refuse(errOpcode)
		case isControl && !isFin:
			return refuse(errControl)
		case opcode == 0 && !inMessage:
			return refuse(errContinuation)
		case opcode == 2 && inMessage:
			return refuse(errInterrupted)
		case !isControl:
			inMessage = !isFin
		}
		if len(b) < 2 {
			return c
		}
		if b[1] < 128 {
			return refuse(errNoMask)
		}
		n, b2 := uint64(b[1]-128), b[2:]
		if isControl && n > 125 {
			return refuse(errControl)
		}
		size := map[uint64]int{126: 2, 127: 8}[n]
		if len(b2) < size {
			return c
		}
		if size > 0 {
			least := n
			n = 0
			for _, x := range b2[:size] {
				n = n*256 + uint64(x)
			}
			if least == 127 {
				least = 65536
			}
			if n < least || n >= 1<<63 {
				return refuse(errLength)
			}
		}
		if n > 512*1024*1024 {
			return refuse(errTooBig)
		}
		b = b2[size:]
		if len(b) < 4 {
			return c
		}
		mask, rest := b[:4], b[4:]
		payload := []byte{}
		for i := 0; i < len(rest) && uint64(i) < n; i++ {
			payload = append(payload, rest[i]^mask[i%4])
		}
		b = rest[len(payload):]
		whole := uint64(len(payload)) == n
		switch {
		case !isControl:
			c.data += string(payload)
		case !whole:
		case opcode == 9:
			c.out += "\x8a" + string(rune(n)) + string(payload)
		case opcode == 8 && n == 0:
			c.out, c.err = c.out+"\x88\x00", ErrClosed
			return c
		case opcode == 8:
			if n == 1 || !CloseCode(binary.BigEndian.Uint16(payload)).mayTravel() {
				return refuse(errCloseCode)
			}
			if !utf8.Valid(payload[2:]) {
				return refuse(errCloseReason)
			}
			c.out, c.err = c.out+"\x88\x02"+string(payload[:2]), ErrClosed
			return c
		}
		if !whole {
			return c
		}
	}
	return c
}

// FuzzReader cuts an input into chunks of any sizes: what comes of it is what the model makes of the whole.
func FuzzReader(f *testing.F) {
	for _, c := range conversations() {
		if len(c.in) < 1000 {
			f.Add(c.in, []byte{3, 1, 200})
		}
	}
	f.Add(wire(f, "82ff0000000020000001 00000000"), []byte{1})
	f.Add(wire(f, "89fe007e"), []byte{})
	f.Fuzz(func(t *testing.T, in, sizes []byte) {
		before := bytes.Clone(in)
		want := model(in)
		i := 0
		got, _ := readChunks(in, func(rest int) int {
			if len(sizes) == 0 {
				return rest
			}
			i++
			return min(rest, 1+int(sizes[i%len(sizes)]))
		})
		expect(t, "chunks", got, want)
		if !bytes.Equal(in, before) {
			t.Fatal("the input of readChunks was changed")
		}
	})
}
