package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// option is one option of mosquitto.conf.
type option struct {
	name    string
	scope   scope
	once    bool                                  // a second mention for the same place is a mistake
	ignored string                                // why it has no effect; empty: it has
	set     func(m *mosquitto, rest string) error // rest is not empty
}

// scope is what an option is about.
type scope byte

const (
	scopeBroker   scope = iota
	scopeListener       // the last listener
	scopeAccess         // the broker, or the last listener with per_listener_settings
	scopeBridge
)

const noEngine = "has no equivalent in Gannet and is ignored: OpenSSL engines are not used, keys are read from files"

// mosquittoOptions returns the table.
func mosquittoOptions() []option {
	return slices.Concat(generalOptions(), limitOptions(), accessOptions(), listenerOptions(), ignoredOptions(), bridgeOptions())
}

func optionNames() []string {
	var out []string
	for _, o := range mosquittoOptions() {
		out = append(out, o.name)
	}
	return out
}

func generalOptions() []option {
	return []option{
		{name: "include_dir", set: (*mosquitto).include},
		{name: "per_listener_settings", set: func(m *mosquitto, rest string) error {
			yes, err := m.parseSwitch(rest)
			if err == nil && yes != m.perListener && m.securityAt != "" {
				return m.mistake("it must come before all settings of access, and the first of them is at " + m.securityAt)
			}
			m.perListener = yes
			return err
		}},
		{name: "user", once: true, set: func(m *mosquitto, rest string) error { m.user = rest; return nil }},
		{name: "pid_file", once: true, set: func(m *mosquitto, rest string) error { m.c.PIDFile = file(rest); return nil }},

		{name: "persistence", set: func(m *mosquitto, rest string) (err error) {
			m.persistence, err = m.parseSwitch(rest)
			m.persistenceAt = m.where + ": persistence"
			return err
		}},
		{name: "persistence_location", once: true, set: func(m *mosquitto, rest string) error { m.location = rest; return nil }},

		{name: "log_dest", set: (*mosquitto).logDestination},
		{name: "log_facility", set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, 0, 7)
			m.c.LogFacility = fmt.Sprintf("local%d", n)
			return err
		}},
		{name: "log_type", set: func(m *mosquitto, rest string) error {
			words := []string{"none", "error", "warning", "notice", "information", "debug", "subscribe", "unsubscribe", "websockets", "internal", "all"}
			word, err := parseOneOf(m.word(rest), words...)
			if err != nil {
				return m.mistake(err.Error())
			}
			m.logTypes = append(m.logTypes, word)
			return nil
		}},
		{name: "log_timestamp", set: toSwitch(func(m *mosquitto) *bool { return &m.c.LogTimestamp })},
		{name: "log_timestamp_format", once: true, set: func(m *mosquitto, rest string) error { m.c.LogTimestampFormat = file(rest); return nil }},
		{name: "connection_messages", set: toSwitch(func(m *mosquitto) *bool { return &m.c.ConnectionMessages })},
		{name: "http_dir", scope: scopeListener, set: func(m *mosquitto, rest string) error { m.c.HTTPDir = file(rest); return nil }},
		{name: "sys_interval", set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, 0, 86400)
			m.c.SysIntervalSeconds = int(n)
			return err
		}},
		{name: "clientid_prefixes", once: true, set: func(m *mosquitto, rest string) error { m.c.ClientIDPrefix = rest; return nil }},
		{name: "retain_available", set: toSwitch(func(m *mosquitto) *bool { return &m.c.RetainAvailable })},
		{name: "queue_qos0_messages", set: toSwitch(func(m *mosquitto) *bool { return &m.c.QueueQoS0 })},
		{name: "websockets_headers_size", set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, 0, 64<<10)
			m.headerBytes = int(n)
			return err
		}},
		{name: "plugin", set: (*mosquitto).plugin},
		{name: "global_plugin", set: (*mosquitto).plugin},
		{name: "auth_plugin", set: (*mosquitto).plugin},
		{name: "plugin_use", set: (*mosquitto).plugin},
		{name: "plugin_load", set: (*mosquitto).plugin},
		{name: "auth_plugin_deny_special_chars", set: differs(true,
			"Client Identifiers and user names with + or # in them never widen a pattern in Gannet")},

		{name: "set_tcp_nodelay", set: differs(true, "Gannet always sets TCP_NODELAY")},
		{name: "upgrade_outgoing_qos", set: differs(false, "Gannet never delivers with a higher QoS than a message was published with")},
		{name: "allow_duplicate_messages", set: differs(true, "overlapping subscriptions of a 3.x client bring a message once for each of them")},
		{name: "check_retain_source", set: func(m *mosquitto, rest string) error {
			_, err := m.parseSwitch(rest)
			if err == nil {
				m.note("ignored: Gannet asks whether the subscriber may receive a retained message, not whether its publisher still may publish it")
			}
			return err
		}},
		{name: "enable_control_api", set: differs(false, "Gannet has no $CONTROL topics")},
	}
}

