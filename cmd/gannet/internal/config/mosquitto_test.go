package config

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"testing"
)

// conf is mosquitto.conf with the folders that it includes.
type conf struct {
	files  files
	folder map[string][]string
}

// load reads it as gannet -c mosquitto.conf does, and returns the warnings, too.
func (f conf) load(args ...string) (Config, []string, error) {
	var warnings []string
	c, err := Load(Source{
		Args: append([]string{"-c", "mosquitto.conf"}, args...), ReadFile: f.files.read,
		ListFiles: func(dir string) ([]string, error) {
			names, ok := f.folder[dir]
			if !ok {
				return nil, fmt.Errorf("open %s: no such file or directory", dir)
			}
			return names, nil
		},
		Warn: func(line string) { warnings = append(warnings, line) },
	})
	return c, warnings, err
}

func mosquittoConf(text string) conf { return conf{files: files{"mosquitto.conf": text}} }

const storeNote = "mosquitto.conf: persistence is not true, as is mosquitto's default: sessions and retained messages end with the process"

func TestConfOfDebianWorksAsItStands(t *testing.T) {
	f := mosquittoConf(`# Place your local configuration in /etc/mosquitto/conf.d/

pid_file /run/mosquitto/mosquitto.pid

persistence true
persistence_location /var/lib/mosquitto/

log_dest file /var/log/mosquitto/mosquitto.log

include_dir /etc/mosquitto/conf.d
`)
	f.folder = map[string][]string{"/etc/mosquitto/conf.d": {"README"}}
	c, warnings, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.LenientACL, want.ConnectionMessages = true, true
	want.PIDFile, want.DataDir, want.LogDest = "/run/mosquitto/mosquitto.pid", "/var/lib/mosquitto/gannet", []string{"file:/var/log/mosquitto/mosquitto.log"}
	want.User, want.AllowAnonymous = "mosquitto,nobody", Yes
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v\nwant %+v", c, want)
	}
	if want := []string{"mosquitto.conf:5: persistence: the store is /var/lib/mosquitto/gannet; what is in mosquitto.db is not read"}; !slices.Equal(warnings, want) {
		t.Errorf("warnings %q", warnings)
	}
}

