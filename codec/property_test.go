package codec

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"
)

func TestPropertyTablesAgreeWithTheSpecificationTable(t *testing.T) {
	kindNames := map[string]kind{
		"Byte":                  kindByte,
		"Two Byte Integer":      kindUint16,
		"Four Byte Integer":     kindUint32,
		"Variable Byte Integer": kindVarint,
		"UTF-8 Encoded String":  kindString,
		"Binary Data":           kindBinary,
		"UTF-8 String Pair":     kindPair,
	}
	var allowedWant [16]uint64
	defined := map[PropertyID]bool{}
	for _, row := range rows(t, "properties.tsv") {
		n, err := strconv.ParseUint(row[0], 0, 8)
		if err != nil {
			t.Fatal(err)
		}
		id := PropertyID(n)
		defined[id] = true
		if kinds[id] != kindNames[row[2]] {
			t.Errorf("%s is read as kind %d, want %s", row[1], kinds[id], row[2])
		}
		for _, name := range strings.Split(row[3], ", ") {
			packet := packetByName(t, name)
			allowedWant[packet] |= 1 << id
			repeats := row[4] == "yes" || row[4] == name+"-only"
			if id.mayRepeat(packet) != repeats {
				t.Errorf("%s may repeat in %s: %v, want %v", row[1], name, !repeats, repeats)
			}
		}
		name := strings.ToLower(row[1])
		for _, table := range []*[propertyEnd]Error{&duplicated, &misplaced} {
			if m := table[id].Message; id != PropUserProperty && !strings.HasPrefix(m, name+": ") {
				t.Errorf("an error of %s says %q", row[1], m)
			}
		}
		if m := notBoolean[id].Message; kinds[id] == kindByte && !strings.HasPrefix(m, name+": ") {
			t.Errorf("an error of %s says %q", row[1], m)
		}
	}
	for id := range propertyEnd {
		if id.known() != defined[id] {
			t.Errorf("property %#x known: %v", byte(id), id.known())
		}
	}
	for packet, want := range allowedWant {
		if allowed[packet] != want {
			t.Errorf("%v allows %#x, want %#x", PacketType(packet), allowed[packet], want)
		}
	}
}

// sample encodes one property with a value that is valid everywhere.
func sample(id PropertyID) []byte {
	value := map[kind][]byte{
		kindByte:   {1},
		kindUint16: {0, 1},
		kindUint32: {0, 0, 0, 1},
		kindVarint: {1},
		kindString: {0, 1, 'x'},
		kindBinary: {0, 1, 0xff},
		kindPair:   {0, 1, 'k', 0, 1, 'v'},
	}[kinds[id]]
	return append([]byte{byte(id)}, value...)
}

// block puts a Property Length before encoded properties.
func block(properties ...[]byte) []byte {
	all := bytes.Join(properties, nil)
	return append(appendVarint(nil, uint32(len(all))), all...)
}

// Every identifier in every packet, once and twice, known or not.
func TestEveryPropertyInEveryPacket(t *testing.T) {
	for packet := range PacketType(16) {
		for n := range 256 {
			id := PropertyID(n)
			parse := func(b []byte) (*Properties, *Error) {
				var p Properties
				r := reader{rest: b, t: packet, v: V5}
				p.parse(&r, packet, nil)
				return &p, r.err
			}
			if !id.known() {
				if _, err := parse(block([]byte{byte(id), 1})); err != errUnknownProperty {
					t.Errorf("%v: unknown property %#x: %v", packet, n, err)
				}
				continue
			}
			// Authentication Data is nothing without its method.
			extra := []byte(nil)
			if id == PropAuthenticationData {
				extra = sample(PropAuthenticationMethod)
			}
			p, err := parse(block(sample(id), extra))
			if allowed[packet]>>id&1 == 0 {
				if err != &misplaced[id] {
					t.Errorf("%v: property %#x: %v, want it refused as misplaced", packet, n, err)
				}
				continue
			}
			if err != nil || !p.Has(id) {
				t.Errorf("%v: property %#x: %v, present %v", packet, n, err, p.Has(id))
			}
			if extra == nil {
				if got := p.append(nil, packet); !bytes.Equal(got, block(sample(id))) {
					t.Errorf("%v: property %#x is appended as % x", packet, n, got)
				}
			}
			_, err = parse(block(sample(id), sample(id), extra))
			if id.mayRepeat(packet) && err != nil {
				t.Errorf("%v: property %#x twice: %v", packet, n, err)
			} else if !id.mayRepeat(packet) && err != &duplicated[id] {
				t.Errorf("%v: property %#x twice: %v, want it refused", packet, n, err)
			}
		}
	}
}

