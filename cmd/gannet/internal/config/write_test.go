package config

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// reload writes c and reads it again.
func reload(t *testing.T, c *Config) Config {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, c, Changed); err != nil {
		t.Fatal(err)
	}
	again, err := load([]string{"--config=gannet.conf"}, nil, b.String())
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	return again
}

func TestWrittenConfigReadsAsTheSame(t *testing.T) {
	tricky := []string{"a b", `a"b`, "a # b", "#a", ` x `, `a\b`, "é", "a\tb", "none", "\xff", "=", "[x]"}
	for _, text := range tricky {
		c, err := load([]string{"--auto-id-prefix=" + text, "--listen=mqtt://localhost", "--data-dir=" + text + "/", "--jwt-issuer=" + text + "/"}, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		c.Listen[0].MountPoint = strings.ReplaceAll(text, "#", "")
		if again := reload(t, &c); !reflect.DeepEqual(c, again) {
			t.Errorf("%q:\ngot  %+v\nwant %+v", text, again, c)
		}
	}
}

func TestListenerTakesBackWhatTheBrokerSays(t *testing.T) {
	c, err := load([]string{"--config=gannet.conf", "--jwt-issuer=b"}, nil, `
password-file = pw
jwt-issuer = a
jwt-key-file = k
[listener mqtt://localhost:1]
password-file = none
jwt-issuer = none
allow-anonymous = unset
[listener mqtt://localhost:2?acl-file=x]
[listener mqtt://localhost:3]
password-file = pw
[listener mqtt://localhost:4]
jwt-issuer = c
jwt-issuer = d
`)
	if err != nil {
		t.Fatal(err)
	}
	one, two, four := c.Listen[0].Access, c.Listen[1].Access, c.Listen[3].Access
	if one == nil || one.PasswordFile != "" || one.JWT.Issuers != nil || two == nil || two.ACLFile != "x" || two.PasswordFile != "pw" ||
		c.Listen[2].Access != nil || !slices.Equal(two.JWT.Issuers, []string{"b"}) || !slices.Equal(four.JWT.Issuers, []string{"c", "d"}) {
		t.Errorf("got %+v, %+v, %+v, %+v", one, two, c.Listen[2].Access, four)
	}
	if again := reload(t, &c); !reflect.DeepEqual(c, again) {
		t.Errorf("got  %+v\nwant %+v", again, c)
	}
}

func TestURLAndBlockAreTheSame(t *testing.T) {
	block, err := load([]string{"--config=gannet.conf"}, nil, `[listener wss://:1/mqtt]
certfile = a.crt # first
keyfile = a.key
certfile = b.crt
keyfile = b.key
cafile = ca
require-certificate = optional
websockets-origin = https://a
accept-protocol-versions = 5
password-file = "p&w"
`)
	if err != nil {
		t.Fatal(err)
	}
	url, err := load([]string{"--listen", "wss://:1/mqtt?certfile=a.crt&certfile=b.crt&keyfile=a.key&keyfile=b.key&cafile=ca&" +
		"require-certificate=optional&websockets-origin=https%3A%2F%2Fa&accept-protocol-versions=5&password-file=p%26w"}, nil, "")
	if err != nil || !reflect.DeepEqual(block, url) {
		t.Errorf("%v\nblock %+v\nurl   %+v", err, block, url)
	}
}

// TestConvertedConfReadsAsTheSame makes many files of mosquitto, and Gannet's of those that are sound.
func TestConvertedConfReadsAsTheSame(t *testing.T) {
	const seeds = 3000
	sound := 0
	for seed := range uint64(seeds) {
		text := randomConf(rand.New(rand.NewPCG(seed, 1)))
		c, _, err := mosquittoConf(text).load()
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("seed %d: %q", seed, err)
			}
			continue
		}
		if c.Validate() != nil {
			continue // it lets nobody in, which a file of Gannet's may not
		}
		sound++
		if again := reload(t, &c); !reflect.DeepEqual(c, again) {
			t.Fatalf("seed %d:\n%s\ngot  %+v\nwant %+v", seed, text, again, c)
		}
	}
	if sound < seeds/10 {
		t.Errorf("only %d of %d files are sound", sound, seeds)
	}
}