func TestConfListeners(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []Listener
		anonymous  []bool
	}{
		{"none: this machine, and anybody on it", "allow_zero_length_clientid true\n",
			[]Listener{{Host: "127.0.0.1", Port: 1883}}, []bool{true}},
		{"one: from everywhere, with a password", "listener 1884\npassword_file pw\n",
			[]Listener{{Port: 1884}}, []bool{false}},
		{"host, and a comment behind it", "listener 1884 localhost # local\nallow_anonymous true\n",
			[]Listener{{Host: "localhost", Port: 1884}}, []bool{true}},
		{"default listener by port", "port 1885\npassword_file pw\n", []Listener{{Port: 1885}}, []bool{false}},
		{"default listener by address", "bind_address 127.0.0.1\npassword_file pw\n", []Listener{{Host: "127.0.0.1", Port: 1883}}, []bool{false}},
		{"default listener beside another, because an option is meant for it", "max_connections 5\nlistener 1884\nallow_anonymous true\n",
			[]Listener{{Port: 1884}, {Port: 1883, MaxConnections: 5}}, []bool{true, true}},
		{"Unix socket", "listener 0 /run/m.sock\nallow_anonymous true\n", []Listener{{Scheme: Unix, Socket: "/run/m.sock"}}, []bool{true}},
		{"WebSocket", "listener 9001\nprotocol websockets\nwebsockets_origin https://a\nwebsockets_origin https://b\nwebsockets_headers_size 4096\nallow_anonymous true",
			[]Listener{{Scheme: WS, Port: 9001, WebSocket: WebSocket{Origins: []string{"https://a", "https://b"}, HeaderBytes: 4096}}}, []bool{true}},
		{"TLS with certificates of clients", "listener 8883\ncertfile s.crt\nkeyfile s.key\ncafile ca.crt\ncrlfile ca.crl\nrequire_certificate true\n" +
			"use_subject_as_username true\nuse_identity_as_username true\ntls_version tlsv1.3\nciphers A:B\n",
			[]Listener{{Scheme: MQTTS, Port: 8883, Identity: IdentityCN, TLS: TLS{CertFiles: []string{"s.crt"}, KeyFiles: []string{"s.key"}, CAFile: "ca.crt",
				CRLFiles: []string{"ca.crl"}, ClientCert: CertRequired, MinVersion: "tlsv1.3", Ciphers: "A:B"}}}, []bool{false}},
		{"TLS below WebSocket, and a name called none", "listener 9443\nprotocol websockets\ncertfile none\nkeyfile s.key\nallow_anonymous 1\n",
			[]Listener{{Scheme: WSS, Port: 9443, TLS: TLS{CertFiles: []string{"./none"}, KeyFiles: []string{"s.key"}}}}, []bool{true}},
		{"facts told by a proxy", "listener 1884\nenable_proxy_protocol 2\nproxy_protocol_v2_require_tls true\nrequire_certificate true\nuse_identity_as_username true\n",
			[]Listener{{Port: 1884, Proxy: Proxy{Mode: ProxyRequired, Version: 2, RequireTLS: true, RequireCert: true, Identity: true}}}, []bool{false}},
		{"the rest", "listener 1884 ::1\nmount_point a/b/\nmax_connections -1\naccept_protocol_versions 4, 5\nuse_username_as_clientid true\nsocket_domain ipv6\nbind_interface lo\nallow_anonymous true",
			[]Listener{{Host: "::1", Port: 1884, MountPoint: "a/b/", Versions: []byte{4, 5}, UseUsernameAsClientID: true, Family: IPv6, Interface: "lo"}}, []bool{true}},
		{"access of one listener", "listener 1884\nlistener 1885\nlistener_allow_anonymous true\nlistener_auto_id_prefix x-\npassword_file pw\n",
			[]Listener{{Port: 1884}, {Port: 1885, Access: access(func(a *Access) { a.PasswordFile, a.AllowAnonymous, a.AutoIDPrefix = "pw", Yes, "x-" })}}, []bool{false, true}},
		{"access of each listener", "per_listener_settings true\nlistener 1884\npassword_file pw\nlistener 1885\nallow_anonymous true\nacl_file acl\nlistener 1886\n",
			[]Listener{
				{Port: 1884, Access: access(func(a *Access) { a.PasswordFile, a.AllowAnonymous = "pw", No })},
				{Port: 1885, Access: access(func(a *Access) { a.ACLFile, a.AllowAnonymous = "acl", Yes })},
				{Port: 1886},
			}, []bool{false, true, false}},
		{"no web pages", "listener 1884\nallow_anonymous true\nlistener 8080\nprotocol http_api\n", []Listener{{Port: 1884}}, []bool{true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _, err := mosquittoConf(test.text).load()
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(c.Listen, test.want) {
				t.Fatalf("got  %+v\nwant %+v", c.Listen, test.want)
			}
			for i, l := range c.Listen {
				if c.Anonymous(l) != test.anonymous[i] {
					t.Errorf("%s: anonymous %t", l, !test.anonymous[i])
				}
			}
		})
	}
}

func access(change func(*Access)) *Access {
	a := mosquittoAccess()
	change(&a)
	return &a
}

