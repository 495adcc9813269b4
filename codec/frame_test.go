package codec

import (
	"bytes"
	"errors"
	"testing"
)

func TestNextCutsOnePacketOff(t *testing.T) {
	b := wire(t, "c0 00 30 03 0001 'a' e0 00")
	var types []PacketType
	for len(b) > 0 {
		f, need, err := Next(b, 0)
		if err != nil || f.Size == 0 || need != f.Size {
			t.Fatalf("Next(% x) = %+v, %d, %v", b, f, need, err)
		}
		if len(f.Body) != cap(f.Body) {
			t.Errorf("%v: the body's capacity reaches into the next packet", f.Type)
		}
		types = append(types, f.Type)
		b = b[f.Size:]
	}
	if len(types) != 3 || types[0] != TypePingreq || types[1] != TypePublish || types[2] != TypeDisconnect {
		t.Errorf("cut into %v", types)
	}
}

// Whatever has arrived, Next never gives a verdict that more bytes overturn.
func TestNextWaitsForEveryByte(t *testing.T) {
	for _, c := range vectors() {
		b := wire(t, c.wire)
		_, width := varint(b[1:])
		step := max(1, len(b)/512)
		for n := 0; n < len(b); n += step {
			f, need, err := Next(b[:n], uint32(len(b)))
			if err != nil || f.Size != 0 || f.Body != nil {
				t.Fatalf("%s: %d of %d bytes: %+v, %v", c.name, n, len(b), f, err)
			}
			if n > 0 && (f.Type != PacketType(b[0]>>4) || f.Flags != b[0]&15) {
				t.Errorf("%s: %d bytes: type %v, flags %x", c.name, n, f.Type, f.Flags)
			}
			if want := len(b); n > width && need != want || n <= width && need != 0 {
				t.Errorf("%s: %d bytes: need %d", c.name, n, need)
			}
		}
	}
}

func TestNextAcceptsEveryRemainingLength(t *testing.T) {
	for _, c := range []struct {
		header string
		size   int
	}{
		{"30 00", 2},
		{"30 7f", 2 + 127},
		{"30 8001", 3 + 128},
		{"30 ff7f", 3 + 16383},
		{"30 808001", 4 + 16384},
		{"30 ffff7f", 4 + 2097151},
		{"30 80808001", 5 + 2097152},
		{"30 ffffff7f", MaxPacketSize},
	} {
		header := wire(t, c.header)
		if c.size > len(header) {
			if f, need, err := Next(header, 0); f.Size != 0 || need != c.size || err != nil {
				t.Errorf("%s: size %d, need %d, %v; want need %d", c.header, f.Size, need, err, c.size)
			}
		}
		if c.size > 1<<16 {
			continue
		}
		whole := append(bytes.Clone(header), make([]byte, c.size-len(header)+3)...)
		if f, _, err := Next(whole, 0); f.Size != c.size || len(f.Body) != c.size-len(header) || err != nil {
			t.Errorf("%s: size %d, body %d, %v", c.header, f.Size, len(f.Body), err)
		}
	}
}

func TestNextRefusesFromTheHeaderAlone(t *testing.T) {
	for _, c := range []struct {
		name, in string
		limit    uint32
		want     *Error
	}{
		{"packet type 0", "00", 0, errTypeZero},
		{"packet type 0 with flags", "0f 00", 0, errTypeZero},
		{"five bytes of length", "30 ffffffff", 0, errRemainingLength},
		{"five bytes of length, whole", "30 8080808001", 0, errRemainingLength},
		{"length in two bytes instead of one", "30 8000", 0, errRemainingLength},
		{"length in four bytes instead of three", "30 ffffff00", 0, errRemainingLength},
		{"one byte above the limit", "30 09", 10, errPacketTooLarge},
		{"far above the limit", "10 ffffff7f", 1 << 20, errPacketTooLarge},
		{"above a limit below the header", "c0 00", 1, errPacketTooLarge},
	} {
		f, _, err := Next(wire(t, c.in), c.limit)
		var e *Error
		if !errors.As(err, &e) || e != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if f.Size != 0 || f.Body != nil {
			t.Errorf("%s: a frame comes with the error: %+v", c.name, f)
		}
	}
}