func TestPropertyBlocksCutAnywhereAreRefused(t *testing.T) {
	for id := range propertyEnd {
		if !id.known() {
			continue
		}
		for packet := range PacketType(16) {
			if allowed[packet]>>id&1 == 0 {
				continue
			}
			whole := sample(id)
			for n := 1; n < len(whole); n++ {
				var p Properties
				r := reader{rest: block(whole[:n]), t: packet, v: V5}
				if p.parse(&r, packet, nil); r.err != &truncated[packet] {
					t.Errorf("%v: property %#x cut to % x: %v", packet, byte(id), whole[:n], r.err)
				}
			}
		}
	}
}

func TestResetForgetsValuesAndKeepsCapacity(t *testing.T) {
	p := with(Properties{TopicAlias: 7, ContentType: []byte("x"), SubscriptionIdentifiers: make([]uint32, 1, 8)},
		PropTopicAlias, PropContentType, PropSubscriptionIdentifier)
	p.Reset()
	if !p.Empty() || p.Has(PropTopicAlias) || p.TopicAlias != 0 || p.ContentType != nil || len(p.SubscriptionIdentifiers) != 0 {
		t.Errorf("after Reset: %+v", p)
	}
	if cap(p.SubscriptionIdentifiers) != 8 {
		t.Errorf("capacity of subscription identifiers is %d, want it kept", cap(p.SubscriptionIdentifiers))
	}
}

// One packet with very many elements must not pin its memory forever.
func TestOneOddPacketDoesNotPinMemory(t *testing.T) {
	var p packets
	many := bytes.Repeat(wire(t, "0001 'a' 00"), filtersMax*2)
	if err := p.subscribe.Parse(V311, pubrelFlags, append([]byte{0, 1}, many...)); err != nil {
		t.Fatal(err)
	}
	ids := bytes.Repeat([]byte{byte(PropSubscriptionIdentifier), 1}, scratchMax)
	if err := p.publish.Parse(V5, 0, append(wire(t, "0001 'a'"), block(ids)...)); err != nil {
		t.Fatal(err)
	}
	pairs := bytes.Repeat(append(sample(PropUserProperty), sample(PropSubscriptionIdentifier)...), scratchMax)
	if err := p.publish.Parse(V5, 0, append(wire(t, "0001 'a'"), block(pairs)...)); err != nil {
		t.Fatal(err)
	}
	if len(p.publish.Passthrough) != 7*scratchMax {
		t.Fatalf("passthrough has %d bytes", len(p.publish.Passthrough))
	}
	for _, in := range []struct {
		v    Version
		wire string
	}{{V311, "82 06 0001 0001 'a' 00"}, {V5, "30 04 0001 'a' 00"}} {
		if _, err := p.parse(in.v, frame(t, wire(t, in.wire))); err != nil {
			t.Fatal(err)
		}
	}
	if n := cap(p.subscribe.Filters); n > filtersMax {
		t.Errorf("%d filters are kept", n)
	}
	if n := cap(p.publish.Properties.SubscriptionIdentifiers); n > scratchMax {
		t.Errorf("%d subscription identifiers are kept", n)
	}
	if n := cap(p.publish.pass.scratch) + cap(p.publish.Properties.users.scratch); n > 2*scratchMax {
		t.Errorf("%d bytes of scratch space are kept", n)
	}
}

func TestUserPropertiesKeepOrderAndDuplicates(t *testing.T) {
	u := users("a", "1", "b", "", "a", "1", "", "2")
	var got []string
	for name, value := range u.All() {
		got = append(got, string(name)+"="+string(value))
	}
	if want := "a=1 b= a=1 =2"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for range u.All() {
		break // stopping early is allowed
	}
	for n := range len(u) {
		for name, value := range u[:n].All() {
			if len(name)+len(value) > 2 {
				t.Errorf("cut to %d bytes: %q=%q", n, name, value)
			}
		}
	}
	for range UserProperties("\x01\x00\x00\x00\x00").All() {
		t.Error("a pair without its identifier")
	}
}

