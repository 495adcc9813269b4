package main

// command tells which of the two clients a flag belongs to.
type command byte

const (
	commandPub command = 1 << iota
	commandSub
	commandBoth = commandPub | commandSub
)

func (c command) String() string {
	if c == commandPub {
		return "pub"
	}
	return "sub"
}

// clientFlag is one row of the table of flags.
type clientFlag struct {
	command     command
	short, long string // either may be empty
	placeholder string // empty: takes no argument
	missing     string // what "given but no X specified" calls the argument; empty: set judges it
	help        string
	set         func(f *clientFlags, args *argumentList) error
}

// argumentList hands out the arguments one by one.
type argumentList struct{ rest []string }

func (a *argumentList) next() (string, bool) {
	if len(a.rest) == 0 {
		return "", false
	}
	first := a.rest[0]
	a.rest = a.rest[1:]
	return first, true
}

// one makes a setter of a flag with one argument.
func one(set func(f *clientFlags, text string) error) func(*clientFlags, *argumentList) error {
	return func(f *clientFlags, args *argumentList) error {
		text, _ := args.next() // parseClientFlags has seen that there is one
		return set(f, text)
	}
}

// toggle makes a setter of a flag without argument.
func toggle(set func(f *clientFlags)) func(*clientFlags, *argumentList) error {
	return func(f *clientFlags, _ *argumentList) error { set(f); return nil }
}

