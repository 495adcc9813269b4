package config

import (
	"log/slog"
	"net/netip"
	"strings"
	"time"
)

// Never is the Session Expiry Interval, in seconds, of a Session that does not
// expire (MQTT 5.0, section 3.1.2.11.2).
const Never uint32 = 0xFFFFFFFF

// Config holds every setting of the server in plain typed fields. It is a
// value: copying it is cheap and safe, except that Listen is shared by copies.
// Load makes one; Default is what Load starts from. The meaning, the bounds and
// the reaction of each field stand in the table, and `gannet --help` prints them.
type Config struct {
	Listen []Listener
	Access // of listeners that have none of their own

	DataDir         string
	Durability      Durability
	InMemory        bool  // Durability is Off, said in another way; after Load the two agree
	StoreMemtable   int64 // bytes
	StoreCache      int64 // bytes
	MaxStoreBytes   int64 // 0: not limited
	MaxPendingBytes int64

	LogFormat          LogFormat
	LogLevel           slog.Level
	LogDest            []string // "stderr", "stdout", "syslog" or "file:" and a path; empty: nowhere
	LogFacility        string   // of syslog
	LogTimestamp       bool
	LogTimestampFormat string // in the terms of strftime; empty: RFC 3339
	ConnectionMessages bool   // a line for each client that comes or goes

	MaxConnections int // 0: bounded by file descriptors only
	MaxAcceptRate  int // connections a second; 0: not limited
	ConnectTimeout time.Duration
	MaxKeepAlive   uint16 // seconds; 0: the client's choice stands

	MaxHandshakes    int
	HandshakeTimeout time.Duration
	MaxLoopLag       time.Duration // 0: never too late

	MaxConnectSize       uint32 // bytes
	MaxPacketSize        uint32 // bytes
	MaxPayload           int64  // bytes; 0: not limited
	MaxTopicLength       int    // bytes
	MaxTopicLevels       int
	MaxQoS               byte
	RetainAvailable      bool
	ReceiveMaximum       uint16
	TopicAliasMaximum    uint16
	TopicAliasMaximumOut uint16

	MaxSessions      int    // 0: not limited
	MaxSessionExpiry uint32 // seconds; Never: not limited
	MaxSubscriptions int    // for each client
	MaxInflight      uint16 // for each client

	MaxQueuedMessages      int   // for each Session
	MaxQueuedBytes         int64 // for each Session
	MaxGroupQueuedMessages int   // for each shared group
	MaxGroupQueuedBytes    int64 // for each shared group
	QueueWindow            int   // messages of a Session's queue in memory
	QueueWindowBytes       int64 // for each Session
	MaxOutboundBytes       int64 // for each connection
	MaxRetainedMessages    int   // 0: not limited
	MaxRetainedBytes       int64 // 0: not limited
	QueueQoS0              bool
	SharedStrategy         string

	Guard              Guard
	MaxMessageRate     int    // a second, for each client; 0: not limited
	MaxByteRate        int64  // likewise
	ClientIDPrefix     string // of every Client Identifier; empty: any
	SysIntervalSeconds int    // 0: never

	HTTPListen []string // HOST:PORT
	HTTPDir    string   // path; empty: no files

	User    string // names with commas between, the first that exists counts; empty: stay who we are
	PIDFile string // empty: none

	Loops           int // 0: one for each core
	ShutdownTimeout time.Duration
	GOGC            int   // percent
	MemoryLimit     int64 // bytes; 0: not set
}

// Guard holds the settings of engine/guard, whose documentation says what they mean.
type Guard struct {
	ConnectRate, ConnectBurst      int
	AddressFailures, LoginFailures int
	HalfLife                       time.Duration
	FirstBan, MaxBan, BanHalfLife  time.Duration
	FlapConnects                   int
	FlapWindow, FlapPause          time.Duration
	Exempt                         []netip.Prefix
	Loopback                       bool
	MaxTracked                     int
	BanFile                        string // path; empty: none
}