func TestConfSettings(t *testing.T) {
	for _, test := range []struct {
		text   string
		change func(*Config)
	}{
		{"max_inflight_messages 20", func(c *Config) { c.MaxInflight = 20 }},
		{"max_inflight_messages 0", func(c *Config) { c.MaxInflight = 65535 }},
		{"max_queued_messages 100\nmax_queued_messages 200", func(c *Config) { c.MaxQueuedMessages = 200 }},
		{"max_queued_bytes 0", func(c *Config) { c.MaxQueuedBytes = unlimited }},
		{"max_packet_size 2000", func(c *Config) { c.MaxPacketSize, c.MaxConnectSize = 2000, 2000 }},
		{"max_packet_size 20", func(c *Config) { c.MaxPacketSize, c.MaxConnectSize = 1024, 1024 }},
		{"max_packet_size 268435460", func(c *Config) { c.MaxPacketSize = maxPacket }},
		{"message_size_limit 10", func(c *Config) { c.MaxPayload = 10 }},
		{"memory_limit 1000000", func(c *Config) { c.MemoryLimit = 1_000_000 }},
		{"max_keepalive 60", func(c *Config) { c.MaxKeepAlive = 60 }},
		{"global_max_connections 5\nglobal_max_clients 6", func(c *Config) { c.MaxConnections, c.MaxSessions = 5, 6 }},
		{"global_max_connections -1", func(*Config) {}},
		{"persistent_client_expiration 2m", func(c *Config) { c.MaxSessionExpiry = 60 * 86400 }},
		{"persistent_client_expiration 1h", func(c *Config) { c.MaxSessionExpiry = 3600 }},
		{"persistent_client_expiration 90", func(c *Config) { c.MaxSessionExpiry = 90 }},
		{"persistent_client_expiration 1000y", func(*Config) {}},
		{"connection_messages false", func(c *Config) { c.ConnectionMessages = false }},
		{"listener 1884\nlistener 8080 127.0.0.1\nprotocol http_api\nhttp_dir /srv/www", func(c *Config) { c.HTTPListen, c.HTTPDir = []string{"127.0.0.1:8080"}, "/srv/www" }},
		{"max_topic_alias_broker 3", func(c *Config) { c.TopicAliasMaximumOut = 3 }},
		{"retain_available false\nqueue_qos0_messages true", func(c *Config) { c.RetainAvailable, c.QueueQoS0 = false, true }},
		{"sys_interval 0", func(c *Config) { c.SysIntervalSeconds = 0 }},
		{"clientid_prefixes dev-", func(c *Config) { c.ClientIDPrefix = "dev-" }},
		{"auto_id_prefix me-\nallow_zero_length_clientid false", func(c *Config) { c.AutoIDPrefix, c.AllowZeroLengthClientID = "me-", false }},
		{"acl_file a # b", func(c *Config) { c.ACLFile = "a # b" }},
		{"  acl_file\t a", func(c *Config) { c.ACLFile = "a" }},
		{"user root", func(c *Config) { c.User = "root" }},
		{"log_type error", func(c *Config) { c.LogLevel = slog.LevelError }},
		{"log_type error\nlog_type warning", func(c *Config) { c.LogLevel = slog.LevelWarn }},
		{"log_type all", func(c *Config) { c.LogLevel = slog.LevelDebug }},
		{"log_type none", func(c *Config) { c.LogDest = nil }},
		{"log_dest stdout\nlog_dest syslog\nlog_facility 5", func(c *Config) { c.LogDest, c.LogFacility = []string{"stdout", "syslog"}, "local5" }},
		{"log_dest none", func(c *Config) { c.LogDest = nil }},
		{"log_timestamp false\nlog_timestamp_format %H:%M", func(c *Config) { c.LogTimestamp, c.LogTimestampFormat = false, "%H:%M" }},
		{"connection_messages false", func(c *Config) { c.ConnectionMessages = false }},
		{"persistence true", func(c *Config) { c.Durability, c.InMemory = Sync, false }},
		{"persistence true\npersistence_location /srv", func(c *Config) { c.Durability, c.InMemory, c.DataDir = Sync, false, "/srv/gannet" }},
		{"plugin /usr/lib/mosquitto_persist_sqlite.so", func(c *Config) { c.Durability, c.InMemory = Sync, false }},
		{"plugin /usr/lib/mosquitto_acl_file.so\nplugin_opt_acl_file a", func(c *Config) { c.ACLFile = "a" }},
		{"connection b\naddress example.com\ntopic # both", func(*Config) {}},
	} {
		c, _, err := mosquittoConf("allow_anonymous true\n" + test.text).load()
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		want := Default()
		want.LenientACL, want.ConnectionMessages = true, true
		want.DataDir, want.Durability, want.InMemory, want.User, want.AllowAnonymous = "gannet", Off, true, "mosquitto,nobody", Yes
		test.change(&want)
		c.Listen, want.Listen = nil, nil
		if !reflect.DeepEqual(c, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", test.text, c, want)
		}
	}
}

