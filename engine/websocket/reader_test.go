package websocket

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

// conversations are inputs and what must come of them, however they are cut.
func conversations() map[string]struct {
	in   []byte
	want collected
} {
	long := strings.Repeat("0123456789abcdef", 20)     // 320 bytes: a 16 bit length
	longer := strings.Repeat("0123456789abcdef", 5000) // 80 000 bytes: a 64 bit length
	return map[string]struct {
		in   []byte
		want collected
	}{
		"nothing":                      {nil, collected{}},
		"an empty frame":               {frames(fin|2, ""), collected{}},
		"one frame":                    {frames(fin|2, "hello"), collected{data: "hello"}},
		"several frames":               {frames(fin|2, "ab", fin|2, "c", fin|2, "", fin|2, "defgh"), collected{data: "abcdefgh"}},
		"a message in parts":           {frames(2, "ab", 0, "", 0, "cd", fin, "e", fin|2, "f"), collected{data: "abcdef"}},
		"length 125":                   {frames(fin|2, long[:125], fin|2, "x"), collected{data: long[:125] + "x"}},
		"length 126":                   {frames(fin|2, long[:126], fin|2, "x"), collected{data: long[:126] + "x"}},
		"length 320":                   {frames(fin|2, long, fin|2, "x"), collected{data: long + "x"}},
		"length 65535":                 {frames(fin|2, longer[:65535], fin|2, "x"), collected{data: longer[:65535] + "x"}},
		"length 65536":                 {frames(fin|2, longer[:65536], fin|2, "x"), collected{data: longer[:65536] + "x"}},
		"length 80000":                 {frames(fin|2, longer, fin|2, "x"), collected{data: longer + "x"}},
		"ping":                         {frames(fin|9, "are you there"), collected{out: "\x8a\x0dare you there"}},
		"ping, empty":                  {frames(fin|9, ""), collected{out: "\x8a\x00"}},
		"ping, 125 bytes":              {frames(fin|9, long[:125]), collected{out: "\x8a\x7d" + long[:125]}},
		"pings in order":               {frames(fin|9, "1", fin|9, "2"), collected{out: "\x8a\x011\x8a\x012"}},
		"ping within a message":        {frames(2, "ab", fin|9, "?", fin, "cd"), collected{data: "abcd", out: "\x8a\x01?"}},
		"pong that nobody asked for":   {frames(fin|10, "!", fin|2, "a", fin|10, ""), collected{data: "a"}},
		"close":                        {frames(fin|2, "a", fin|8, ""), collected{"a", "\x88\x00", ErrClosed}},
		"close with a code":            {frames(fin|8, closePayload(1000, "")), collected{"", "\x88\x02\x03\xe8", ErrClosed}},
		"close with a reason":          {frames(fin|8, closePayload(1001, "tab cerrado ✓")), collected{"", "\x88\x02\x03\xe9", ErrClosed}},
		"close with a code of its own": {frames(fin|8, closePayload(4999, "")), collected{"", "\x88\x02\x13\x87", ErrClosed}},
		"close within a message":       {frames(2, "a", fin|8, ""), collected{"a", "\x88\x00", ErrClosed}},
		"what follows a close":         {frames(fin|8, "", fin|2, "late", 0x7F, "junk"), collected{"", "\x88\x00", ErrClosed}},
	}
}

func TestReaderGivesTheSameForEveryCut(t *testing.T) {
	for name, c := range conversations() {
		t.Run(name, func(t *testing.T) {
			cuts := []int{1, 2, 3, 5, 7, 11, 13, 126, 4096}
			for _, size := range cuts {
				got, r := readChunks(c.in, func(rest int) int { return min(size, rest) })
				expect(t, fmt.Sprintf("%d bytes at a time", size), got, c.want)
				atRest(t, &r, c.want.err)
			}
			places := len(c.in)
			if places > 1000 {
				places = 20 // all of the header, some of the payload
			}
			for at := range places { // in two
				first := at
				got, r := readChunks(c.in, func(rest int) int {
					n := rest
					if first > 0 {
						n, first = first, 0
					}
					return n
				})
				expect(t, fmt.Sprintf("cut at %d", at), got, c.want)
				atRest(t, &r, c.want.err)
			}
		})
	}
}