// Default is the configuration of a server started without any setting.
func Default() Config {
	return Config{
		Listen: []Listener{loopback(MQTT.port())},
		Access: defaultAccess(),

		DataDir:         "./data",
		Durability:      Sync,
		StoreMemtable:   16 << 20,
		StoreCache:      32 << 20,
		MaxPendingBytes: 256 << 20,

		LogFormat:    LogText,
		LogLevel:     slog.LevelInfo,
		LogDest:      []string{"stderr"},
		LogFacility:  "daemon",
		LogTimestamp: true,

		MaxAcceptRate:    10_000,
		ConnectTimeout:   10 * time.Second,
		MaxHandshakes:    1024,
		HandshakeTimeout: 10 * time.Second,
		MaxLoopLag:       3 * time.Second,

		MaxConnectSize:       64 << 10,
		MaxPacketSize:        16 << 20,
		MaxTopicLength:       65_535,
		MaxTopicLevels:       128,
		MaxQoS:               2,
		RetainAvailable:      true,
		ReceiveMaximum:       1024,
		TopicAliasMaximum:    64,
		TopicAliasMaximumOut: 16,

		MaxSessionExpiry: Never,
		MaxSubscriptions: 10_000,
		MaxInflight:      1024,

		MaxQueuedMessages:      10_000,
		MaxQueuedBytes:         64 << 20,
		MaxGroupQueuedMessages: 100_000,
		MaxGroupQueuedBytes:    256 << 20,
		QueueWindow:            1024,
		QueueWindowBytes:       256 << 10,
		MaxOutboundBytes:       1 << 20,
		MaxRetainedBytes:       1 << 30,
		SharedStrategy:         "round-robin",

		Guard: Guard{
			ConnectRate: 1000, ConnectBurst: 10_000,
			AddressFailures: 300, LoginFailures: 10, HalfLife: 10 * time.Minute,
			FirstBan: 10 * time.Second, MaxBan: 15 * time.Minute, BanHalfLife: 2 * time.Hour,
			FlapConnects: 300, FlapWindow: time.Minute, FlapPause: time.Minute,
			MaxTracked: 1 << 16,
		},
		SysIntervalSeconds: 10,

		ShutdownTimeout: 10 * time.Second,
		GOGC:            400,
	}
}

// Choice is a yes or no that may be left open.
type Choice byte

// The three values of a Choice; Unset is the zero value.
const (
	Unset Choice = iota
	Yes
	No
)

// String is the choice as it is written in a configuration file.
func (c Choice) String() string {
	switch c {
	case Yes:
		return "true"
	case No:
		return "false"
	default:
		return "unset"
	}
}

// Durability is what an acknowledgement promises.
type Durability byte

// The store syncs before an acknowledgement, only writes, or there is none.
const (
	Sync Durability = iota // survives power failure
	OS                     // survives the end of the process, not power failure
	Off                    // survives nothing
)

// String is the durability as it is written in a configuration file.
func (d Durability) String() string { return durabilities()[d] }

// durabilities are the words for Sync, OS and Off, in their order.
func durabilities() []string { return []string{"sync", "os", "off"} }

// LogFormat is the form of the log lines on the standard error stream.
type LogFormat byte

// Text lines of key=value pairs, or one JSON object a line.
const (
	LogText LogFormat = iota
	LogJSON
)

// String is the format as it is written in a configuration file.
func (f LogFormat) String() string { return logFormats()[f] }

func logFormats() []string { return []string{"text", "json"} }

// logFile begins a log destination that is a file.
const logFile = "file:"

func checkLogDest(text string) error {
	if path, isFile := strings.CutPrefix(text, logFile); isFile && path != "" {
		return nil
	}
	_, err := parseOneOf(text, "stderr", "stdout", "syslog", logFile+"PATH", none)
	return err
}

func logFacilities() []string {
	return []string{"daemon", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}
}