func TestConfMistakesNameTheLine(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"lisener 1883", `mosquitto.conf:1: unknown option "lisener": did you mean "listener"?`},
		{"listener 1883\nallow_anonymous yes", `mosquitto.conf:2: allow_anonymous: "yes" is neither true nor false`},
		{"listener 18830000", `mosquitto.conf:1: listener: "18830000" is not a port: write 1 to 65535, or 0 and the path of a Unix socket`},
		{"listener 0", `mosquitto.conf:1: listener: port 0 needs the path of a Unix socket: write listener 0 /run/mosquitto.sock`},
		{"listener 0 m.sock", `mosquitto.conf:1: listener: "m.sock" is neither a host nor an absolute path of a socket`},
		{"listener 1 a/b", `mosquitto.conf:1: listener: "a/b" is neither a host nor an absolute path of a socket`},
		{"listener 1\nlistener 1", `mosquitto.conf:2: listener: mqtt://:1 is listed twice: remove one`},
		{"max_queued_messages 10x", `mosquitto.conf:1: max_queued_messages: "10x" is not a whole number: write 0 to 2147483647`},
		{"max_packet_size 10", `mosquitto.conf:1: max_packet_size: 10 is out of range: write 20 to 4294967295`},
		{"max_keepalive 5", `mosquitto.conf:1: max_keepalive: 5 is out of range: write 0 for no limit, or 10 to 65535`},
		{"password_file a\n\npassword_file b", `mosquitto.conf:3: password_file: already set at mosquitto.conf:1: remove one`},
		{"password_file", `mosquitto.conf:1: password_file: value missing`},
		{"mount_point a\nlistener 1", `mosquitto.conf:1: mount_point: there is no listener before it: write listener PORT first`},
		{"listener 1\nallow_anonymous true\nmount_point a/#", `mosquitto.conf:1: listener: mount-point: it is put before topics and has no wildcards`},
		{"allow_anonymous true\nper_listener_settings true",
			`mosquitto.conf:2: per_listener_settings: it must come before all settings of access, and the first of them is at mosquitto.conf:1`},
		{"listener 1\npsk_hint x", `mosquitto.conf:2: psk_hint: pre-shared keys are not offered: Go's TLS has none, and without them this listener would be open: ` +
			`give it a certfile and a keyfile, and remove this line`},
		{"listener 1\ncertfile a", `mosquitto.conf:2: certfile needs keyfile, too: without it the listener would be open`},
		{"listener 1\nrequire_certificate true", `mosquitto.conf:2: require_certificate needs certfile and keyfile: without them the listener would be open`},
		{"listener 1\ncertfile a\nkeyfile b\nuse_identity_as_username true",
			`mosquitto.conf:4: use_identity_as_username needs require_certificate true: nobody could connect without`},
		{"listener 1\ncertfile a\nkeyfile b\nrequire_certificate true",
			`mosquitto.conf:1: listener: require-certificate: nobody's certificate could be trusted: add cafile=FILE or capath=DIR`},
		{"listener 1\nproxy_protocol_v2_require_tls true", `mosquitto.conf:2: proxy_protocol_v2_require_tls needs enable_proxy_protocol 2: without it the listener would be open`},
		{"plugin /x/dynamic_security.so", `mosquitto.conf:1: plugin: Gannet loads no plugins, and without this one clients may be let in whom it keeps out: ` +
			`use password_file, acl_file, or Gannet's tokens or HTTP service, and remove the lines of the plugin`},
		{"plugin_opt_x y\nlistener 1", `mosquitto.conf:1: plugin_opt_x: there is no plugin before it`},
		{"log_dest fil", `mosquitto.conf:1: log_dest: "fil" is not one of stdout, stderr, syslog, file, topic, none: did you mean "file"?`},
		{"log_dest file a\nlog_dest file b", `mosquitto.conf:2: log_dest: there is a file already, and one is allowed`},
		{"persistent_client_expiration 3x", `mosquitto.conf:1: persistent_client_expiration: "3x" is not a time: write a number with h, d, w, m or y`},
		{"include_dir /none", `mosquitto.conf:1: include_dir: open /none: no such file or directory`},
		{"port 1883\nroot:$y$j9T$hash:19000:0:99999:7:::", `mosquitto.conf:2: unknown option: is this a file of another kind?`},
		{"-----BEGIN PRIVATE KEY-----MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj", `mosquitto.conf:1: unknown option "-----BEGIN"`},
	} {
		_, _, err := mosquittoConf(test.text).load()
		if err == nil || err.Error() != test.want {
			t.Errorf("%s:\ngot  %v\nwant %s", test.text, err, test.want)
		}
	}
}

func TestConfWarningsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"tls_engine pkcs11":          "mosquitto.conf:2: tls_engine has no equivalent in Gannet and is ignored: OpenSSL engines are not used, keys are read from files",
		"upgrade_outgoing_qos true":  "mosquitto.conf:2: upgrade_outgoing_qos: true is ignored: Gannet never delivers with a higher QoS than a message was published with",
		"log_dest topic":             "mosquitto.conf:2: log_dest: topic has no equivalent in Gannet and is ignored",
		"connection b\nthreshold 3":  "mosquitto.conf:2: connection b and the lines that belong to it are ignored: Gannet has no bridges",
		"tls_version tlsv1.1":        "mosquitto.conf:2: tls_version: TLS below 1.2 is broken and not offered: tlsv1.2 is the oldest",
		"max_qos 1 or so\nmax_qos 2": `mosquitto.conf:2: max_qos: "or so" behind the value is ignored`,
	} {
		_, warnings, err := mosquittoConf("allow_anonymous true\n" + text).load()
		if err != nil || !slices.Equal(warnings, []string{want, storeNote}) {
			t.Errorf("%s: %v\ngot  %q\nwant %q", text, err, warnings, want)
		}
	}
}

func TestConfWarnsOfAListenerThatAdmitsNobody(t *testing.T) {
	_, warnings, err := mosquittoConf("per_listener_settings true\nlistener 1\nlistener 2\nallow_anonymous true\nmax_qos 1").load()
	want := []string{
		storeNote,
		"listen: mqtt://:1 could admit nobody: allow-anonymous is false and there are no users: name them with --password-file FILE or --scram-users FILE",
	}
	if err != nil || !slices.Equal(warnings, want) {
		t.Errorf("%v\ngot  %q\nwant %q", err, warnings, want)
	}
	// mosquitto starts with such a listener even if it has no other.
	_, warnings, err = mosquittoConf("listener 1").load()
	if err != nil || !slices.Equal(warnings, []string{storeNote, want[1]}) {
		t.Errorf("%v\ngot  %q", err, warnings)
	}
}

func TestConfLimitsOfOneListener(t *testing.T) {
	c, warnings, err := mosquittoConf("allow_anonymous true\nlistener 1\nmax_qos 1\nmax_topic_alias 0\nlistener 2").load()
	if err != nil || len(warnings) != 1 || len(c.Listen) != 2 {
		t.Fatalf("%v, %q, %+v", err, warnings, c.Listen)
	}
	a, b := c.Listen[0], c.Listen[1]
	if a.MaxQoS == nil || *a.MaxQoS != 1 || a.TopicAliasMaximum == nil || *a.TopicAliasMaximum != 0 || b.MaxQoS != nil || b.TopicAliasMaximum != nil {
		t.Errorf("%+v\n%+v", a, b)
	}
}

