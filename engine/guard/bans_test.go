package guard

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const goodBans = `# who is kept out

client-id sensor-17 until 2026-12-01T00:00:00Z # sends nonsense
client-id "two words" # and "quotes"
	client-id "line\nbreak"
client-id a#b
user mallory
user "#1"
user "\"q\"" until 2026-12-01T01:00:00+01:00
address 192.0.2.7
address ::ffff:192.0.2.8#no comment without a blank
`

func TestParseBans(t *testing.T) {
	text := strings.Replace(goodBans, "#no comment without a blank", "", 1) + "network 2001:db8::/32 # the whole of it\r\nuser mallory until 2026-12-01T00:00:00Z\n"
	b, err := ParseBans("f", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	const until = 1796083200000
	want := []Ban{
		{Kind: BanClientID, Name: "sensor-17", Until: until, Why: "sends nonsense"},
		{Kind: BanClientID, Name: "two words", Why: `and "quotes"`},
		{Kind: BanClientID, Name: "line\nbreak"},
		{Kind: BanClientID, Name: "a#b"},
		{Kind: BanUser, Name: "mallory"},
		{Kind: BanUser, Name: "#1"},
		{Kind: BanUser, Name: `"q"`, Until: until},
		{Kind: BanAddress, Network: netip.MustParsePrefix("192.0.2.7/32")},
		{Kind: BanAddress, Network: netip.MustParsePrefix("192.0.2.8/32")},
		{Kind: BanNetwork, Network: netip.MustParsePrefix("2001:db8::/32"), Why: "the whole of it"},
		{Kind: BanUser, Name: "mallory", Until: until},
	}
	if !reflect.DeepEqual(b.All(), want) {
		t.Errorf("%+v", b.All())
	}
	if b.Client("", "mallory", until-1) == nil || b.Client("", "mallory", until) != nil {
		t.Error("of two lines the first one counts")
	}
	if b.Client("two words", "", 1) == nil || b.Client("two", "", 1) != nil || b.Client("TWO WORDS", "", 1) != nil {
		t.Error("names do not match exactly")
	}
	for addr, banned := range map[string]bool{"192.0.2.7": true, "192.0.2.6": false, "::ffff:192.0.2.7": true, "2001:db8:ffff::": true, "2001:db9::": false, "fe80::1%eth0": false} {
		if got := b.Address(netip.MustParseAddr(addr), 1) != nil; got != banned {
			t.Errorf("%s: banned %t", addr, got)
		}
	}
}

func TestParseBansErrors(t *testing.T) {
	for line, want := range map[string]string{
		"clientid x":                        `"clientid": a ban begins with client-id, user, address or network`,
		"client-id":                         "client-id: names nobody",
		"user # alice":                      "user: names nobody",
		`user ""`:                           "user: names nobody",
		`user "alice`:                       "user: the quotes are not closed, or there is an unknown escape between them",
		`user "alice"x`:                     "user: a blank is missing behind the quotes",
		"user al ice":                       `"ice": only until TIME and # REASON may follow`,
		"user alice until tomorrow":         `until "tomorrow": a time looks like 2026-12-01T00:00:00Z`,
		"user alice until":                  `until "": a time looks like 2026-12-01T00:00:00Z`,
		"user a until 1960-01-01T00:00:00Z": `until "1960-01-01T00:00:00Z": a time looks like 2026-12-01T00:00:00Z`,
		"user alice until 2026-12-01T00:00:00Z for good": `"for": only until TIME and # REASON may follow`,
		"address 192.0.2":                              `address "192.0.2": not an IP address without a zone`,
		"address fe80::1%eth0":                         `address "fe80::1%eth0": not an IP address without a zone`,
		"network 192.0.2.1":                            `network "192.0.2.1": a network looks like 192.0.2.0/24 or 2001:db8::/32`,
		"network 192.0.2.1/24":                         `network "192.0.2.1/24": bits behind the prefix are set: write 192.0.2.0/24`,
		"network ::ffff:192.0.2.0/120":                 `network "::ffff:192.0.2.0/120": write it as an IPv4 network`,
		"user " + strings.Repeat("x", MaxBanLineBytes): "line longer than 524288 bytes",
	} {
		_, err := ParseBans("bans.txt", strings.NewReader("# one\nuser ok\n"+line))
		if err == nil || err.Error() != "bans.txt:3: "+want {
			t.Errorf("%.40q: %v", line, err)
		}
	}
}

func TestLoadBans(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans")
	if _, err := LoadBans(path); err == nil || !strings.HasPrefix(err.Error(), "ban list: ") {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("user alice\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := LoadBans(path); err != nil || len(b.All()) != 1 {
		t.Error(b, err)
	}
}

func TestNoBansAreEmpty(t *testing.T) {
	for _, b := range []*Bans{nil, {}} {
		if b.All() != nil || b.Client("", "", 1) != nil || b.Client("a", "b", 1) != nil || b.Address(v4(1), 1) != nil {
			t.Error("somebody is banned by nothing")
		}
	}
}

// FuzzBans: what can be read is written in a form that reads the same.
func FuzzBans(f *testing.F) {
	f.Add(goodBans)
	f.Add("network 10.0.0.0/8 until 2026-12-01T00:00:00.001Z # x\nuser \"\\xff\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseBans("f", strings.NewReader(text))
		if err != nil {
			return
		}
		var lines []byte
		for i := range a.All() {
			lines = a.list[i].Append(lines)
		}
		b, err := ParseBans("g", strings.NewReader(string(lines)))
		if err != nil {
			t.Fatalf("%v in\n%s", err, lines)
		}
		for i := range b.All() {
			x, y := a.list[i], b.list[i]
			x.Why = strings.TrimSpace(strings.Map(noControl, x.Why))
			if x != y {
				t.Fatalf("%+v became %+v by\n%s", x, y, lines)
			}
		}
		if len(a.list) != len(b.list) {
			t.Fatalf("%d became %d", len(a.list), len(b.list))
		}
	})
}