func limitOptions() []option {
	return []option{
		{name: "global_max_connections", set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, -1, math.MaxInt32)
			m.c.MaxConnections = int(max(n, 0))
			return err
		}},
		{name: "global_max_clients", set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, -1, math.MaxInt32)
			m.c.MaxSessions = int(max(n, 0))
			return err
		}},
		{name: "max_inflight_messages", set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, 0, math.MaxInt32)
			if n == 0 || n > math.MaxUint16 {
				n = math.MaxUint16 // no client may have more
			}
			m.c.MaxInflight = uint16(n)
			return err
		}},
		{name: "max_inflight_bytes", set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, 0, unlimited)
			if err == nil && n > 0 {
				m.note("has no equivalent in Gannet and is ignored: max_inflight_messages bounds what is in flight, max-outbound-bytes what the network has not taken")
			}
			return err
		}},
		{name: "max_queued_messages", set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, 0, math.MaxInt32)
			if n == 0 {
				n = math.MaxInt32
			}
			m.c.MaxQueuedMessages = int(n)
			return err
		}},
		{name: "max_queued_bytes", set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, 0, unlimited)
			if n == 0 {
				n = unlimited
			}
			m.c.MaxQueuedBytes = n
			return err
		}},
		{name: "max_keepalive", set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, 0, math.MaxUint16)
			if err == nil && n > 0 && n < 10 {
				return m.mistake(fmt.Sprintf("%d is out of range: write 0 for no limit, or 10 to 65535", n))
			}
			m.c.MaxKeepAlive = uint16(n)
			return err
		}},
		{name: "max_packet_size", set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, 20, math.MaxUint32)
			if err == nil && n < 1<<10 {
				m.note("raised to 1024 bytes, the least that Gannet takes")
			}
			m.c.MaxPacketSize = uint32(min(max(n, 1<<10), maxPacket))
			return err
		}},
		{name: "message_size_limit", set: func(m *mosquitto, rest string) (err error) {
			m.c.MaxPayload, err = m.parseNumber(rest, 0, maxPacket)
			return err
		}},
		{name: "memory_limit", set: func(m *mosquitto, rest string) (err error) {
			m.c.MemoryLimit, err = m.parseNumber(rest, 0, unlimited)
			return err
		}},
		{name: "max_topic_alias_broker", set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, 0, math.MaxUint16)
			m.c.TopicAliasMaximumOut = uint16(n)
			return err
		}},
		{name: "persistent_client_expiration", set: func(m *mosquitto, rest string) error {
			n, err := parseExpiration(m.word(rest))
			if err != nil {
				return m.mistake(err.Error())
			}
			m.c.MaxSessionExpiry = n
			return nil
		}},
	}
}

