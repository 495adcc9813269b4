package config

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// setting is one row of a table whose values end in a T: the whole Config, a
// Listener or an Access.
type setting[T any] struct {
	group    string
	name     string // as flag and as key; also the base of the variable's name
	value    value[T]
	help     string // what it is
	reaction string // what happens when the bound bites; empty: it is not a bound
}

const (
	groupListeners = "Listeners and access"
	groupTokens    = "JSON Web Tokens"
	groupService   = "Authentication by an HTTP service"
	groupAbuse     = "Protection from abuse"
	groupSys       = "Broker status"
	groupStorage   = "Storage"
	groupNetwork   = "Connections"
	groupProtocol  = "Packets"
	groupSessions  = "Sessions"
	groupQueues    = "Queues and memory"
	groupLog       = "Log"
	groupProcess   = "Process"
)

// maxPacket is the largest MQTT Control Packet: five bytes of fixed header and
// the largest Remaining Length.
const maxPacket = 5 + 268_435_455

// unlimited bounds what has no natural bound of its own.
const unlimited = math.MaxInt64

// settings returns the table of the whole broker in the order of --help.
func settings() []setting[Config] {
	listen := setting[Config]{groupListeners, "listen", listeners(),
		"Where clients connect: mqtt, mqtts, ws or wss://HOST:PORT (an empty host means every interface), or unix:///PATH. Settings of " +
			"the listener (see below) follow as a query: mqtts://:8883?certfile=server.crt&keyfile=server.key. " +
			"In the environment, commas separate several.", ""}
	return slices.Concat([]setting[Config]{listen}, lift(accessSettings(), func(c *Config) *Access { return &c.Access }), brokerSettings())
}

