package guard

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gannetmq/gannet/engine/textfile"
)

// Bounds of a ban list. A larger one is refused as a whole.
const (
	MaxBans         = 1 << 20
	MaxBanLineBytes = 512 << 10 // a client identifier of 65535 bytes, every one of them escaped
)

// Kind is what a Ban is about.
type Kind uint8

const (
	BanClientID Kind = iota
	BanUser
	BanAddress
	BanNetwork
	kinds
)

var kindNames = [kinds]string{"client-id", "user", "address", "network"}

// String returns the word that a ban list has for k.
func (k Kind) String() string { return kindNames[k] }

// Ban keeps one client, user, address or network out.
type Ban struct {
	Kind    Kind
	Name    string       // the client identifier or the user name, byte for byte
	Network netip.Prefix // for an address, too: all of its bits
	Until   Time         // 0 = without end
	Why     string       // for the log; no line breaks
}

// Bans is a ban list. It is immutable and safe for concurrent use; nil and the zero value are empty.
type Bans struct {
	list      []Ban
	clientIDs map[string]int32 // where in list
	users     map[string]int32
	networks  map[netip.Prefix]int32
	bits4     []int // lengths of the prefixes in networks
	bits6     []int
}

// LoadBans reads the ban list at path, as ParseBans does.
func LoadBans(path string) (*Bans, error) {
	return textfile.Load("ban list", path, func(file *os.File) (*Bans, error) { return ParseBans(path, file) })
}