func accessOptions() []option {
	return []option{
		{name: "allow_anonymous", scope: scopeAccess, set: func(m *mosquitto, rest string) error {
			yes, err := m.parseSwitch(rest)
			m.security().AllowAnonymous = choose(yes)
			return err
		}},
		{name: "allow_zero_length_clientid", scope: scopeAccess, set: toSwitch(func(m *mosquitto) *bool { return &m.security().AllowZeroLengthClientID })},
		{name: "auto_id_prefix", scope: scopeAccess, once: true, set: func(m *mosquitto, rest string) error {
			if len(rest) > 50 {
				return m.mistake("longer than 50 bytes")
			}
			m.security().AutoIDPrefix = rest
			return nil
		}},
		{name: "password_file", scope: scopeAccess, once: true, set: func(m *mosquitto, rest string) error {
			m.security().PasswordFile = file(rest)
			return nil
		}},
		{name: "acl_file", scope: scopeAccess, once: true, set: func(m *mosquitto, rest string) error {
			m.security().ACLFile = file(rest)
			return nil
		}},
		{name: "psk_file", scope: scopeAccess, set: func(m *mosquitto, _ string) error {
			return m.mistake("pre-shared keys are not offered: Go's TLS has none: give the listener a certfile and a keyfile, and remove this line")
		}},
	}
}