func TestConfIncludesInOrderAndEachFileBeginsAnew(t *testing.T) {
	f := conf{
		files: files{
			"mosquitto.conf": "allow_anonymous true\nlistener 1\ninclude_dir d\nmax_connections 9\n",
			"d/A.conf":       "sys_interval 1\nlistener 2\n", "d/a.conf": "sys_interval 2\nmax_connections 7\n", "d/b.conf": "sys_interval 3\ninclude_dir d\n",
			"d/B.conf": "sys_interval 4\n", "d/x.txt": "frob\n",
		},
		folder: map[string][]string{"d": {"x.txt", "b.conf", "B.conf", ".conf", "a.conf", "A.conf", "../etc.conf"}},
	}
	c, warnings, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	want := []Listener{{Port: 1, MaxConnections: 9}, {Port: 2}, {Port: 1883, MaxConnections: 7}}
	if !reflect.DeepEqual(c.Listen, want) || c.SysIntervalSeconds != 3 {
		t.Errorf("sys_interval %d, listeners %+v", c.SysIntervalSeconds, c.Listen)
	}
	if want := []string{"d/b.conf:2: include_dir: ignored: only the main file may include others", storeNote}; !slices.Equal(warnings, want) {
		t.Errorf("warnings %q", warnings)
	}
	f.files["d/a.conf"] = "\nfrobnicate 1\n"
	if _, _, err := f.load(); err == nil || err.Error() != `d/a.conf:2: unknown option "frobnicate"` {
		t.Errorf("mistake in an included file: %v", err)
	}
}

func TestConfGivesWayToFlags(t *testing.T) {
	f := mosquittoConf("persistence true\nlistener 1\nallow_anonymous true\nlog_type error\n")
	c, warnings, err := f.load("--durability=os", "-v", "-p", "1234")
	if err != nil || c.Durability != OS || c.InMemory || c.LogLevel != slog.LevelDebug || len(c.Listen) != 1 {
		t.Errorf("%v: %+v", err, c)
	}
	if want := "argument -p: ignored, because listeners are configured: mosquitto.conf:2: listener"; !slices.Contains(warnings, want) {
		t.Errorf("warnings %q", warnings)
	}
	c, _, err = mosquittoConf("allow_anonymous true\n").load("-p1234", "-p", "1235", "-q", "--durability=sync")
	if err != nil || c.Durability != Sync || c.InMemory || len(c.LogDest) != 0 || !slices.Equal(c.urls(), []string{"mqtt://127.0.0.1:1234", "mqtt://127.0.0.1:1235"}) {
		t.Errorf("%v: %+v", err, c)
	}
}

func TestFormatIsSeenInTheContent(t *testing.T) {
	for _, test := range []struct {
		path, text string
		want       format
	}{
		{"a.conf", "# port\n\nport 1883\n", mosquittoFormat},
		{"a.conf", "user = nobody\n", ownFormat},
		{"a.conf", "user nobody\n", mosquittoFormat},
		{"a.conf", "persistance true\n", mosquittoFormat},
		{"a.conf", "loops=2\nlog_dest\n", ownFormat},
		{"a.conf", "[listener mqtt://:1]\n", ownFormat},
		{"a.conf", "log_timestamp_format = x\n", ownFormat},
		{"a.conf", "", ownFormat},
		{"/etc/mosquitto.conf", "# nothing\n", mosquittoFormat},
	} {
		got, err := detect(test.path, test.text)
		if test.text == "loops=2\nlog_dest\n" {
			if err == nil {
				t.Errorf("%q: no mistake", test.text)
			}
		} else if err != nil || got != test.want {
			t.Errorf("%s %q: %d, %v", test.path, test.text, got, err)
		}
	}
}

func TestEveryOptionIsThereOnce(t *testing.T) {
	seen := make(map[string]bool)
	for _, o := range mosquittoOptions() {
		if seen[o.name] || (o.ignored == "") == (o.set == nil) {
			t.Errorf("%s: twice, or without effect and reason", o.name)
		}
		seen[o.name] = true
	}
}
