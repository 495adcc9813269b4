package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/gannetmq/gannet/cmd/gannet/internal/client"
	"github.com/gannetmq/gannet/codec"
)

// clientFlags is what the flags of pub and sub say.
type clientFlags struct {
	host             string
	port             string // empty: that of the transport
	transport        transportFlags
	version          codec.Version
	versionGiven     bool
	clientID, prefix string
	user             string
	password         *string
	scram            bool
	resume           bool
	expiry           *uint32 // seconds
	keepAlive        time.Duration
	maxInflight      int
	qos              codec.QoS
	topics           []string
	debug, quiet     bool
	properties       propertyFlags

	willTopic, willPayload *string
	willQoS                codec.QoS
	willQoSGiven           bool
	willRetain             bool

	// pub
	source      payloadSource
	payload     []byte
	file        string
	retain      bool
	repeat      int
	repeatDelay time.Duration

	// sub
	count             int
	timeout           time.Duration
	verbose           bool
	format            string
	noNewline         bool
	noRetained        bool
	retainedOnly      bool
	removeRetained    bool
	retainAsPublished bool
	exitSubscribed    bool
	without           []string // -T
	unsubscribe       []string
}

// payloadSource is where pub takes messages from.
type payloadSource byte

const (
	sourceNone payloadSource = iota
	sourceMessage
	sourceNull
	sourceFile
	sourceStdin
	sourceLines
)

// usage words a mistake in the arguments as the user reads it, which is how
// mosquitto's clients put it.
func usage(format string, args ...any) error { return fmt.Errorf(format, args...) }

// errClientHelp says that --help was among the arguments.
var errClientHelp = errors.New("help requested")

// parseClientFlags reads the arguments of pub or sub and judges them together.
func parseClientFlags(which command, arguments []string) (*clientFlags, error) {
	f := &clientFlags{host: "localhost", version: codec.V311, keepAlive: time.Minute, repeat: 1}
	table := clientFlagTable()
	args := &argumentList{arguments}
	for {
		name, more := args.next()
		if !more {
			break
		}
		if name == "--help" {
			return nil, errClientHelp
		}
		flag := findClientFlag(table, which, name)
		if flag == nil {
			return f, usage("Unknown option '%s'.", name)
		}
		if flag.missing != "" && len(args.rest) == 0 {
			return f, usage("%s argument given but no %s specified.", name, flag.missing)
		}
		if err := flag.set(f, args); err != nil {
			return f, err
		}
	}
	return f, f.check(which)
}

func findClientFlag(table []clientFlag, which command, name string) *clientFlag {
	if name == "" {
		return nil
	}
	for i := range table {
		if flag := &table[i]; flag.command&which != 0 && (flag.short == name || flag.long == name) {
			return flag
		}
	}
	return nil
}

// options turns the flags into what client.Dial takes. id is the Client
// Identifier for when none was given.
func (f *clientFlags) options(id string) client.Options {
	o := client.Options{
		Address:     f.address(),
		Version:     f.version,
		ClientID:    f.clientID,
		Resume:      f.resume,
		UserName:    f.user,
		KeepAlive:   f.keepAlive,
		Properties:  f.properties.connect,
		MaxInflight: f.maxInflight,
	}
	switch {
	case f.prefix != "":
		o.ClientID = f.prefix + strconv.Itoa(os.Getpid())
	case f.clientID == "":
		o.ClientID = id
	}
	if f.password != nil && !f.scram {
		o.Password = []byte(*f.password)
	}
	if f.scram {
		o.UserName = ""
		o.Authenticator = newScram(f.user, *f.password)
	}
	if f.version == codec.V5 {
		f.setSessionExpiry(&o.Properties)
	}
	if f.willTopic != nil {
		o.Will = &client.Message{Topic: *f.willTopic, QoS: f.willQoS, Retain: f.willRetain, Properties: f.properties.will}
		if f.willPayload != nil {
			o.Will.Payload = []byte(*f.willPayload)
		}
	}
	return o
}

// setSessionExpiry applies -x, and its default: a Session that -c keeps does not
// expire.
func (f *clientFlags) setSessionExpiry(p *codec.Properties) {
	switch {
	case f.expiry != nil:
		p.SessionExpiryInterval = *f.expiry
	case f.resume && !p.Has(codec.PropSessionExpiryInterval):
		p.SessionExpiryInterval = math.MaxUint32
	default:
		return
	}
	p.Set(codec.PropSessionExpiryInterval)
}