func listenerOptions() []option {
	return []option{
		{name: "listener", set: (*mosquitto).listener},
		{name: "port", set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, 1, math.MaxUint16)
			m.general.Port, m.general.touched = uint16(n), true
			m.openedAt = cmp.Or(m.openedAt, m.where+": port")
			return err
		}},
		{name: "bind_address", once: true, set: func(m *mosquitto, rest string) error {
			m.general.Host, m.general.touched = m.word(rest), true
			m.openedAt = cmp.Or(m.openedAt, m.where+": bind_address")
			return nil
		}},
		{name: "bind_interface", scope: scopeListener, once: true, set: func(m *mosquitto, rest string) error {
			m.current.Interface = m.word(rest)
			return nil
		}},
		{name: "socket_domain", scope: scopeListener, set: func(m *mosquitto, rest string) error {
			word, err := parseOneOf(m.word(rest), string(IPv4), string(IPv6))
			if err != nil {
				return m.mistake(err.Error())
			}
			m.current.Family = Family(word)
			return nil
		}},
		{name: "protocol", scope: scopeListener, set: func(m *mosquitto, rest string) error {
			word, err := parseOneOf(m.word(rest), "mqtt", "websockets", "http_api", "mqttsn")
			if err == nil && word == "mqttsn" {
				err = fmt.Errorf("MQTT-SN is not served")
			}
			if err != nil {
				return m.mistake(err.Error())
			}
			m.current.protocol = word
			return nil
		}},
		{name: "mount_point", scope: scopeListener, once: true, set: func(m *mosquitto, rest string) error {
			if m.current == &m.general {
				return m.mistake("there is no listener before it: write listener PORT first")
			}
			m.current.MountPoint = rest
			return nil
		}},
		{name: "max_connections", scope: scopeListener, set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, -1, math.MaxInt32)
			m.current.MaxConnections = int(max(n, 0))
			return err
		}},
		{name: "max_qos", scope: scopeListener, set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, 0, 2)
			most := byte(n)
			m.current.MaxQoS = &most
			return err
		}},
		{name: "max_topic_alias", scope: scopeListener, set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, 0, math.MaxUint16)
			most := uint16(n)
			m.current.TopicAliasMaximum = &most
			return err
		}},
		{name: "accept_protocol_versions", scope: scopeListener, set: func(m *mosquitto, rest string) error {
			list, err := parseVersions(strings.Join(strings.FieldsFunc(rest, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }), ","))
			if err != nil {
				return m.mistake(err.Error())
			}
			m.current.Versions = list
			return nil
		}},
		{name: "use_username_as_clientid", scope: scopeListener, set: toSwitch(func(m *mosquitto) *bool { return &m.current.UseUsernameAsClientID })},
		{name: "listener_allow_anonymous", scope: scopeListener, set: func(m *mosquitto, rest string) error {
			yes, err := m.parseSwitch(rest)
			m.current.anonymous = choose(yes)
			return err
		}},
		{name: "listener_auto_id_prefix", scope: scopeListener, once: true, set: func(m *mosquitto, rest string) error {
			if len(rest) > 50 {
				return m.mistake("longer than 50 bytes")
			}
			m.current.autoIDPrefix = rest
			return nil
		}},

		{name: "certfile", scope: scopeListener, once: true, set: func(m *mosquitto, rest string) error {
			m.current.TLS.CertFiles = []string{file(rest)}
			return nil
		}},
		{name: "keyfile", scope: scopeListener, once: true, set: func(m *mosquitto, rest string) error {
			m.current.TLS.KeyFiles = []string{file(rest)}
			return nil
		}},
		{name: "cafile", scope: scopeListener, once: true, set: toFile(func(m *mosquitto) *string { return &m.current.TLS.CAFile })},
		{name: "capath", scope: scopeListener, once: true, set: toFile(func(m *mosquitto) *string { return &m.current.TLS.CAPath })},
		{name: "crlfile", scope: scopeListener, once: true, set: func(m *mosquitto, rest string) error {
			m.current.TLS.CRLFiles = []string{file(rest)}
			return nil
		}},
		{name: "require_certificate", scope: scopeListener, set: toSwitch(func(m *mosquitto) *bool { return &m.current.requireCertificate })},
		{name: "use_identity_as_username", scope: scopeListener, set: toSwitch(func(m *mosquitto) *bool { return &m.current.useIdentity })},
		{name: "use_subject_as_username", scope: scopeListener, set: toSwitch(func(m *mosquitto) *bool { return &m.current.useSubject })},
		{name: "tls_version", scope: scopeListener, set: func(m *mosquitto, rest string) error {
			word, err := parseOneOf(m.word(rest), "tlsv1.3", "tlsv1.2", "tlsv1.1", "tlsv1")
			switch {
			case err != nil:
				return m.mistake(err.Error())
			case word == "tlsv1.1" || word == "tlsv1":
				m.note("TLS below 1.2 is broken and not offered: tlsv1.2 is the oldest")
				word = "tlsv1.2"
			}
			m.current.TLS.MinVersion = word
			return nil
		}},
		{name: "ciphers", scope: scopeListener, once: true, set: func(m *mosquitto, rest string) error {
			m.current.TLS.Ciphers = rest
			return nil
		}},
		{name: "tls_keyform", scope: scopeListener, set: func(m *mosquitto, rest string) error {
			word, err := parseOneOf(m.word(rest), "pem", "engine")
			if err == nil && word == "engine" {
				err = fmt.Errorf("keys in an OpenSSL engine are not supported: name a PEM file with keyfile")
			}
			if err != nil {
				return m.mistake(err.Error())
			}
			return nil
		}},
		{name: "psk_hint", scope: scopeListener, set: func(m *mosquitto, _ string) error {
			return m.mistake("pre-shared keys are not offered: Go's TLS has none, and without them this listener would be open: " +
				"give it a certfile and a keyfile, and remove this line")
		}},
		{name: "disable_client_cert_date_checks", scope: scopeListener, set: func(m *mosquitto, rest string) error {
			yes, err := m.parseSwitch(rest)
			if err == nil && yes {
				m.note("has no equivalent in Gannet and is ignored: a certificate that has run out is refused")
			}
			return err
		}},

		{name: "enable_proxy_protocol", scope: scopeListener, set: func(m *mosquitto, rest string) error {
			n, err := m.parseNumber(rest, 1, 2)
			m.current.Proxy.Mode, m.current.Proxy.Version = ProxyRequired, int(n)
			return err
		}},
		{name: "proxy_protocol_v2_require_tls", scope: scopeListener, set: toSwitch(func(m *mosquitto) *bool { return &m.current.proxyTLS })},
		{name: "websockets_origin", scope: scopeListener, set: func(m *mosquitto, rest string) error {
			if len(m.current.WebSocket.Origins) >= maxListed {
				return m.mistake(fmt.Sprintf("more than %d", maxListed))
			}
			m.current.WebSocket.Origins = append(m.current.WebSocket.Origins, rest)
			return nil
		}},
	}
}