func expect(t *testing.T, how string, got, want collected) {
	t.Helper()
	if got.data != want.data || got.out != want.out || !errors.Is(got.err, want.err) || (got.err == nil) != (want.err == nil) {
		t.Fatalf("%s: data %.60q, out %q, err %v; want %.60q, %q, %v", how, got.data, got.out, got.err, want.data, want.out, want.err)
	}
}

// atRest fails if a Reader that is between frames keeps anything.
func atRest(t *testing.T, r *Reader, err error) {
	t.Helper()
	want := atOpcode
	if err != nil {
		want = nowhere
	}
	if r.control != nil || r.at != want {
		t.Fatalf("reader rests at %d, with a buffer: %v", r.at, r.control != nil)
	}
}

// The examples of RFC 6455 section 5.7 that a Client may send, with "Hello" made binary.
func TestReaderReadsTheExamplesOfTheRFC(t *testing.T) {
	for _, c := range []struct{ in, data, out string }{
		{"82 85 37fa213d 7f9f4d5158", "Hello", ""},
		{"02 83 37fa213d 7f9f4d  80 82 37fa213d 5b95", "Hello", ""},
		{"89 85 37fa213d 7f9f4d5158", "", "8a05 48656c6c6f"},
		{"8a 85 37fa213d 7f9f4d5158", "", ""},
	} {
		got, _ := readWhole(wire(t, c.in))
		expect(t, c.in, got, collected{data: c.data, out: string(wire(t, c.out))})
	}
}

func TestReaderRefusesViolations(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     *Error
		at       int // the byte that breaks the rule, from 0
	}{
		{"RSV1", "c2 80", errReserved, 0},
		{"RSV2", "a2 80", errReserved, 0},
		{"RSV3", "92 80", errReserved, 0},
		{"reserved opcode 3", "83 80", errOpcode, 0},
		{"reserved opcode 7", "87 80", errOpcode, 0},
		{"reserved opcode 11", "8b 80", errOpcode, 0},
		{"reserved opcode 15", "8f 80", errOpcode, 0},
		{"text", "81 80", errText, 0},
		{"text, first part", "01 80", errText, 0},
		{"continuation of nothing", "80 80", errContinuation, 0},
		{"part of nothing", "00 80", errContinuation, 0},
		{"continuation after the end", "02 80 00000000 80 80 00000000 80 80", errContinuation, 12},
		{"message within a message", "02 80 00000000 82 80", errInterrupted, 6},
		{"text within a message", "02 80 00000000 81 80", errText, 6},
		{"no mask", "82 05 48656c6c6f", errNoMask, 1},
		{"no mask, long", "82 7e 0100", errNoMask, 1},
		{"ping without mask", "89 00", errNoMask, 1},
		{"close without mask", "88 00", errNoMask, 1},
		{"ping in parts", "09 80", errControl, 0},
		{"pong in parts", "0a 80", errControl, 0},
		{"close in parts", "08 80", errControl, 0},
		{"ping of 126 bytes", "89 fe 007e", errControl, 1},
		{"close with a 64 bit length", "88 ff", errControl, 1},
		{"16 bit length of 125", "82 fe 007d 00000000", errLength, 3},
		{"16 bit length of 0", "82 fe 0000 00000000", errLength, 3},
		{"64 bit length of 65535", "82 ff 000000000000ffff 00000000", errLength, 9},
		{"64 bit length, negative", "82 ff 8000000000000000 00000000", errLength, 9},
		{"64 bit length, all ones", "82 ff ffffffffffffffff 00000000", errLength, 9},
		{"512 MiB and a byte", "82 ff 0000000020000001 00000000", errTooBig, 9},
		{"nearly 8 EiB", "82 ff 7fffffffffffffff 00000000", errTooBig, 9},
		{"close, half a code", "88 81 00000000 03", errCloseCode, 6},
		{"close 0", "88 82 00000000 0000", errCloseCode, 7},
		{"close 999", "88 82 00000000 03e7", errCloseCode, 7},
		{"close 1004", "88 82 00000000 03ec", errCloseCode, 7},
		{"close 1005", "88 82 00000000 03ed", errCloseCode, 7},
		{"close 1006", "88 82 00000000 03ee", errCloseCode, 7},
		{"close 1015", "88 82 00000000 03f7", errCloseCode, 7},
		{"close 2999", "88 82 00000000 0bb7", errCloseCode, 7},
		{"close 5000", "88 82 00000000 1388", errCloseCode, 7},
		{"close 1000, reason not UTF-8", "88 84 00000000 03e8 c328", errCloseReason, 9},
		{"close 1000, half a character", "88 83 00000000 03e8 e2", errCloseReason, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := append(frames(fin|2, "before"), wire(t, c.in)...)
			want := collected{"before", string(AppendClose(nil, c.want.Code, c.want.Message)), c.want}
			got, r := readWhole(in)
			expect(t, "whole", got, want)
			atRest(t, &r, c.want)

			broken := len(in) - len(wire(t, c.in)) + c.at
			got, _ = readChunks(in[:broken], func(int) int { return 1 })
			expect(t, "before the byte that breaks the rule", got, collected{data: "before"})
			got, _ = readChunks(in[:broken+1], func(int) int { return 1 })
			expect(t, "with the byte that breaks the rule", got, want)
		})
	}
}

