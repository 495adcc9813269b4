package config

import (
	"math"
	"net/netip"
)

const (
	groupListener  = "Settings of one listener"
	groupTLS       = "TLS of one listener"
	groupProxy     = "Proxies before one listener"
	groupWebSocket = "WebSocket of one listener"
)

// listenerSettings returns the table of a listener in the order of --help. The settings of access, which a listener may have as
// well, are in a table of their own.
func listenerSettings() []setting[Listener] {
	return []setting[Listener]{
		{groupListener, "name", plain("NAME", func(l *Listener) *string { return &l.Name }),
			"What logs and counters call the listener; otherwise its URL.", ""},
		{groupListener, "bind-interface", plain("DEVICE", func(l *Listener) *string { return &l.Interface }),
			"The only network interface on which it listens.", ""},
		{groupListener, "socket-domain", oneOf([]string{"", string(IPv4), string(IPv6)}, func(l *Listener) *Family { return &l.Family }),
			"The only family of addresses on which it listens.", ""},
		{groupListener, "socket-mode", octal(func(l *Listener) *uint32 { return &l.SocketMode }),
			"Permissions of a Unix socket, such as 0660; otherwise what the umask leaves.", ""},
		{groupListener, "mount-point", plain("PREFIX", func(l *Listener) *string { return &l.MountPoint }),
			"Put before each topic of its clients, and taken off again towards them: they see what is below it, and nothing else.", ""},
		{groupListener, "max-connections", whole("N", 0, math.MaxInt32, func(l *Listener) *int { return &l.MaxConnections }),
			"Network connections at one time through this listener; 0: bounded by those of the broker.",
			"A further connection is closed as soon as it is accepted."},
		{groupListener, "accept-protocol-versions", versions(),
			"Protocol versions that are served: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0.",
			"CONNECT is refused with 0x84 Unsupported Protocol Version."},
		{groupListener, "max-qos", optional("0|1|2", 0, 2, func(l *Listener) **byte { return &l.MaxQoS }),
			"Highest QoS for its clients, if that is less than the broker's.", "As for max-qos of the broker."},
		{groupListener, "topic-alias-maximum", optional("N", 0, math.MaxUint16, func(l *Listener) **uint16 { return &l.TopicAliasMaximum }),
			"Topic Aliases that a client of it may set up; otherwise as many as the broker allows.", "As for topic-alias-maximum of the broker."},
		{groupListener, "use-username-as-clientid", boolean(func(l *Listener) *bool { return &l.UseUsernameAsClientID }),
			"Whether the user name becomes the Client Identifier. Who has none is refused.", ""},

		{groupTLS, "certfile", texts("FILE", nil, func(l *Listener) *[]string { return &l.TLS.CertFiles }),
			"The server's certificate, PEM, with intermediate ones behind it. Several are chosen from by the name that a client asks for; " +
				"the first is for those who ask for none.", ""},
		{groupTLS, "keyfile", texts("FILE", nil, func(l *Listener) *[]string { return &l.TLS.KeyFiles }),
			"The key of each certfile, in the same order.", ""},
		{groupTLS, "cafile", plain("FILE", func(l *Listener) *string { return &l.TLS.CAFile }),
			"Authorities that sign the certificates of clients, PEM.", ""},
		{groupTLS, "capath", plain("DIR", func(l *Listener) *string { return &l.TLS.CAPath }),
			"A folder of such files.", ""},
		{groupTLS, "crlfile", texts("FILE", nil, func(l *Listener) *[]string { return &l.TLS.CRLFiles }),
			"Lists of revoked certificates, PEM or DER.", "The handshake fails."},
		{groupTLS, "allow-expired-crl", boolean(func(l *Listener) *bool { return &l.TLS.AllowExpiredCRL }),
			"Whether a list counts when its next update is overdue; otherwise whom it would judge is refused.", ""},
		{groupTLS, "require-certificate", clientCert(),
			"Whether clients must show a certificate: true, false, or optional.", "The handshake fails."},
		{groupTLS, "identity", numbered(identities(), func(l *Listener) *Identity { return &l.Identity }),
			"Which name in the client's certificate becomes its user name. No password is asked for then.",
			"Who has no such name is refused with 0x87 Not authorized."},
		{groupTLS, "tls-version", oneOf([]string{"", "tlsv1.2", "tlsv1.3"}, func(l *Listener) *string { return &l.TLS.MinVersion }),
			"Oldest version of TLS; otherwise 1.2.", "The handshake fails."},
		{groupTLS, "tls-version-max", oneOf([]string{"", "tlsv1.2", "tlsv1.3"}, func(l *Listener) *string { return &l.TLS.MaxVersion }),
			"Newest version of TLS; otherwise the newest there is.", ""},
		{groupTLS, "ciphers", plain("NAME:NAME", func(l *Listener) *string { return &l.TLS.Ciphers }),
			"Cipher suites of TLS 1.2, by the names of OpenSSL or of Go; otherwise all that are sound. Those of TLS 1.3 all are.", ""},
		{groupTLS, "tls-tickets", negated(func(l *Listener) *bool { return &l.TLS.NoTickets }),
			"Whether clients get session tickets, which make their next handshake a short one.", ""},

		{groupProxy, "proxy-protocol", numbered(proxyModes(), func(l *Listener) *ProxyMode { return &l.Proxy.Mode }),
			"Whether connections begin with a header of the PROXY protocol. optional: those of trusted proxies may.",
			"A connection without a header, or of somebody who is not trusted, is closed."},
		{groupProxy, "proxy-version", whole("0|1|2", 0, 2, func(l *Listener) *int { return &l.Proxy.Version }),
			"The only version of that header; 0: both.", "The connection is closed."},
		{groupProxy, "proxy-trusted", networks(func(l *Listener) *[]netip.Prefix { return &l.Proxy.Trusted }),
			"Networks of proxies, whose word is taken for the client's address, also in X-Forwarded-For. Without any, everybody may " +
				"send a PROXY header, and X-Forwarded-For counts for nothing.", ""},
		{groupProxy, "proxy-require-tls", boolean(func(l *Listener) *bool { return &l.Proxy.RequireTLS }),
			"Whether clients must have come to the proxy by TLS, as version 2 tells.", "The connection is closed."},
		{groupProxy, "proxy-require-certificate", boolean(func(l *Listener) *bool { return &l.Proxy.RequireCert }),
			"Whether clients must have shown the proxy a certificate, as version 2 tells.", "The connection is closed."},
		{groupProxy, "proxy-identity", boolean(func(l *Listener) *bool { return &l.Proxy.Identity }),
			"Whether the Common Name of that certificate becomes the user name.",
			"Who has none is refused with 0x87 Not authorized."},

		{groupWebSocket, "websockets-path", plain("PATH", func(l *Listener) *string { return &l.WebSocket.Path }),
			"The only path that is served; otherwise any.", "404 Not Found."},
		{groupWebSocket, "websockets-origin", texts("ORIGIN", nil, func(l *Listener) *[]string { return &l.WebSocket.Origins }),
			"Origins that browsers may come from, such as https://example.com; otherwise any.", "403 Forbidden."},
		{groupWebSocket, "websockets-headers-size", size(0, 64<<10, func(l *Listener) *int { return &l.WebSocket.HeaderBytes }),
			"Size of the HTTP request; 0: 8KiB.", "431 Request Header Fields Too Large."},
	}
}

// clientCert reads what people write for yes and no beside the three words.
func clientCert() value[Listener] {
	v := numbered(clientCerts(), func(l *Listener) *ClientCert { return &l.TLS.ClientCert })
	exactly := v.set
	v.set = func(l *Listener, text string) error {
		if yes, err := parseBool(text); err == nil {
			text = clientCerts()[CertNone]
			if yes {
				text = clientCerts()[CertRequired]
			}
		}
		return exactly(l, text)
	}
	return v
}