// randomConf writes lines with values that fit more often than not.
func randomConf(r *rand.Rand) string {
	values := []string{"true", "false", "1", "0", "2", "300", "/a/b", "none", "x # y", `"q"`, "tlsv1.2", "websockets", "ipv4", "2d", "3,5", "stderr", "file /l", "all", "é"}
	fitting := map[string][]string{
		"certfile": {"/c"}, "keyfile": {"/k"}, "cafile": {"/ca"}, "allow_anonymous": {"true", "true", "false"}, "protocol": {"mqtt", "websockets"},
		"max_packet_size": {"2000", "300000"}, "log_dest": {"stderr", "syslog", "file /l #", "none"}, "log_type": {"all", "error", "none"},
		"enable_proxy_protocol": {"1", "2"}, "max_qos": {"0", "1", "2"}, "socket_domain": {"ipv4", "ipv6"}, "persistent_client_expiration": {"3d", "1y"},
		"accept_protocol_versions": {"3", "4,5"}, "tls_version": {"tlsv1.2", "tlsv1.3"}, "user": {"root", "a b"}, "log_facility": {"3"},
	}
	var names []string
	for _, o := range mosquittoOptions() {
		if o.ignored == "" && o.scope != scopeBridge && o.name != "include_dir" && !strings.HasPrefix(o.name, "psk") && !strings.Contains(o.name, "plugin") {
			names = append(names, o.name)
		}
	}
	var b strings.Builder
	if r.IntN(3) == 0 {
		b.WriteString("per_listener_settings true\n")
	}
	for range r.IntN(8) {
		if r.IntN(3) == 0 {
			fmt.Fprintf(&b, "listener %d %s\nallow_anonymous true\n", 1+r.IntN(5), []string{"", "127.0.0.1", "::1", "host"}[r.IntN(4)])
		}
		if r.IntN(4) == 0 {
			b.WriteString("certfile /c\nkeyfile /k\n")
		}
		name := names[r.IntN(len(names))]
		choices := values
		if f := fitting[name]; f != nil && r.IntN(8) > 0 {
			choices = f
		}
		fmt.Fprintf(&b, "%s %s\n", name, choices[r.IntN(len(choices))])
	}
	return b.String()
}