// brokerSettings are those of settings that are not about access.
func brokerSettings() []setting[Config] {
	return []setting[Config]{
		{groupStorage, "data-dir", text("DIR", func(c *Config) *string { return &c.DataDir }),
			"Folder of the store: Sessions that outlive their connection, what is queued for them, retained messages and Wills. " +
				"Made if it is not there; one broker at a time. See gannet store --help.", ""},
		{groupStorage, "durability", numbered(durabilities(), func(c *Config) *Durability { return &c.Durability }),
			"What an acknowledgement promises. sync: what it is for is on the disk and survives power failure; os: it is with the " +
				"operating system and survives the end of the process, not power failure; off: it is in memory and ends with the process.", ""},
		{groupStorage, "in-memory", boolean(func(c *Config) *bool { return &c.InMemory }),
			"The same as --durability off: nothing is written to data-dir.", ""},
		{groupStorage, "max-store-bytes", size(0, unlimited, func(c *Config) *int64 { return &c.MaxStoreBytes }),
			"What the store may occupy on the disk; 0: not limited. Looked at each second, so it can be exceeded by what comes in that time.",
			"A PUBLISH that would have to be stored is refused with 0x97 Quota exceeded, a 3.x client is disconnected, " +
				"until there is space again. QoS 0 flows on."},
		{groupStorage, "max-pending-bytes", size(1<<20, unlimited, func(c *Config) *int64 { return &c.MaxPendingBytes }),
			"Memory for records, with their messages, that wait for the disk.",
			"As for max-store-bytes."},
		{groupStorage, "store-memtable", size(4<<20, 1<<30, func(c *Config) *int64 { return &c.StoreMemtable }),
			"Memory that collects records before they become a table. What is acknowledged in that time is never part of one, " +
				"so more memory means fewer writes. Up to four are in memory when the disk is slow.", ""},
		{groupStorage, "store-cache", size(1<<20, unlimited, func(c *Config) *int64 { return &c.StoreCache }),
			"Memory for parts of tables that were read.", ""},

		{groupNetwork, "max-connections", whole("N", 0, math.MaxInt32, func(c *Config) *int { return &c.MaxConnections }),
			"Network connections at one time; 0: as many as file descriptors allow.",
			"A further connection is closed as soon as it is accepted."},
		{groupNetwork, "max-accept-rate", whole("N/s", 0, 10_000_000, func(c *Config) *int { return &c.MaxAcceptRate }),
			"New network connections a second; 0: not limited.",
			"Accepting pauses; connections wait in the system's backlog."},
		{groupNetwork, "connect-timeout", duration(100*time.Millisecond, time.Hour, func(c *Config) *time.Duration { return &c.ConnectTimeout }),
			"Time from the network connection to an accepted CONNECT, authentication included.",
			"The connection is closed."},
		{groupNetwork, "max-handshakes", whole("N", 1, math.MaxInt32, func(c *Config) *int { return &c.MaxHandshakes }),
			"Connections whose TLS handshake or PROXY header is not finished.",
			"The one that has waited longest for its client is closed to make room, if that is a second or more; " +
				"else connections wait in the system's backlog."},
		{groupNetwork, "handshake-timeout", duration(100*time.Millisecond, time.Hour, func(c *Config) *time.Duration { return &c.HandshakeTimeout }),
			"Time from the network connection to the end of the PROXY header and of the TLS handshake.",
			"The connection is closed."},
		{groupNetwork, "max-loop-lag", duration(0, time.Hour, func(c *Config) *time.Duration { return &c.MaxLoopLag }),
			"How late an event loop may be before it takes no further clients; 0s: it always does.",
			"CONNECT is refused with 0x89 Server busy; clients that are connected stay."},
		{groupNetwork, "max-keep-alive", seconds(math.MaxUint16*time.Second, func(c *Config) *uint16 { return &c.MaxKeepAlive }),
			"Longest Keep Alive, in whole seconds; 0: whatever the client asks for.",
			"A 5.0 client is told the lower value (Server Keep Alive); a 3.x client that asks for more is refused."},

		{groupProtocol, "max-connect-size", size(1<<10, maxPacket, func(c *Config) *uint32 { return &c.MaxConnectSize }),
			"Size of a packet before authentication has succeeded; never more than max-packet-size.",
			"Refused with 0x95 Packet too large and closed, judged by the packet's header alone."},
		{groupProtocol, "max-packet-size", size(1<<10, maxPacket, func(c *Config) *uint32 { return &c.MaxPacketSize }),
			"Size of a packet from a client; announced to 5.0 clients.",
			"DISCONNECT 0x95 Packet too large, judged by the packet's header alone."},
		{groupProtocol, "max-payload", size(0, maxPacket, func(c *Config) *int64 { return &c.MaxPayload }),
			"Size of the payload of a PUBLISH; 0: bounded by max-packet-size.",
			"The message goes nowhere: a 5.0 client is told 0x97 Quota exceeded, a 3.x client gets its acknowledgement."},
		{groupProtocol, "max-topic-length", whole("BYTES", 16, math.MaxUint16, func(c *Config) *int { return &c.MaxTopicLength }),
			"Length of a Topic Name or Topic Filter.",
			"PUBLISH: 0x90 Topic Name invalid; SUBSCRIBE: 0x8F Topic Filter invalid for that filter."},
		{groupProtocol, "max-topic-levels", whole("N", 1, math.MaxUint16, func(c *Config) *int { return &c.MaxTopicLevels }),
			"Levels of a Topic Name or Topic Filter.",
			"As for max-topic-length."},
		{groupProtocol, "max-qos", whole("0|1|2", 0, 2, func(c *Config) *byte { return &c.MaxQoS }),
			"Highest QoS of a PUBLISH; announced to 5.0 clients (Maximum QoS). Subscriptions are granted no more than it.",
			"DISCONNECT 0x9B QoS not supported; a 3.x client is disconnected."},
		{groupProtocol, "retain-available", boolean(func(c *Config) *bool { return &c.RetainAvailable }),
			"Whether messages may be retained; announced to 5.0 clients.",
			"DISCONNECT 0x9A Retain not supported; a 3.x client is disconnected."},
		{groupProtocol, "receive-maximum", whole("N", 1, math.MaxUint16, func(c *Config) *uint16 { return &c.ReceiveMaximum }),
			"QoS 1 and 2 messages a client may have on the way to the server; announced to 5.0 clients.",
			"DISCONNECT 0x93 Receive Maximum exceeded."},
		{groupProtocol, "topic-alias-maximum", whole("N", 0, math.MaxUint16, func(c *Config) *uint16 { return &c.TopicAliasMaximum }),
			"Topic Aliases a client may set up, for each connection; announced to 5.0 clients.",
			"DISCONNECT 0x94 Topic Alias invalid."},
		{groupProtocol, "topic-alias-maximum-out", whole("N", 0, math.MaxUint16, func(c *Config) *uint16 { return &c.TopicAliasMaximumOut }),
			"Topic Aliases the server sets up towards a 5.0 client that accepts them.",
			"Further topics are sent in full."},

		{groupSessions, "max-sessions", whole("N", 0, math.MaxInt32, func(c *Config) *int { return &c.MaxSessions }),
			"Sessions, connected or waiting for their client; 0: not limited.",
			"CONNECT for a new Session is refused with 0x97 Quota exceeded."},
		{groupSessions, "max-session-expiry", expiry(func(c *Config) *uint32 { return &c.MaxSessionExpiry }),
			"Longest time a Session outlives its connection, in whole seconds, or never for no limit.",
			"The interval is lowered, and a 5.0 client is told so in CONNACK."},
		{groupSessions, "max-subscriptions", whole("N", 1, math.MaxInt32, func(c *Config) *int { return &c.MaxSubscriptions }),
			"Subscriptions of one client.",
			"SUBACK 0x97 Quota exceeded for that Topic Filter."},
		{groupSessions, "max-inflight", whole("N", 1, math.MaxUint16, func(c *Config) *uint16 { return &c.MaxInflight }),
			"QoS 1 and 2 messages on the way to one client, unless its own Receive Maximum is lower.",
			"Further messages wait in the Session's queue."},
		{groupSessions, "shared-strategy", oneOf(sharedStrategies(), func(c *Config) *string { return &c.SharedStrategy }),
			"How a shared subscription picks the member that gets a message.", ""},

		{groupQueues, "max-queued-messages", whole("N", 0, math.MaxInt32, func(c *Config) *int { return &c.MaxQueuedMessages }),
			"Messages waiting for one Session.",
			"A 5.0 publisher is told 0x97 Quota exceeded when nobody could take its message; " +
				"else the Session's oldest waiting message is dropped and counted."},
		{groupQueues, "max-queued-bytes", size(0, unlimited, func(c *Config) *int64 { return &c.MaxQueuedBytes }),
			"Bytes of messages waiting for one Session.",
			"As for max-queued-messages."},
		{groupQueues, "max-group-queued-messages", whole("N", 0, math.MaxInt32, func(c *Config) *int { return &c.MaxGroupQueuedMessages }),
			"Messages waiting for any member of one shared group.",
			"As for max-queued-messages, with the group's oldest message."},
		{groupQueues, "max-group-queued-bytes", size(0, unlimited, func(c *Config) *int64 { return &c.MaxGroupQueuedBytes }),
			"Bytes of messages waiting for any member of one shared group.",
			"As for max-group-queued-messages."},
		{groupQueues, "queue-window", whole("N", 1, math.MaxInt32, func(c *Config) *int { return &c.QueueWindow }),
			"Messages of one Session's queue that are in memory while its client is connected, when there is a store.",
			"Further messages wait on the disk only and are read when it is their turn."},
		{groupQueues, "queue-window-bytes", size(1<<10, unlimited, func(c *Config) *int64 { return &c.QueueWindowBytes }),
			"Bytes of messages of one Session's queue that are in memory while its client is connected, when there is a store.",
			"As for queue-window."},
		{groupQueues, "queue-qos0", boolean(func(c *Config) *bool { return &c.QueueQoS0 }),
			"Queue QoS 0 messages too for a Session whose client is away.", ""},
		{groupQueues, "max-outbound-bytes", size(4<<10, unlimited, func(c *Config) *int64 { return &c.MaxOutboundBytes }),
			"Bytes written to one connection that its network has not taken yet.",
			"QoS 0 messages for it are dropped and counted; QoS 1 and 2 messages wait in the Session's queue."},
		{groupQueues, "max-retained-messages", whole("N", 0, math.MaxInt32, func(c *Config) *int { return &c.MaxRetainedMessages }),
			"Retained messages; 0: not limited.",
			"A message for a further topic is delivered but not retained, and counted."},
		{groupQueues, "max-retained-bytes", size(0, unlimited, func(c *Config) *int64 { return &c.MaxRetainedBytes }),
			"Bytes of retained messages; 0: not limited.",
			"As for max-retained-messages."},

		{groupLog, "log-dest", texts("stderr|stdout|syslog|file:PATH", checkLogDest, func(c *Config) *[]string { return &c.LogDest }),
			"Where log lines go, or none. A file is opened again at SIGHUP, so that it can be renamed before.",
			"Lines that a slow destination has no room for are dropped and counted."},
		{groupLog, "log-facility", oneOf(logFacilities(), func(c *Config) *string { return &c.LogFacility }),
			"Facility of what goes to syslog.", ""},
		{groupLog, "log-timestamp", boolean(func(c *Config) *bool { return &c.LogTimestamp }),
			"Whether log lines begin with the time.", ""},
		{groupLog, "log-timestamp-format", text("FORMAT", func(c *Config) *string { return &c.LogTimestampFormat }),
			"Form of the time in the terms of strftime, such as %Y-%m-%dT%H:%M:%S; none: RFC 3339.", ""},
		{groupLog, "connection-messages", boolean(func(c *Config) *bool { return &c.ConnectionMessages }),
			"Log each client that comes or goes, with its address and user. Otherwise only at level debug.", ""},
		{groupLog, "log-format", numbered(logFormats(), func(c *Config) *LogFormat { return &c.LogFormat }),
			"Form of the log lines. What goes to syslog is always text, without time and level.", ""},
		{groupLog, "log-level", logLevel(),
			"Least severe level that is logged.", ""},

		{groupAbuse, "connect-rate", whole("N/s", 0, math.MaxInt32, func(c *Config) *int { return &c.Guard.ConnectRate }),
			"New network connections a second from one address (an IPv6 one counts by its /64), after a burst; 0: not limited.",
			"A further connection is closed as soon as it is accepted."},
		{groupAbuse, "connect-burst", whole("N", 1, math.MaxInt32, func(c *Config) *int { return &c.Guard.ConnectBurst }),
			"Connections that one address may open at once.", "As for connect-rate."},
		{groupAbuse, "max-login-failures", whole("N", 0, math.MaxInt32, func(c *Config) *int { return &c.Guard.LoginFailures }),
			"Failed logins for one name from one address; 0: not counted.",
			"That name is refused from that address for a while."},
		{groupAbuse, "max-address-failures", whole("N", 0, math.MaxInt32, func(c *Config) *int { return &c.Guard.AddressFailures }),
			"Failed logins from one address, whatever the name; 0: not counted.",
			"Connections from that address are closed for a while."},
		{groupAbuse, "failure-half-life", duration(time.Second, 365*day, func(c *Config) *time.Duration { return &c.Guard.HalfLife }),
			"Time in which half of the failed logins are forgotten.", ""},
		{groupAbuse, "first-ban", duration(time.Second, 365*day, func(c *Config) *time.Duration { return &c.Guard.FirstBan }),
			"Length of the first ban for failed logins; each further one is twice as long.", ""},
		{groupAbuse, "max-ban", duration(time.Second, 365*day, func(c *Config) *time.Duration { return &c.Guard.MaxBan }),
			"Length of the longest ban for failed logins.", ""},
		{groupAbuse, "ban-half-life", duration(time.Second, 365*day, func(c *Config) *time.Duration { return &c.Guard.BanHalfLife }),
			"Time in which half of the earlier bans are forgotten.", ""},
		{groupAbuse, "flap-connects", whole("N", 0, math.MaxInt32, func(c *Config) *int { return &c.Guard.FlapConnects }),
			"How many times one Client Identifier may connect within flap-window; 0: not counted.",
			"It is refused with 0x9F Connection rate exceeded for flap-pause."},
		{groupAbuse, "flap-window", duration(time.Second, day, func(c *Config) *time.Duration { return &c.Guard.FlapWindow }),
			"Time in which flap-connects is counted.", ""},
		{groupAbuse, "flap-pause", duration(time.Second, day, func(c *Config) *time.Duration { return &c.Guard.FlapPause }),
			"Time for which a Client Identifier that connects too often is refused.", ""},
		{groupAbuse, "guard-exempt", networks(func(c *Config) *[]netip.Prefix { return &c.Guard.Exempt }),
			"Networks whose clients nothing in this group concerns but ban-file.", ""},
		{groupAbuse, "guard-loopback", boolean(func(c *Config) *bool { return &c.Guard.Loopback }),
			"Whether this group concerns clients on the same machine, too.", ""},
		{groupAbuse, "guard-tracked", whole("N", 8, 1<<28, func(c *Config) *int { return &c.Guard.MaxTracked }),
			"Addresses, logins and Client Identifiers that are remembered, each at 48 bytes.",
			"Who has the least to be remembered for is forgotten, and nobody who is banned."},
		{groupAbuse, "ban-file", text("FILE", func(c *Config) *string { return &c.Guard.BanFile }),
			"Who is kept out, a line each: client-id, user, address or network NAME, until TIME if it has an end, # and the reason.",
			"The connection is closed, or CONNECT refused with 0x8A Banned."},
		{groupAbuse, "max-message-rate", whole("N/s", 0, math.MaxInt32, func(c *Config) *int { return &c.MaxMessageRate }),
			"Messages a second from one client; 0: not limited.",
			"Acknowledgements are held back; a client that goes on regardless is disconnected with 0x96 Message rate too high."},
		{groupAbuse, "max-byte-rate", size(0, unlimited, func(c *Config) *int64 { return &c.MaxByteRate }),
			"Bytes of messages a second from one client; 0: not limited.",
			"As for max-message-rate."},
		{groupAbuse, "clientid-prefix", plain("PREFIX", func(c *Config) *string { return &c.ClientIDPrefix }),
			"What every Client Identifier has to begin with.",
			"CONNECT is refused with 0x87 Not authorized."},

		{groupSys, "sys-interval", seconds(day, func(c *Config) *int { return &c.SysIntervalSeconds }),
			"How often the figures below $SYS/broker/ are published, in whole seconds; 0: never.", ""},

		{groupSys, "http-listen", texts("HOST:PORT", checkHTTPListen, func(c *Config) *[]string { return &c.HTTPListen }),
			"Where the version, the figures and the listeners are told over HTTP, at the paths of Mosquitto's http_api. Nobody is asked who he is: " +
				"keep it on loopback or behind a proxy.",
			"More than 64 connections wait in the system's backlog."},
		{groupSys, "http-dir", text("DIR", func(c *Config) *string { return &c.HTTPDir }),
			"Files that are served there, too. Names that begin with a dot are not.", ""},

		{groupProcess, "user", plain("NAME[,NAME]", func(c *Config) *string { return &c.User }),
			"User to become when started as root, with its groups, once ports are bound and keys are read. " +
				"The first one that exists; one that must exist stands last.", ""},
		{groupProcess, "pid-file", text("FILE", func(c *Config) *string { return &c.PIDFile }),
			"File with the number of the process. Removed at the end.", ""},
		{groupProcess, "loops", whole("N", 0, 256, func(c *Config) *int { return &c.Loops }),
			"Event loops; 0: one for each core.", ""},
		{groupProcess, "shutdown-timeout", duration(100*time.Millisecond, time.Hour, func(c *Config) *time.Duration { return &c.ShutdownTimeout }),
			"Time for clients to take what is on its way to them after SIGTERM or SIGINT.",
			"What is left is closed. A second signal ends the process at once."},
		{groupProcess, "gogc", whole("PERCENT", 10, 100_000, func(c *Config) *int { return &c.GOGC }),
			"Heap growth between garbage collections: more memory for less work.", ""},
		{groupProcess, "memory-limit", size(0, unlimited, func(c *Config) *int64 { return &c.MemoryLimit }),
			"Memory above which the garbage collector works harder; 0: not set. GOMEMLIMIT is honoured when this is 0.",
			"Collections become more frequent. When nine tenths are in use all the same, nobody gets a new Session (0x89 Server busy), and a PUBLISH " +
				"that would have to be kept is refused with 0x97 Quota exceeded, a 3.x client is disconnected; QoS 0 flows on."},
	}
}

func sharedStrategies() []string {
	return []string{"round-robin", "random", "sticky", "hash-client", "hash-topic"}
}

// variable is the name of the environment variable of s.
func (s *setting[T]) variable() string { return variablePrefix + variableSuffix(s.name) }

func variableSuffix(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// Names lists every setting of the whole broker in the order of --help.
func Names() []string { return names(settings()) }

// ListenerNames lists every setting that a listener may have, its own ones before those of access.
func ListenerNames() []string { return append(names(listenerSettings()), names(accessSettings())...) }

func names[T any](table []setting[T]) []string {
	out := make([]string, len(table))
	for i := range table {
		out[i] = table[i].name
	}
	return out
}

func find[T any](table []setting[T], name string) *setting[T] {
	for i := range table {
		if table[i].name == name {
			return &table[i]
		}
	}
	return nil
}

func checkHTTPListen(text string) error {
	if _, _, err := net.SplitHostPort(text); err != nil {
		return fmt.Errorf("%q is not HOST:PORT", text)
	}
	return nil
}