// ignoredOptions are those that change nothing here, each with its reason.
func ignoredOptions() []option {
	const durable = "is ignored: Gannet has what it acknowledges on the disk at once, and never saves by the clock"
	return []option{
		{name: "autosave_interval", ignored: durable},
		{name: "autosave_on_changes", ignored: durable},
		{name: "persistence_file", ignored: "is ignored: Gannet's store is a folder, and mosquitto's file is not read"},
		{name: "packet_buffer_size", ignored: "is ignored: buffers belong to event loops, not to connections"},
		{name: "retain_expiry_interval", ignored: "is ignored: a retained message that has expired is never delivered, and forgotten without a sweep"},
		{name: "websockets_log_level", ignored: "is ignored: libwebsockets is not used"},
		{name: "dhparamfile", ignored: "is ignored: Go's TLS agrees on keys with elliptic curves only"},
		{name: "ciphers_tls1.3", ignored: "is ignored: Go's TLS does not let one choose among the suites of TLS 1.3, which are all sound"},
		{name: "tls_engine", ignored: noEngine},
		{name: "tls_engine_kpass_sha1", ignored: noEngine},
		{name: "retry_interval", ignored: "is ignored, as by mosquitto since 1.5"},
		{name: "store_clean_interval", ignored: "is ignored, as by mosquitto since 1.5"},
		{name: "max_log_entries", ignored: "is ignored, as by mosquitto"},
		{name: "trace_level", ignored: "is ignored, as by mosquitto"},
		{name: "trace_output", ignored: "is ignored, as by mosquitto"},
		{name: "ffdc_output", ignored: "is ignored, as by mosquitto"},
	}
}

// bridgeOptions belong to a connection, of which one warning tells.
func bridgeOptions() []option {
	out := []option{{name: "connection", scope: scopeBridge, set: func(m *mosquitto, rest string) error {
		m.warn(fmt.Sprintf("connection %s and the lines that belong to it are ignored: Gannet has no bridges", shorten(rest)))
		return nil
	}}}
	for _, name := range []string{
		"address", "addresses", "bridge_alpn", "bridge_attempt_unsubscribe", "bridge_bind_address", "bridge_cafile", "bridge_capath",
		"bridge_certfile", "bridge_ciphers", "bridge_ciphers_tls1.3", "bridge_identity", "bridge_insecure", "bridge_keyfile",
		"bridge_max_packet_size", "bridge_max_topic_alias", "bridge_outgoing_retain", "bridge_protocol_version", "bridge_psk",
		"bridge_receive_maximum", "bridge_reload_type", "bridge_require_ocsp", "bridge_session_expiry_interval", "bridge_tcp_keepalive",
		"bridge_tcp_user_timeout", "bridge_tls_use_os_certs", "bridge_tls_version", "cleansession", "clientid", "idle_timeout",
		"keepalive_interval", "local_cleansession", "local_clientid", "local_password", "local_username", "notification_topic",
		"notifications", "notifications_local_only", "password", "remote_clientid", "remote_password", "remote_username",
		"restart_timeout", "round_robin", "start_type", "threshold", "topic", "try_private", "username",
	} {
		out = append(out, option{name: name, scope: scopeBridge, set: func(*mosquitto, string) error { return nil }})
	}
	return out
}

func toSwitch(field func(*mosquitto) *bool) func(*mosquitto, string) error {
	return func(m *mosquitto, rest string) error {
		yes, err := m.parseSwitch(rest)
		*field(m) = yes
		return err
	}
}

func toFile(field func(*mosquitto) *string) func(*mosquitto, string) error {
	return func(m *mosquitto, rest string) error {
		*field(m) = file(rest)
		return nil
	}
}

// differs is a switch that Gannet has in one position only.
func differs(fixed bool, why string) func(*mosquitto, string) error {
	return func(m *mosquitto, rest string) error {
		yes, err := m.parseSwitch(rest)
		if err == nil && yes != fixed {
			m.note(fmt.Sprintf("%t is ignored: %s", yes, why))
		}
		return err
	}
}

func choose(yes bool) Choice {
	if yes {
		return Yes
	}
	return No
}

// logDestination adds a destination.
func (m *mosquitto) logDestination(rest string) error {
	word, more := cutWord(rest)
	if m.logDest == nil {
		m.logDest = []string{}
	}
	switch word {
	case "stdout", "stderr", "syslog":
		if !slices.Contains(m.logDest, word) {
			m.logDest = append(m.logDest, word)
		}
	case "none":
		m.logTypes = append(m.logTypes, "none")
	case "file":
		switch {
		case more == "":
			return m.mistake("file has no name: write log_dest file PATH")
		case slices.ContainsFunc(m.logDest, func(d string) bool { return strings.HasPrefix(d, logFile) }):
			return m.mistake("there is a file already, and one is allowed")
		}
		m.logDest = append(m.logDest, logFile+more)
	case "topic", "dlt", "android":
		m.note(word + " has no equivalent in Gannet and is ignored")
	default:
		_, err := parseOneOf(shorten(word), "stdout", "stderr", "syslog", "file", "topic", "none")
		return m.mistake(err.Error())
	}
	return nil
}