func TestUserPropertiesAreGatheredWhenApart(t *testing.T) {
	first, second, third := users("a", "1"), users("b", "2"), users("c", "3")
	between := sample(PropContentType)
	for _, c := range []struct {
		name     string
		parts    [][]byte
		want     UserProperties
		borrowed bool
	}{
		{"none", [][]byte{between}, nil, false},
		{"together", [][]byte{between, first, second}, append(bytes.Clone(first), second...), true},
		{"apart", [][]byte{first, between, second}, append(bytes.Clone(first), second...), false},
		{"thrice", [][]byte{first, second, between, third}, bytes.Join([][]byte{first, second, third}, nil), false},
	} {
		var p Publish
		body := append(wire(t, "0001 't'"), block(c.parts...)...)
		for range 2 {
			if err := p.Parse(V5, 0, body); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if !bytes.Equal(p.Properties.User, c.want) {
				t.Errorf("%s: % x, want % x", c.name, p.Properties.User, c.want)
			}
			if got := within(p.Properties.User, body); got != c.borrowed {
				t.Errorf("%s: borrowed %v, want %v", c.name, got, c.borrowed)
			}
		}
	}
}

// within reports whether part, if it is not empty, lies in the memory of whole.
func within(part, whole []byte) bool {
	for i := range whole {
		if len(part) > 0 && &part[0] == &whole[i] {
			return true
		}
	}
	return false
}

func TestPassthroughIsAllThatAServerForwards(t *testing.T) {
	expiry, alias, id := sample(PropMessageExpiryInterval), sample(PropTopicAlias), sample(PropSubscriptionIdentifier)
	format, content, pair := sample(PropPayloadFormatIndicator), sample(PropContentType), sample(PropUserProperty)
	reply, data := sample(PropResponseTopic), sample(PropCorrelationData)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, c := range []struct {
		name     string
		in, want []byte
		borrowed bool
	}{
		{"nothing", nil, nil, false},
		{"nothing to forward", join(expiry, alias, id, id), nil, false},
		{"everything", join(pair, content, reply, data, format, pair), join(pair, content, reply, data, format, pair), true},
		{"others around", join(expiry, pair, content, alias), join(pair, content), true},
		{"one in between", join(pair, alias, content), join(pair, content), false},
		{"several in between", join(format, expiry, content, alias, reply, id, data, pair, id, pair), join(format, content, reply, data, pair, pair), false},
	} {
		var p Publish
		body := append(wire(t, "0001 't'"), block(c.in)...)
		for range 2 {
			if err := p.Parse(V5, 0, body); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if !bytes.Equal(p.Passthrough, c.want) {
				t.Errorf("%s: % x, want % x", c.name, p.Passthrough, c.want)
			}
			if got := within(p.Passthrough, body); got != c.borrowed {
				t.Errorf("%s: borrowed %v, want %v", c.name, got, c.borrowed)
			}
		}
		if err := p.Parse(V311, 0, wire(t, "0001 't'")); err != nil || p.Passthrough != nil {
			t.Errorf("%s: the next packet has passthrough % x, %v", c.name, p.Passthrough, err)
		}
	}
}

func TestWillPassthroughLeavesOutDelayAndExpiry(t *testing.T) {
	properties := block(sample(PropContentType), sample(PropWillDelayInterval), sample(PropUserProperty), sample(PropMessageExpiryInterval))
	body := append(wire(t, "0004 'MQTT' 05 06 0000 00 0000"), properties...)
	body = append(body, wire(t, "0001 'w' 0000")...)
	var p Connect
	for range 2 {
		if err := p.Parse(0, body); err != nil {
			t.Fatal(err)
		}
		want := append(sample(PropContentType), sample(PropUserProperty)...)
		if !bytes.Equal(p.WillPassthrough, want) {
			t.Errorf("% x, want % x", p.WillPassthrough, want)
		}
		if !p.WillProperties.Has(PropWillDelayInterval) || p.WillProperties.MessageExpiryInterval != 1 {
			t.Errorf("will properties: %+v", p.WillProperties)
		}
	}
	if err := p.Parse(0, wire(t, "0004 'MQTT' 04 02 0000 0000")); err != nil || p.WillPassthrough != nil || p.HasWill || !p.WillProperties.Empty() {
		t.Errorf("the next packet has a will: %+v, %v", p, err)
	}
}

func TestPropertyIdentifierOfTwoBytesIsUnknown(t *testing.T) {
	var p Publish
	var e *Error
	err := p.Parse(V5, 0, wire(t, "0001 'a' 03 8100 01"))
	if !errors.As(err, &e) || e.Code != MalformedPacket {
		t.Errorf("got %v", err)
	}
}
