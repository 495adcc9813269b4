package codec

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// wire turns a readable line into bytes: hex digits, 'quoted text', and either of
// them followed by *n for n repetitions, separated by spaces.
func wire(t testing.TB, line string) []byte {
	t.Helper()
	var out []byte
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		var part []byte
		if line[0] == '\'' {
			text, rest, ok := strings.Cut(line[1:], "'")
			if !ok {
				t.Fatalf("wire: no closing quote in %q", line)
			}
			part, line = []byte(text), rest
		} else {
			end := strings.IndexAny(line, " *")
			if end < 0 {
				end = len(line)
			}
			b, err := hex.DecodeString(line[:end])
			if err != nil {
				t.Fatalf("wire: %q: %v", line[:end], err)
			}
			part, line = b, line[end:]
		}
		if strings.HasPrefix(line, "*") {
			count, rest, _ := strings.Cut(line[1:], " ")
			n, err := strconv.Atoi(count)
			if err != nil {
				t.Fatalf("wire: repetition %q: %v", count, err)
			}
			part, line = bytes.Repeat(part, n), rest
		}
		out = append(out, part...)
	}
	return out
}

// ping and typedAck give the packets without a struct of their own, and those
// that share one, the shape of all others.
type ping struct{ Type PacketType }

type typedAck struct {
	Type PacketType
	Ack
}

// packets holds one value of each packet, to be parsed into again and again.
type packets struct {
	connect     Connect
	connack     Connack
	publish     Publish
	ack         typedAck
	subscribe   Subscribe
	suback      Suback
	unsubscribe Unsubscribe
	unsuback    Unsuback
	disconnect  Disconnect
	auth        Auth
}

// parse parses f and returns a pointer to the packet. v is ignored by CONNECT.
func (p *packets) parse(v Version, f Frame) (any, error) {
	switch f.Type {
	case TypeConnect:
		return &p.connect, p.connect.Parse(f.Flags, f.Body)
	case TypeConnack:
		return &p.connack, p.connack.Parse(v, f.Flags, f.Body)
	case TypePublish:
		return &p.publish, p.publish.Parse(v, f.Flags, f.Body)
	case TypePuback, TypePubrec, TypePubrel, TypePubcomp:
		p.ack.Type = f.Type
		return &p.ack, p.ack.Parse(f.Type, v, f.Flags, f.Body)
	case TypeSubscribe:
		return &p.subscribe, p.subscribe.Parse(v, f.Flags, f.Body)
	case TypeSuback:
		return &p.suback, p.suback.Parse(v, f.Flags, f.Body)
	case TypeUnsubscribe:
		return &p.unsubscribe, p.unsubscribe.Parse(v, f.Flags, f.Body)
	case TypeUnsuback:
		return &p.unsuback, p.unsuback.Parse(v, f.Flags, f.Body)
	case TypePingreq, TypePingresp:
		return &ping{f.Type}, ParsePing(v, f.Flags, f.Body)
	case TypeDisconnect:
		return &p.disconnect, p.disconnect.Parse(v, f.Flags, f.Body)
	case TypeAuth:
		return &p.auth, p.auth.Parse(v, f.Flags, f.Body)
	}
	panic("packet type 0 got through Next")
}

// encode is the inverse of parse.
func encode(packet any, v Version) []byte {
	switch p := packet.(type) {
	case *ping:
		if p.Type == TypePingreq {
			return AppendPingreq(nil)
		}
		return AppendPingresp(nil)
	case *typedAck:
		return p.Append(nil, p.Type, v)
	case interface {
		Append([]byte, Version) []byte
	}:
		return p.Append(nil, v)
	}
	panic(fmt.Sprintf("cannot encode %T", packet))
}

// frame cuts b, which is exactly one packet.
func frame(t testing.TB, b []byte) Frame {
	t.Helper()
	f, _, err := Next(b, 0)
	if err != nil || f.Size != len(b) {
		t.Fatalf("Next(% x) = size %d, %v; want one whole packet of %d bytes", b, f.Size, err, len(b))
	}
	return f
}

// diff names the first difference between two packets of one type, or is empty.
// Fields whose name is in skip and scratch space do not count, and nil slices
// equal empty ones.
func diff(a, b any, skip ...string) string {
	return diffValue("", reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem(), skip)
}

func diffValue(path string, a, b reflect.Value, skip []string) string {
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			field := a.Type().Field(i)
			ignored := !field.IsExported() && field.Name != "set"
			for _, name := range skip {
				ignored = ignored || name == field.Name
			}
			if ignored {
				continue
			}
			if d := diffValue(path+"."+field.Name, a.Field(i), b.Field(i), skip); d != "" {
				return d
			}
		}
	case reflect.Slice:
		if a.Len() != b.Len() {
			return fmt.Sprintf("%s: %d elements %v, other %d elements %v", path, a.Len(), a, b.Len(), b)
		}
		for i := range a.Len() {
			if d := diffValue(fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i), skip); d != "" {
				return d
			}
		}
	default:
		if !a.Equal(b) {
			return fmt.Sprintf("%s: %v, other %v", path, a, b)
		}
	}
	return ""
}

// with returns properties with the given ones marked as present.
func with(p Properties, ids ...PropertyID) Properties {
	for _, id := range ids {
		p.Set(id)
	}
	return p
}

func users(pairs ...string) UserProperties {
	var u UserProperties
	for i := 0; i < len(pairs); i += 2 {
		u = AppendUserProperty(u, []byte(pairs[i]), []byte(pairs[i+1]))
	}
	return u
}

// rows reads a tab-separated table of testdata without its heading.
func rows(t *testing.T, name string) [][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var table [][]string
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		table = append(table, strings.Split(line, "\t"))
	}
	return table
}

// packetByName is the inverse of PacketType.String, with the Will Properties.
func packetByName(t *testing.T, name string) PacketType {
	t.Helper()
	if name == "Will Properties" {
		return willProperties
	}
	for i := TypeConnect; i <= TypeAuth; i++ {
		if i.String() == name {
			return i
		}
	}
	t.Fatalf("no packet is called %q", name)
	return 0
}
