package main

import (
	"math"

	"github.com/gannetmq/gannet/codec"
)

// check judges what no flag can see alone, and completes what they leave open.
func (f *clientFlags) check(which command) error {
	if f.properties.given && !f.versionGiven {
		f.version = codec.V5
	}
	switch {
	case f.clientID != "" && f.prefix != "":
		return usage("-i and -I argument cannot be used together.")
	case f.resume && f.clientID == "" && f.prefix == "":
		return usage("You must provide a client id if you are using the -c option.")
	case f.password != nil && f.user == "" && f.version != codec.V5:
		return usage("A password without a user name needs -V mqttv5.")
	case f.scram && f.version != codec.V5:
		return usage("--scram needs -V mqttv5.")
	case f.scram && (f.user == "" || f.password == nil):
		return usage("--scram needs a user name and a password.")
	case f.properties.given && f.version != codec.V5:
		return usage("-D needs -V mqttv5.")
	}
	if err := f.checkTransport(); err != nil {
		return err
	}
	if err := f.checkWill(); err != nil {
		return err
	}
	if which == commandPub {
		return f.checkPub()
	}
	return f.checkSub()
}

func (f *clientFlags) checkWill() error {
	switch {
	case f.willTopic != nil:
		if !validTopicName(*f.willTopic) {
			return usage("Invalid will topic '%s', does it contain '+' or '#'?", *f.willTopic)
		}
	case f.willPayload != nil:
		return usage("Will payload given, but no will topic given.")
	case f.willQoSGiven:
		return usage("Will QoS given, but no will topic given.")
	case f.willRetain:
		return usage("Will retain given, but no will topic given.")
	case !f.properties.will.Empty():
		return usage("Will properties given, but no will topic given.")
	}
	return nil
}

func (f *clientFlags) checkPub() error {
	if len(f.topics) == 0 || f.source == sourceNone {
		return usage("Both topic and message must be supplied.")
	}
	topic := f.topics[len(f.topics)-1]
	f.topics = []string{topic}
	if !validTopicName(topic) {
		return usage("Invalid publish topic '%s', does it contain '+' or '#'?", topic)
	}
	if f.repeat > 1 && f.source == sourceLines {
		return usage("--repeat cannot be used with -l.")
	}
	return nil
}

func (f *clientFlags) checkSub() error {
	if len(f.topics) == 0 && len(f.unsubscribe) == 0 {
		return usage("You must specify a topic to subscribe to.")
	}
	for _, list := range [][]string{f.topics, f.without, f.unsubscribe} {
		for _, filter := range list {
			if !validTopicFilter(filter) {
				return usage("Invalid subscription topic '%s', are all '+' and '#' wildcards correct?", filter)
			}
		}
	}
	return nil
}

func validTopicName(topic string) bool {
	b := []byte(topic)
	return len(b) <= math.MaxUint16 && codec.ValidString(b) && codec.ValidTopicName(b)
}

func validTopicFilter(filter string) bool {
	b := []byte(filter)
	if len(b) > math.MaxUint16 || !codec.ValidString(b) {
		return false
	}
	_, rest, shared, ok := codec.SplitShare(b)
	if shared {
		return ok && codec.ValidTopicFilter(rest)
	}
	return codec.ValidTopicFilter(b)
}