// ParseBans reads a ban list. Each line is one ban:
//
//	client-id sensor-17 until 2026-12-01T00:00:00Z # sends nonsense
//	user mallory
//	address 192.0.2.7
//	network 2001:db8::/32 # the whole of it
//
// Names match exactly; there are no wildcards. A name with a blank in it, or one that begins with # or ", stands in double quotes, as
// in Go. Without until, a ban does not end; one that has ended is kept and counts as nothing. Of two bans of the same, the later
// line counts. Empty lines and lines that begin with # are comments. Errors begin with name:line.
func ParseBans(name string, r io.Reader) (*Bans, error) {
	form := textfile.Form{
		Line:    textfile.Bound{BytesMax: MaxBanLineBytes, Beyond: fmt.Sprintf("line longer than %d bytes", MaxBanLineBytes)},
		Reading: "read ban list ",
	}
	b := &Bans{}
	err := form.Lines(name, r, func(_ int, line string) error {
		ban, any, err := parseBan(line)
		switch {
		case err != nil:
			return err
		case any && len(b.list) == MaxBans:
			return fmt.Errorf("more than %d bans: ban networks instead", MaxBans)
		case any:
			b.add(ban)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// NewBans makes a list of bans, of which the later ones count.
func NewBans(bans ...Ban) *Bans {
	b := &Bans{}
	for _, x := range bans {
		b.add(x)
	}
	return b
}

func (b *Bans) add(x Ban) {
	at := int32(len(b.list))
	b.list = append(b.list, x)
	switch x.Kind {
	case BanClientID:
		put(&b.clientIDs, x.Name, at)
	case BanUser:
		put(&b.users, x.Name, at)
	default:
		put(&b.networks, x.Network, at)
		bits := &b.bits6
		if x.Network.Addr().Is4() {
			bits = &b.bits4
		}
		if !slices.Contains(*bits, x.Network.Bits()) {
			*bits = append(*bits, x.Network.Bits())
		}
	}
}

func put[K comparable](m *map[K]int32, k K, at int32) {
	if *m == nil {
		*m = make(map[K]int32)
	}
	(*m)[k] = at
}

// All returns the bans in the order of their lines. The slice belongs to b.
func (b *Bans) All() []Ban {
	if b == nil {
		return nil
	}
	return b.list
}

// Client returns the ban that keeps a client of these names out, nil if there is none. Empty names are nobody's.
func (b *Bans) Client(clientID, userName string, now Time) *Ban {
	if b == nil {
		return nil
	}
	if at, ok := b.clientIDs[clientID]; ok && b.list[at].holds(now) {
		return &b.list[at]
	}
	if at, ok := b.users[userName]; ok && b.list[at].holds(now) {
		return &b.list[at]
	}
	return nil
}

// Address returns the ban that keeps addr out, nil if there is none. It looks once for each length of a prefix in the list.
func (b *Bans) Address(addr netip.Addr, now Time) *Ban {
	if b == nil || len(b.networks) == 0 {
		return nil
	}
	addr = addr.Unmap().WithZone("")
	bits := b.bits6
	if addr.Is4() {
		bits = b.bits4
	}
	for _, n := range bits {
		p, _ := addr.Prefix(n)
		if at, ok := b.networks[p]; ok && b.list[at].holds(now) {
			return &b.list[at]
		}
	}
	return nil
}

func (x *Ban) holds(now Time) bool { return x.Until == 0 || now < x.Until }

// Append appends the line of a ban list that says x, with its line break.
func (x *Ban) Append(dst []byte) []byte {
	dst = append(append(dst, x.Kind.String()...), ' ')
	switch {
	case x.Kind == BanAddress:
		dst = x.Network.Addr().AppendTo(dst)
	case x.Kind == BanNetwork:
		dst = x.Network.AppendTo(dst)
	case bare(x.Name):
		dst = append(dst, x.Name...)
	default:
		dst = strconv.AppendQuote(dst, x.Name)
	}
	if x.Until != 0 {
		dst = append(dst, " until "...)
		dst = time.UnixMilli(int64(x.Until)).UTC().AppendFormat(dst, time.RFC3339Nano)
	}
	if why := strings.TrimSpace(strings.Map(noControl, x.Why)); why != "" {
		dst = append(append(dst, " # "...), why...)
	}
	return append(dst, '\n')
}

// bare tells whether a name needs no quotes.
func bare(name string) bool {
	return name != "" && name[0] != '#' && name[0] != '"' && !strings.ContainsFunc(name, func(c rune) bool {
		return !strconv.IsPrint(c) || c == ' ' || c == '\ufffd'
	})
}

func noControl(c rune) rune {
	if c < ' ' || c == 0x7f {
		return ' '
	}
	return c
}

// parseBan reads one line; any is false for one that says nothing.
func parseBan(line string) (x Ban, any bool, err error) {
	kind, rest := word(line)
	if kind == "" || kind[0] == '#' {
		return x, false, nil
	}
	k := slices.Index(kindNames[:], kind)
	if k < 0 {
		return x, false, fmt.Errorf("%q: a ban begins with client-id, user, address or network", kind)
	}
	x.Kind = Kind(k)
	name, rest, err := nameOf(rest)
	if err != nil {
		return x, false, fmt.Errorf("%s: %w", kind, err)
	}
	switch x.Kind {
	case BanAddress:
		x.Network, err = parseAddress(name)
	case BanNetwork:
		x.Network, err = parseNetwork(name)
	default:
		x.Name = strings.Clone(name)
	}
	if err != nil {
		return x, false, err
	}
	next, after := word(rest)
	if next == "until" {
		when, after := word(after)
		at, err := time.Parse(time.RFC3339, when)
		if err != nil || at.UnixMilli() <= 0 {
			return x, false, fmt.Errorf("until %q: a time looks like 2026-12-01T00:00:00Z", when)
		}
		x.Until, rest = Time(at.UnixMilli()), after
		next, _ = word(rest)
	}
	if next != "" && next[0] != '#' {
		return x, false, fmt.Errorf("%q: only until TIME and # REASON may follow", next)
	}
	if i := strings.IndexByte(rest, '#'); i >= 0 {
		x.Why = strings.TrimSpace(rest[i+1:])
	}
	return x, true, nil
}

const blanks = " \t\r"

// word cuts the first word off.
func word(s string) (first, rest string) {
	s = strings.TrimLeft(s, blanks)
	if i := strings.IndexAny(s, blanks); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// nameOf cuts a name off, in quotes or without.
func nameOf(s string) (name, rest string, err error) {
	s = strings.TrimLeft(s, blanks)
	if s == "" || s[0] == '#' {
		return "", "", errors.New("names nobody")
	}
	if s[0] != '"' {
		name, rest = word(s)
		return name, rest, nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", errors.New("the quotes are not closed, or there is an unknown escape between them")
	}
	if name, err = strconv.Unquote(quoted); err != nil || name == "" {
		return "", "", errors.New("names nobody")
	}
	if rest = s[len(quoted):]; rest != "" && !strings.ContainsRune(blanks, rune(rest[0])) {
		return "", "", errors.New("a blank is missing behind the quotes")
	}
	return name, rest, nil
}

func parseAddress(s string) (netip.Prefix, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("address %q: not an IP address without a zone", s)
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("network %q: a network looks like 192.0.2.0/24 or 2001:db8::/32", s)
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("network %q: write it as an IPv4 network", s)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("network %q: bits behind the prefix are set: write %v", s, p.Masked())
	}
	return p, nil
}
