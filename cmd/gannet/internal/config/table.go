package config

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// setting is one row of the table.
type setting struct {
	group    string
	name     string // as flag and as key; also the base of the variable's name
	value    value
	help     string // what it is
	reaction string // what happens when the bound bites; empty: it is not a bound
}

// value says how the text of one setting and a field of Config meet.
type value struct {
	placeholder string // names the unit in --help; empty: a switch
	repeatable  bool   // each mention adds to the field, after reset
	reset       func(c *Config)
	set         func(c *Config, text string) error
	show        func(c *Config) string
}

const (
	groupListeners = "Listeners and access"
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

// settings returns the table in the order of --help.
func settings() []setting {
	return []setting{
		{groupListeners, "listen", listeners(),
			"Where clients connect: mqtt://HOST:PORT (an empty host means every interface) or unix:///PATH. " +
				"In the environment, commas separate several.", ""},
		{groupListeners, "allow-anonymous", choice(func(c *Config) *Choice { return &c.AllowAnonymous }),
			"Whether a client may connect without authentication. Unset: yes on a loopback listener while no scram-users " +
				"are given, otherwise no.",
			"CONNECT is refused with 0x87 Not authorized."},
		{groupListeners, "scram-users", text("FILE", func(c *Config) *string { return &c.ScramUsers }),
			"Users for SCRAM-SHA-256 (MQTT 5.0 enhanced authentication), a line each: " +
				"USER:SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY.", ""},

		{groupStorage, "data-dir", text("DIR", func(c *Config) *string { return &c.DataDir }),
			"Folder of the store: Sessions that outlive their connection, what is queued for them, retained messages and Wills. " +
				"Made if it is not there; one broker at a time. See gannet store --help.", ""},
		{groupStorage, "durability", durability(),
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
		{groupNetwork, "max-keep-alive", seconds(math.MaxUint16*time.Second, func(c *Config) *uint16 { return &c.MaxKeepAlive }),
			"Longest Keep Alive, in whole seconds; 0: whatever the client asks for.",
			"A 5.0 client is told the lower value (Server Keep Alive); a 3.x client that asks for more is refused."},

		{groupProtocol, "max-connect-size", size(1<<10, maxPacket, func(c *Config) *uint32 { return &c.MaxConnectSize }),
			"Size of a packet before authentication has succeeded; never more than max-packet-size.",
			"Refused with 0x95 Packet too large and closed, judged by the packet's header alone."},
		{groupProtocol, "max-packet-size", size(1<<10, maxPacket, func(c *Config) *uint32 { return &c.MaxPacketSize }),
			"Size of a packet from a client; announced to 5.0 clients.",
			"DISCONNECT 0x95 Packet too large, judged by the packet's header alone."},
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

		{groupLog, "sys-interval", duration(0, 24*time.Hour, func(c *Config) *time.Duration { return &c.SysInterval }),
			"Time between two looks at the broker's own figures, which are published below $SYS/broker/, retained, when they change; 0s: never.", ""},
		{groupLog, "log-format", logFormat(),
			"Form of the log lines on the standard error stream.", ""},
		{groupLog, "log-level", logLevel(),
			"Least severe level that is logged.", ""},

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
func (s *setting) variable() string { return variablePrefix + variableSuffix(s.name) }

func variableSuffix(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func text(placeholder string, field func(*Config) *string) value {
	return value{
		placeholder: placeholder,
		set:         func(c *Config, t string) error { *field(c) = t; return nil },
		show:        func(c *Config) string { return *field(c) },
	}
}

func boolean(field func(*Config) *bool) value {
	return value{
		set: func(c *Config, t string) (err error) { *field(c), err = parseBool(t); return err },
		show: func(c *Config) string {
			return strconv.FormatBool(*field(c))
		},
	}
}

func choice(field func(*Config) *Choice) value {
	return value{
		set: func(c *Config, t string) error {
			yes, err := parseBool(t)
			*field(c) = No
			if yes {
				*field(c) = Yes
			}
			return err
		},
		show: func(c *Config) string { return field(c).String() },
	}
}

type integer interface {
	~int | ~int64 | ~uint32 | ~uint16 | ~uint8
}

func whole[T integer](placeholder string, low, high int64, field func(*Config) *T) value {
	return value{
		placeholder: placeholder,
		set: func(c *Config, t string) error {
			n, err := parseWhole(t, low, high)
			*field(c) = T(n)
			return err
		},
		show: func(c *Config) string { return strconv.FormatInt(int64(*field(c)), 10) },
	}
}

func size[T integer](low, high int64, field func(*Config) *T) value {
	return value{
		placeholder: "SIZE",
		set: func(c *Config, t string) error {
			n, err := parseSize(t, low, high)
			*field(c) = T(n)
			return err
		},
		show: func(c *Config) string { return formatSize(int64(*field(c))) },
	}
}

func duration(low, high time.Duration, field func(*Config) *time.Duration) value {
	return value{
		placeholder: "DURATION",
		set: func(c *Config, t string) (err error) {
			*field(c), err = parseDuration(t, low, high)
			return err
		},
		show: func(c *Config) string { return formatDuration(*field(c)) },
	}
}

func seconds[T integer](high time.Duration, field func(*Config) *T) value {
	return value{
		placeholder: "DURATION",
		set: func(c *Config, t string) error {
			n, err := parseSeconds(t, high)
			*field(c) = T(n)
			return err
		},
		show: func(c *Config) string { return formatDuration(time.Duration(*field(c)) * time.Second) },
	}
}

func expiry(field func(*Config) *uint32) value {
	v := seconds((math.MaxUint32-1)*time.Second, field)
	finite := v
	v.set = func(c *Config, t string) error {
		if t == "never" {
			*field(c) = Never
			return nil
		}
		return finite.set(c, t)
	}
	v.show = func(c *Config) string {
		if *field(c) == Never {
			return "never"
		}
		return finite.show(c)
	}
	return v
}

func oneOf(words []string, field func(*Config) *string) value {
	return value{
		placeholder: strings.Join(words, "|"),
		set: func(c *Config, t string) (err error) {
			*field(c), err = parseOneOf(t, words...)
			return err
		},
		show: func(c *Config) string { return *field(c) },
	}
}

func listeners() value {
	return value{
		placeholder: "URL",
		repeatable:  true,
		reset:       func(c *Config) { c.Listen = nil },
		set: func(c *Config, t string) error {
			l, err := ParseListener(t)
			if err != nil {
				return err
			}
			if (l.Port != 0 || l.Socket != "") && slices.Contains(c.Listen, l) {
				return fmt.Errorf("%s is listed twice: remove one", l)
			}
			c.Listen = append(c.Listen, l)
			return nil
		},
		show: func(c *Config) string {
			urls := make([]string, len(c.Listen))
			for i, l := range c.Listen {
				urls[i] = l.String()
			}
			return strings.Join(urls, ",")
		},
	}
}

func durability() value {
	return value{
		placeholder: strings.Join(durabilities(), "|"),
		set: func(c *Config, t string) error {
			word, err := parseOneOf(t, durabilities()...)
			if err == nil {
				c.Durability = Durability(slices.Index(durabilities(), word))
			}
			return err
		},
		show: func(c *Config) string { return c.Durability.String() },
	}
}

func logFormat() value {
	return value{
		placeholder: "text|json",
		set: func(c *Config, t string) error {
			_, err := parseOneOf(t, "text", "json")
			c.LogFormat = LogText
			if t == "json" {
				c.LogFormat = LogJSON
			}
			return err
		},
		show: func(c *Config) string { return c.LogFormat.String() },
	}
}

func logLevel() value {
	return value{
		placeholder: "debug|info|warn|error",
		set: func(c *Config, t string) error {
			if _, err := parseOneOf(t, "debug", "info", "warn", "error"); err != nil {
				return err
			}
			return c.LogLevel.UnmarshalText([]byte(t))
		},
		show: func(c *Config) string { return strings.ToLower(slog.Level(c.LogLevel).String()) },
	}
}

// Names lists every setting in the order of --help.
func Names() []string { return names(settings()) }