// settleLog turns destinations and types into what Gannet has: the least severe level that is logged.
func (m *mosquitto) settleLog() {
	if len(m.logDest) > 0 {
		m.c.LogDest = m.logDest
	}
	has := func(words ...string) bool {
		return slices.ContainsFunc(m.logTypes, func(t string) bool { return slices.Contains(words, t) })
	}
	switch {
	case has("none"):
		m.c.LogDest = nil
	case has("all", "debug", "subscribe", "unsubscribe", "websockets", "internal"):
		m.c.LogLevel = slog.LevelDebug
	case has("information", "notice"):
	case has("warning"):
		m.c.LogLevel = slog.LevelWarn
	case has("error"):
		m.c.LogLevel = slog.LevelError
	}
}

// Plugins of mosquitto 2.1 that do what it did by itself before.
const (
	passwordPlugin = "mosquitto_password_file.so"
	aclPlugin      = "mosquitto_acl_file.so"
	storePlugin    = "mosquitto_persist_sqlite.so"
)

// plugin accepts the plugins whose work Gannet does itself. Any other may be what keeps strangers out, so that to ignore it would be
// wrong.
func (m *mosquitto) plugin(rest string) error {
	m.pluginFile = path.Base(rest)
	switch m.pluginFile {
	case passwordPlugin, aclPlugin:
	case storePlugin:
		m.persistence, m.persistenceAt = true, m.where+": plugin "+storePlugin
	default:
		return m.mistake("Gannet loads no plugins, and without this one clients may be let in whom it keeps out: " +
			"use password_file, acl_file, or Gannet's tokens or HTTP service, and remove the lines of the plugin")
	}
	return nil
}

// pluginOption takes an option of the last plugin.
func (m *mosquitto) pluginOption(key, rest string) error {
	m.option = &option{name: "plugin_opt_" + key}
	switch {
	case m.pluginFile == "":
		return m.mistake("there is no plugin before it")
	case rest == "":
		return m.mistake("value missing")
	case m.pluginFile == passwordPlugin && key == "password_file":
		m.security().PasswordFile = file(rest)
	case m.pluginFile == aclPlugin && key == "acl_file":
		m.security().ACLFile = file(rest)
	default:
		m.note("has no equivalent in Gannet and is ignored")
	}
	return nil
}

// parseExpiration reads a number of seconds, or of h, d, w, m (30 days) and y (365 days).
func parseExpiration(text string) (uint32, error) {
	digits, factor := text, int64(1)
	for suffix, seconds := range map[string]int64{"s": 1, "h": 3600, "d": 86400, "w": 7 * 86400, "m": 30 * 86400, "y": 365 * 86400} {
		if number, found := strings.CutSuffix(text, suffix); found {
			digits, factor = number, seconds
		}
	}
	n, err := parseWhole(digits, 0, math.MaxInt32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time: write a number with h, d, w, m or y", shorten(text))
	}
	if n *= factor; n == 0 || n >= int64(Never) {
		return Never, nil
	}
	return uint32(n), nil
}

// settleStore turns persistence into a store.
func (m *mosquitto) settleStore(path string) {
	m.c.InMemory = !m.persistence
	m.c.Durability = Off
	if m.persistence {
		m.c.Durability = Sync
	}
	m.c.DataDir = filepath.Join(m.location, storeFolder)
	if !m.persistence {
		m.source.warn(cmp.Or(m.persistenceAt, path+": persistence") + " is not true, as is mosquitto's default: " +
			"sessions and retained messages end with the process")
		return
	}
	m.source.warn(m.persistenceAt + ": the store is " + m.c.DataDir + "; what is in mosquitto.db is not read")
}

// storeFolder is Gannet's place in mosquitto's persistence_location, beside mosquitto's own files.
const storeFolder = "gannet"