func TestReaderTakesTheLargestFrame(t *testing.T) {
	got, r := readWhole(wire(t, "82 ff 0000000020000000 00000000 41"))
	expect(t, "512 MiB", got, collected{data: "A"})
	if r.left != frameBytesMax-1 {
		t.Fatalf("%d bytes left", r.left)
	}
}

func TestReaderStaysClosed(t *testing.T) {
	for name, in := range map[string][]byte{"closed": frames(fin|8, ""), "refused": frames(fin|1, "text")} {
		_, r := readWhole(in)
		data, out, err := r.Read(frames(fin|2, "more", fin|9, "?"), nil)
		if len(data) > 0 || len(out) > 0 || err != ErrClosed {
			t.Errorf("%s: then %q, %q, %v", name, data, out, err)
		}
		if _, _, err = r.Read(nil, nil); err != ErrClosed {
			t.Errorf("%s: then %v for nothing", name, err)
		}
	}
}

func TestReaderMovesDataTogetherInPlace(t *testing.T) {
	in := frames(fin|2, "ab", fin|9, "?", fin|2, "cd")
	var r Reader
	data, out, err := r.Read(in, []byte("pending "))
	if err != nil || string(data) != "abcd" || string(out) != "pending \x8a\x01?" {
		t.Fatalf("%q, %q, %v", data, out, err)
	}
	if &data[0] != &in[6] {
		t.Error("the data is not where the first payload lies")
	}
	if cap(data) != len(data) {
		t.Error("appending to the data would overwrite the chunk")
	}
}

func TestReaderIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Reader{}); n > 24 {
		t.Errorf("%d bytes", n)
	}
}

func TestReaderDoesNotAllocate(t *testing.T) {
	in := frames(fin|2, strings.Repeat("x", 300), 2, "ab", fin|9, "ping", fin, "cd", fin|10, "")
	chunk, out := make([]byte, len(in)), make([]byte, 0, 256)
	var r Reader
	for _, at := range []int{0, 1, 5, 100, len(in) - 30} { // none of them within the payload of a control frame
		n := testing.AllocsPerRun(100, func() {
			copy(chunk, in)
			for _, part := range [][]byte{chunk[:at], chunk[at:]} {
				if _, _, err := r.Read(part, out); err != nil {
					t.Fatal(err)
				}
			}
		})
		if n != 0 {
			t.Errorf("cut at %d: %v allocations", at, n)
		}
	}
}

func TestRefusingDoesNotAllocate(t *testing.T) {
	in, chunk, out := frames(fin|1, "text"), make([]byte, 10), make([]byte, 0, 256)
	n := testing.AllocsPerRun(100, func() {
		var r Reader
		copy(chunk, in)
		if _, _, err := r.Read(chunk, out); err != errText {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