func TestDifferencesAreNamed(t *testing.T) {
	parse := func(text string) *Config {
		c, err := load([]string{"--config=gannet.conf"}, nil, text)
		if err != nil {
			t.Fatal(err)
		}
		return &c
	}
	old := parse("password-file = pw\nloops = 2\njwt-secret = a\nlog-level = warn\n[listener mqtt://:1]\n[listener mqtt://:2]\nname = two\n[listener mqtt://:4]\n")
	next := parse("password-file = pw2\nloops = 3\njwt-secret = b\n[listener mqtt://:1]\nmount-point = a/\nacl-file = acl\n[listener mqtt://:3]\n[listener mqtt://:4]\n")
	var got []string
	for _, c := range Diff(old, next) {
		got = append(got, c.String())
	}
	want := []string{
		"password-file: pw -> pw2",
		"jwt-secret: (hidden) -> (hidden)",
		"log-level: warn -> info",
		"loops: 2 -> 3 (at the next start)",
		"mqtt://:1: mount-point: none -> a/",
		"mqtt://:1: password-file: pw -> pw2",
		"mqtt://:1: acl-file: none -> acl",
		"mqtt://:1: jwt-secret: (hidden) -> (hidden)",
		"listener mqtt://:2 removed",
		"listener mqtt://:3 added",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if changes := Diff(old, old); len(changes) != 0 {
		t.Errorf("the same: %v", changes)
	}
}

func TestStartSettingsAreSettings(t *testing.T) {
	for _, name := range startSettings() {
		if find(settings(), name) == nil {
			t.Errorf("%s is not a setting", name)
		}
	}
}

func TestEverySettingOfAListenerIsRead(t *testing.T) {
	values := map[string]string{
		"name": "n", "bind-interface": "lo", "socket-domain": "ipv6", "socket-mode": "0660", "mount-point": "m/", "max-connections": "3",
		"accept-protocol-versions": "3,5", "use-username-as-clientid": "true", "certfile": "c", "keyfile": "k", "cafile": "ca", "capath": "cap",
		"crlfile": "crl", "allow-expired-crl": "true", "require-certificate": "optional", "identity": "san-dns", "tls-version": "tlsv1.3",
		"tls-version-max": "tlsv1.3", "ciphers": "a:b", "tls-tickets": "false", "proxy-protocol": "required", "proxy-version": "2",
		"proxy-trusted": "10.0.0.0/8", "proxy-require-tls": "true", "proxy-require-certificate": "true", "proxy-identity": "true",
		"max-qos": "1", "topic-alias-maximum": "0", "websockets-path": "/p", "websockets-origin": "https://o", "websockets-headers-size": "4KiB",
	}
	for _, s := range listenerSettings() {
		var l, zero Listener
		if err := s.value.set(&l, values[s.name]); err != nil || s.value.show(&l) != values[s.name] || s.value.show(&zero) == values[s.name] {
			t.Errorf("%s: %v, shown as %q", s.name, err, s.value.show(&l))
		}
	}
}

func TestWhatAListenerCannotHave(t *testing.T) {
	for url, want := range map[string]string{
		"mqtt://:1?certfile=a&keyfile=b":                                              "settings of TLS, but its scheme is not mqtts or wss",
		"mqtts://:1?certfile=a":                                                       "certfile and keyfile: there must be as many of one as of the other",
		"mqtts://:1?certfile=a&keyfile=b&identity=cn":                                 "identity: clients show no certificate",
		"mqtts://:1?certfile=a&keyfile=b&crlfile=c":                                   "crlfile: it needs the authority",
		"mqtt://:1?websockets-path=/a":                                                "settings of WebSocket",
		"ws://:1?websockets-path=a":                                                   "it begins with a slash",
		"unix:///a?socket-domain=ipv4":                                                "a Unix socket has neither",
		"mqtt://:1?socket-mode=600":                                                   "it is not a Unix socket",
		"mqtt://:1?proxy-version=1":                                                   "add proxy-protocol=required",
		"mqtt://:1?proxy-protocol=optional":                                           "add proxy-trusted=NETWORK",
		"mqtt://:1?proxy-protocol=required&proxy-version=1&proxy-identity":            "only version 2",
		"mqtt://:1?mount-point=%2B/":                                                  "it is put before topics and has no wildcards",
		"mqtts://:1?certfile=a&keyfile=b&tls-version=tlsv1.3&tls-version-max=tlsv1.2": "it is older than tls-version",
	} {
		if _, err := load([]string{"--allow-anonymous", "--listen=" + url}, nil, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func FuzzConfMistakesTakeOneLineAndTheRestReadsAgain(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(randomConf(rand.New(rand.NewPCG(seed, 2))))
	}
	f.Add("listener 2 example.com\n") // lets nobody in
	f.Add("plugin mosquitto_acl_file.so\nplugin_opt_acl_file a\nlistener 1\nallow_anonymous 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, warnings, err := mosquittoConf(text).load()
		for _, w := range warnings {
			if strings.Contains(w, "\n") {
				t.Errorf("warning %q", w)
			}
		}
		checkReadsAgain(t, &c, err)
	})
}

func FuzzOwnFormatReadsAgain(f *testing.F) {
	f.Add("loops = 2\n[listener mqtt://localhost:1?name=x]\nacl-file = \"a#\\x00\" # c\nproxy-trusted = ::1\n")
	f.Add("password-file = pw\njwt-issuer = a\n[listener unix:///a]\njwt-issuer = none\nauth-order = none\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := load([]string{"--config=gannet.conf"}, nil, text)
		checkReadsAgain(t, &c, err)
	})
}

// checkReadsAgain holds a configuration against what is read of it after it was written, or its mistake to one line.
func checkReadsAgain(t *testing.T, c *Config, mistake error) {
	t.Helper()
	if mistake != nil {
		if strings.Contains(mistake.Error(), "\n") {
			t.Errorf("%q", mistake)
		}
		return
	}
	if again := reload(t, c); !reflect.DeepEqual(*c, again) {
		t.Errorf("got  %+v\nwant %+v", again, *c)
	}
}

// A URL may hold a password or a key. Neither what --test-config prints nor what a reload logs shows it.
func TestSecretsInURLsAreNotShown(t *testing.T) {
	before, after := Default(), Default()
	after.HTTP.URL, after.HTTP.ACLURL, after.JWT.JWKSURL = "https://me:hush@auth.example/x", "https://auth.example/acl?key=hush", "https://keys.example/jwks"
	var text strings.Builder
	if err := Write(&text, &after, Everything); err != nil {
		t.Fatal(err)
	}
	for _, c := range Diff(&before, &after) {
		text.WriteString(c.String() + "\n")
	}
	for _, want := range []string{
		"\n# http-url = https://auth.example/x (hidden)\n", "\n# http-acl-url = https://auth.example/acl (hidden)\n", "\njwt-jwks-url = https://keys.example/jwks\n",
		"http-url: none -> https://auth.example/x (hidden)\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(text.String(), "hush") {
		t.Errorf("a secret is shown:\n%s", text.String())
	}
	text.Reset()
	if err := Write(&text, &after, Changed); err != nil || !strings.Contains(text.String(), "http-url = "+after.HTTP.URL+"\n") {
		t.Errorf("%v: what can be read again is not written:\n%s", err, text.String())
	}
}
