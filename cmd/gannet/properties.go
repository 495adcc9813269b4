package main

import (
	"math"
	"slices"
	"strconv"

	"github.com/gannetmq/gannet/codec"
)

// propertyFlags holds what -D said, for each packet.
type propertyFlags struct {
	given                                                      bool
	connect, publish, subscribe, unsubscribe, disconnect, will codec.Properties
}

// propertyRow is one property that -D takes.
type propertyRow struct {
	name     string // as in the specification, with hyphens
	id       codec.PropertyID
	commands []string // the packets it may stand in
	set      func(p *codec.Properties, text string) bool
}

func propertyTable() []propertyRow {
	message := []string{"publish", "will"}
	connect := []string{"connect"}
	return []propertyRow{
		{"payload-format-indicator", codec.PropPayloadFormatIndicator, message,
			number(func(p *codec.Properties, n uint64) { p.PayloadFormatIndicator = byte(n) }, 0, 1)},
		{"message-expiry-interval", codec.PropMessageExpiryInterval, message,
			number(func(p *codec.Properties, n uint64) { p.MessageExpiryInterval = uint32(n) }, 0, math.MaxUint32)},
		{"content-type", codec.PropContentType, message,
			str(func(p *codec.Properties, b []byte) { p.ContentType = b })},
		{"response-topic", codec.PropResponseTopic, message, func(p *codec.Properties, text string) bool {
			p.ResponseTopic = []byte(text)
			return validTopicName(text)
		}},
		{"correlation-data", codec.PropCorrelationData, message, func(p *codec.Properties, text string) bool {
			p.CorrelationData = []byte(text)
			return len(text) <= math.MaxUint16
		}},
		{"topic-alias", codec.PropTopicAlias, []string{"publish"},
			number(func(p *codec.Properties, n uint64) { p.TopicAlias = uint16(n) }, 1, math.MaxUint16)},
		{"subscription-identifier", codec.PropSubscriptionIdentifier, []string{"subscribe"},
			number(func(p *codec.Properties, n uint64) { p.SubscriptionIdentifiers = []uint32{uint32(n)} }, 1, 268_435_455)},
		{"session-expiry-interval", codec.PropSessionExpiryInterval, []string{"connect", "disconnect"},
			number(func(p *codec.Properties, n uint64) { p.SessionExpiryInterval = uint32(n) }, 0, math.MaxUint32)},
		{"receive-maximum", codec.PropReceiveMaximum, connect,
			number(func(p *codec.Properties, n uint64) { p.ReceiveMaximum = uint16(n) }, 1, math.MaxUint16)},
		{"maximum-packet-size", codec.PropMaximumPacketSize, connect,
			number(func(p *codec.Properties, n uint64) { p.MaximumPacketSize = uint32(n) }, 1, math.MaxUint32)},
		{"topic-alias-maximum", codec.PropTopicAliasMaximum, connect,
			number(func(p *codec.Properties, n uint64) { p.TopicAliasMaximum = uint16(n) }, 0, math.MaxUint16)},
		{"request-response-information", codec.PropRequestResponseInformation, connect,
			number(func(p *codec.Properties, n uint64) { p.RequestResponseInformation = byte(n) }, 0, 1)},
		{"request-problem-information", codec.PropRequestProblemInformation, connect,
			number(func(p *codec.Properties, n uint64) { p.RequestProblemInformation = byte(n) }, 0, 1)},
		{"will-delay-interval", codec.PropWillDelayInterval, []string{"will"},
			number(func(p *codec.Properties, n uint64) { p.WillDelayInterval = uint32(n) }, 0, math.MaxUint32)},
	}
}

func number(set func(*codec.Properties, uint64), low, high uint64) func(*codec.Properties, string) bool {
	return func(p *codec.Properties, text string) bool {
		n, err := strconv.ParseUint(text, 10, 64)
		set(p, n)
		return err == nil && n >= low && n <= high
	}
}

func str(set func(*codec.Properties, []byte)) func(*codec.Properties, string) bool {
	return func(p *codec.Properties, text string) bool {
		set(p, []byte(text))
		return validPropertyString(text)
	}
}

func validPropertyString(text string) bool {
	return len(text) <= math.MaxUint16 && codec.ValidString([]byte(text))
}

// parse reads COMMAND NAME VALUE, or COMMAND user-property NAME VALUE.
func (f *propertyFlags) parse(args *argumentList) error {
	f.given = true
	command, ok1 := args.next()
	name, ok2 := args.next()
	value, ok3 := args.next()
	if !ok1 || !ok2 || !ok3 {
		return usage("--property argument given but not enough arguments specified.")
	}
	p := f.packet(command)
	if p == nil {
		return usage("Invalid command given in --property argument.")
	}
	if name == "user-property" {
		second, ok := args.next()
		if !ok {
			return usage("--property argument given but not enough arguments specified.")
		}
		if !validPropertyString(value) || !validPropertyString(second) {
			return usage("Property %s has an invalid value.", name)
		}
		p.User = codec.AppendUserProperty(p.User, []byte(value), []byte(second))
		p.Set(codec.PropUserProperty)
		return nil
	}
	table := propertyTable()
	i := slices.IndexFunc(table, func(r propertyRow) bool { return r.name == name })
	switch {
	case i < 0:
		return usage("Invalid property name given in --property argument.")
	case !slices.Contains(table[i].commands, command):
		return usage("%s property not allowed for %s in --property argument.", name, command)
	case p.Has(table[i].id):
		return usage("Property %s is given twice for %s.", name, command)
	case !table[i].set(p, value):
		return usage("Property %s has an invalid value: %s.", name, value)
	}
	p.Set(table[i].id)
	return nil
}

// packet is where the properties of a command are kept, or nil.
func (f *propertyFlags) packet(command string) *codec.Properties {
	switch command {
	case "connect":
		return &f.connect
	case "publish":
		return &f.publish
	case "subscribe":
		return &f.subscribe
	case "unsubscribe":
		return &f.unsubscribe
	case "disconnect":
		return &f.disconnect
	case "will":
		return &f.will
	}
	return nil
}