func TestNextLimitIsInclusive(t *testing.T) {
	b := wire(t, "30 08 0006 'sensor'")
	if f, _, err := Next(b, uint32(len(b))); f.Size != len(b) || err != nil {
		t.Errorf("a packet of exactly the limit: size %d, %v", f.Size, err)
	}
	if _, _, err := Next(b, uint32(len(b)-1)); err == nil {
		t.Error("a packet of one byte more: no error")
	}
}

func TestVarintsOfEverySize(t *testing.T) {
	for _, n := range []uint32{0, 1, 127, 128, 16383, 16384, 2097151, 2097152, maxVarint} {
		b := appendVarint(nil, n)
		if len(b) != varintSize(int(n)) {
			t.Errorf("%d: %d bytes written, %d announced", n, len(b), varintSize(int(n)))
		}
		if got, width := varint(b); got != n || width != len(b) {
			t.Errorf("%d: read back as %d from %d of %d bytes", n, got, width, len(b))
		}
		for cut := range b {
			if _, width := varint(b[:cut]); width != 0 {
				t.Errorf("%d: %d of %d bytes: width %d", n, cut, len(b), width)
			}
		}
	}
}

// A packet is moved up in the buffer when its length needs more than a byte.
func TestSealAtEveryLengthStep(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 129, 16383, 16384, 2097151, 2097152} {
		payload := bytes.Repeat([]byte{0xa5}, n)
		b, at := begin([]byte("x"), TypePublish, 0)
		b = seal(append(b, payload...), at)
		want := append(appendVarint([]byte{'x', 0x30}, uint32(n)), payload...)
		if !bytes.Equal(b, want) {
			t.Errorf("body of %d bytes: header % x, want % x", n, b[:min(8, len(b))], want[:min(8, len(want))])
		}
	}
}

func FuzzNext(f *testing.F) {
	f.Add([]byte{}, uint32(0))
	f.Add([]byte{0x30, 0x80, 0x00}, uint32(0))
	f.Add([]byte{0xc0, 0x00, 0xd0, 0x00}, uint32(2))
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}, uint32(1024))
	f.Fuzz(func(t *testing.T, b []byte, limit uint32) {
		whole, need, err := Next(b, limit)
		switch {
		case err != nil:
			if whole.Size != 0 || need != 0 {
				t.Fatalf("size %d, need %d with %v", whole.Size, need, err)
			}
		case whole.Size > 0:
			if whole.Size > len(b) || limit > 0 && whole.Size > int(limit) || need != whole.Size {
				t.Fatalf("size %d of %d bytes, limit %d, need %d", whole.Size, len(b), limit, need)
			}
			again := appendVarint([]byte{byte(whole.Type)<<4 | whole.Flags}, uint32(len(whole.Body)))
			if again = append(again, whole.Body...); !bytes.Equal(again, b[:whole.Size]) {
				t.Fatalf("% x does not come from % x", again, b[:whole.Size])
			}
		case need != 0 && need <= len(b):
			t.Fatalf("need %d of %d bytes", need, len(b))
		}
		// Fewer bytes lead to the same verdict or to none.
		for n := range min(len(b), 16) {
			part, partNeed, partErr := Next(b[:n], limit)
			if partErr != nil && partErr != err {
				t.Fatalf("%d bytes: %v, %d bytes: %v", n, partErr, len(b), err)
			}
			if partNeed != 0 && partNeed != need || part.Size != 0 && part.Size != whole.Size {
				t.Fatalf("%d bytes: size %d, need %d; %d bytes: size %d, need %d", n, part.Size, partNeed, len(b), whole.Size, need)
			}
		}
	})
}