// clientFlagTable lists the flags of pub and sub in the order of --help.
func clientFlagTable() []clientFlag {
	return []clientFlag{
		{commandBoth, "-h", "--host", "HOST", "host", "Server to connect to; default localhost.",
			one(func(f *clientFlags, t string) error { f.host = t; return nil })},
		{commandBoth, "-p", "--port", "PORT", "port", "Port to connect to; default 1883, with TLS 8883. 8883 means TLS.",
			one(setPort)},
		{commandBoth, "-L", "--url", "URL", "URL", "User, server and topic at once: mqtt://[USER[:PASSWORD]@]HOST[:PORT]/TOPIC; mqtts for TLS, ws for WebSocket, wss for both.",
			one(setURL)},
		{commandBoth, "", "--unix", "PATH", "socket path", "Connect to a Unix socket.",
			one(func(f *clientFlags, t string) error { f.transport.unix = t; return nil })},
		{commandBoth, "", "--ws", "", "", "Connect by WebSocket.",
			toggle(func(f *clientFlags) { f.transport.ws = true })},
		{commandBoth, "", "--ws-path", "/PATH", "path", "Path of the WebSocket at the server; default /mqtt.",
			one(func(f *clientFlags, t string) error { f.transport.wsPath = t; return nil })},
		{commandBoth, "", "--cafile", "FILE", "file", "Connect by TLS, and trust servers that an authority in FILE (PEM) has signed for.",
			one(func(f *clientFlags, t string) error { f.transport.caFile = t; return nil })},
		{commandBoth, "", "--capath", "FOLDER", "directory", "The same with all files in FOLDER.",
			one(func(f *clientFlags, t string) error { f.transport.caPath = t; return nil })},
		{commandBoth, "", "--tls-use-os-certs", "", "", "Connect by TLS, and trust the authorities that the operating system does. So do mqtts, wss and port 8883 by themselves.",
			toggle(func(f *clientFlags) { f.transport.osCerts = true })},
		{commandBoth, "", "--cert", "FILE", "file", "Certificate (PEM) to show to the server; needs --key.",
			one(func(f *clientFlags, t string) error { f.transport.certFile = t; return nil })},
		{commandBoth, "", "--key", "FILE", "file", "Private key (PEM) of the certificate.",
			one(func(f *clientFlags, t string) error { f.transport.keyFile = t; return nil })},
		{commandBoth, "", "--keyform", "pem", "keyform", "Form of the key: there is one.",
			one(func(f *clientFlags, t string) error { f.transport.keyForm = t; return nil })},
		{commandBoth, "", "--insecure", "", "", "Accept a certificate for another host: whoever has one from the same authority can pretend to be the server.",
			toggle(func(f *clientFlags) { f.transport.insecure = true })},
		{commandBoth, "", "--tls-version", "tlsv1.2|tlsv1.3", "version", "Oldest TLS version to speak; default tlsv1.2.",
			one(func(f *clientFlags, t string) error { f.transport.tlsVersion = t; return nil })},
		{commandBoth, "", "--tls-alpn", "NAME", "protocol", "Protocol to ask for by ALPN.",
			one(func(f *clientFlags, t string) error { f.transport.alpn = t; return nil })},
		{commandBoth, "", "--ciphers", "LIST", "ciphers", "Cipher suites for TLS 1.2, as OpenSSL names them.",
			one(func(f *clientFlags, t string) error { f.transport.list = t; return nil })},
		{commandBoth, "", "--no-tls", "", "", "Do not use TLS, whatever else says so.",
			toggle(func(f *clientFlags) { f.transport.noTLS = true })},
		{commandPub, "-t", "--topic", "TOPIC", "topic", "Topic to publish to.", one(addTopic)},
		{commandSub, "-t", "--topic", "FILTER", "topic", "Topic, or filter with + and #, to subscribe to; may be repeated.", one(addTopic)},
		{commandPub, "-m", "--message", "TEXT", "message", "Publish TEXT.",
			one(func(f *clientFlags, t string) error { f.payload = []byte(t); return f.setSource(sourceMessage) })},
		{commandPub, "-f", "--file", "FILE", "file", "Publish the content of FILE as one message.",
			one(func(f *clientFlags, t string) error { f.file = t; return f.setSource(sourceFile) })},
		{commandPub, "-l", "--stdin-line", "", "", "Publish each line of the standard input as a message.",
			func(f *clientFlags, _ *argumentList) error { return f.setSource(sourceLines) }},
		{commandPub, "-s", "--stdin-file", "", "", "Publish the whole standard input as one message.",
			func(f *clientFlags, _ *argumentList) error { return f.setSource(sourceStdin) }},
		{commandPub, "-n", "--null-message", "", "", "Publish an empty message; with -r this removes the retained one.",
			func(f *clientFlags, _ *argumentList) error { return f.setSource(sourceNull) }},
		{commandPub, "-q", "--qos", "0|1|2", "QoS", "QoS of the messages; default 0.", one(setQoS)},
		{commandSub, "-q", "--qos", "0|1|2", "QoS", "QoS of the subscriptions; default 0.", one(setQoS)},
		{commandPub, "-r", "--retain", "", "", "Have the server retain the message.",
			toggle(func(f *clientFlags) { f.retain = true })},
		{commandPub, "", "--repeat", "N", "count", "Publish the message N times; default 1.",
			one(setRepeat)},
		{commandPub, "", "--repeat-delay", "SECONDS", "time", "Time between two repetitions; default 0.",
			one(setRepeatDelay)},

		{commandSub, "-v", "--verbose", "", "", "Print the topic before each message.",
			toggle(func(f *clientFlags) { f.verbose = true })},
		{commandSub, "-F", "", "FORMAT", "format", "Print FORMAT for each message: %t topic, %p payload, %x %X payload in hexadecimal, %l its length, " +
			"%q QoS, %r retain, %m packet identifier, %C content type, %R response topic, %D correlation data, %E expiry, " +
			"%F payload format, %S subscription identifiers, %P user properties, %I time, %U seconds, %j JSON, %% a percent sign; " +
			"%10t, %-10t and %.5t set widths; \\n \\t \\r \\0 \\e \\a \\v \\\\ are characters.",
			one(func(f *clientFlags, t string) error { f.format = t; return checkFormat(t) })},
		{commandSub, "-N", "", "", "", "Print no newline after a message.",
			toggle(func(f *clientFlags) { f.noNewline = true })},
		{commandSub, "-C", "", "N", "count", "Exit after N messages.",
			one(setCount)},
		{commandSub, "-W", "", "SECONDS", "timeout", "Exit after SECONDS, with status 27.",
			one(setTimeout)},
		{commandSub, "-E", "", "", "", "Exit once the subscriptions are acknowledged.",
			toggle(func(f *clientFlags) { f.exitSubscribed = true })},
		{commandSub, "-R", "--no-retain", "", "", "Print no retained messages; with 5.0, do not ask for them.",
			toggle(func(f *clientFlags) { f.noRetained = true })},
		{commandSub, "", "--retained-only", "", "", "Print retained messages and exit at the first that is not.",
			toggle(func(f *clientFlags) { f.retainedOnly = true })},
		{commandSub, "", "--remove-retained", "", "", "Remove each retained message that is received; -T spares topics.",
			toggle(func(f *clientFlags) { f.removeRetained = true })},
		{commandSub, "", "--retain-as-published", "", "", "Keep the publisher's retain flag (5.0).",
			toggle(func(f *clientFlags) { f.retainAsPublished = true })},
		{commandSub, "-T", "--filter-out", "FILTER", "topic filter", "Do not print messages whose topic matches; may be repeated.",
			one(func(f *clientFlags, t string) error { f.without = append(f.without, t); return nil })},
		{commandSub, "-U", "--unsubscribe", "FILTER", "unsubscribe topic", "Unsubscribe from FILTER, which a kept Session may hold; may be repeated.",
			one(func(f *clientFlags, t string) error { f.unsubscribe = append(f.unsubscribe, t); return nil })},

		{commandBoth, "-i", "--id", "ID", "id", "Client Identifier; default gannet- and random letters.",
			one(func(f *clientFlags, t string) error { f.clientID = t; return nil })},
		{commandBoth, "-I", "--id-prefix", "PREFIX", "id prefix", "Client Identifier of PREFIX and the process number.",
			one(func(f *clientFlags, t string) error { f.prefix = t; return nil })},
		{commandBoth, "-u", "--username", "USER", "username", "User name.",
			one(func(f *clientFlags, t string) error { f.user = t; return nil })},
		{commandBoth, "-P", "--pw", "PASSWORD", "password", "Password. Others may see it in the list of processes.",
			one(func(f *clientFlags, t string) error { f.password = &t; return nil })},
		{commandBoth, "", "--scram", "", "", "Prove the password with SCRAM-SHA-256 instead of sending it (5.0).",
			toggle(func(f *clientFlags) { f.scram = true })},
		{commandBoth, "-c", "--disable-clean-session", "", "", "Keep the Session when the connection ends; needs -i.",
			toggle(func(f *clientFlags) { f.resume = true })},
		{commandBoth, "-x", "--session-expiry-interval", "SECONDS", "session expiry interval",
			"Time the Session outlives the connection (5.0); -1 for ever. Default: -1 with -c, else 0.",
			one(setExpiry)},
		{commandBoth, "-V", "--protocol-version", "mqttv31|mqttv311|mqttv5", "version", "Version of MQTT, also written 31, 311, 5; default mqttv311, with -D mqttv5.",
			one(setVersion)},
		{commandBoth, "-k", "--keepalive", "SECONDS", "keepalive", "Keep Alive; default 60.",
			one(setKeepAlive)},
		{commandBoth, "-M", "", "N", "max_inflight", "QoS 1 and 2 messages on their way at a time; default 20.",
			one(setMaxInflight)},
		{commandBoth, "-D", "--property", "COMMAND NAME VALUE", "", "A 5.0 property for connect, publish, subscribe, unsubscribe, disconnect or will, " +
			"named as in the specification (content-type); user-property takes a name and a value.",
			func(f *clientFlags, args *argumentList) error { return f.properties.parse(args) }},
		{commandBoth, "", "--will-topic", "TOPIC", "will topic", "Topic of the Will, which the server publishes when the connection is lost.",
			one(func(f *clientFlags, t string) error { f.willTopic = &t; return nil })},
		{commandBoth, "", "--will-payload", "TEXT", "will payload", "Payload of the Will.",
			one(func(f *clientFlags, t string) error { f.willPayload = &t; return nil })},
		{commandBoth, "", "--will-qos", "0|1|2", "will QoS", "QoS of the Will; default 0.",
			one(func(f *clientFlags, t string) (err error) {
				f.willQoSGiven = true
				f.willQoS, err = parseQoS(t, "will QoS")
				return err
			})},
		{commandBoth, "", "--will-retain", "", "", "Have the server retain the Will.",
			toggle(func(f *clientFlags) { f.willRetain = true })},
		{commandBoth, "-d", "--debug", "", "", "Print each packet sent and received.",
			toggle(func(f *clientFlags) { f.debug = true })},
		{commandBoth, "", "--quiet", "", "", "Print no errors.",
			toggle(func(f *clientFlags) { f.quiet = true })},
	}
}
