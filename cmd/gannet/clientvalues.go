package main

import (
	"errors"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// setSource refuses a second source of messages.
func (f *clientFlags) setSource(s payloadSource) error {
	if f.source != sourceNone {
		return usage("Only one type of message can be sent at once.")
	}
	f.source = s
	return nil
}

func setPort(f *clientFlags, text string) error {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return usage("Invalid port given: %s", text)
	}
	f.port = text
	return nil
}

func setURL(f *clientFlags, text string) error {
	scheme, rest, _ := strings.Cut(text, "://")
	switch t := &f.transport; strings.ToLower(scheme) {
	case "mqtt":
	case "mqtts":
		t.tls = true
	case "ws":
		t.ws = true
	case "wss":
		t.ws, t.tls = true, true
	default:
		return usage("unsupported URL scheme.")
	}
	authority, topic, _ := strings.Cut(rest, "/")
	if topic == "" {
		return usage("Invalid URL for -L argument specified - topic missing.")
	}
	f.topics = append(f.topics, topic)
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, password, hasPassword := strings.Cut(authority[:at], ":")
		f.user = user
		if hasPassword {
			f.password = &password
		}
		authority = authority[at+1:]
	}
	host, port, err := net.SplitHostPort(authority)
	if err != nil {
		host, port = strings.Trim(authority, "[]"), ""
	}
	if host != "" {
		f.host = host
	}
	if port != "" {
		return setPort(f, port)
	}
	return nil
}

func parseQoS(text, what string) (codec.QoS, error) {
	if len(text) != 1 || text[0] < '0' || text[0] > '2' {
		return 0, usage("Invalid %s given: %s", what, text)
	}
	return codec.QoS(text[0] - '0'), nil
}

func setRepeat(f *clientFlags, text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return usage("--repeat argument must be >0.")
	}
	f.repeat = n
	return nil
}

// maxSeconds keeps a number of seconds within time.Duration.
const maxSeconds = 1 << 33

func setRepeatDelay(f *clientFlags, text string) error {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds >= 0 && seconds <= maxSeconds) {
		return usage("--repeat-delay argument must be >=0.0.")
	}
	f.repeatDelay = time.Duration(seconds * float64(time.Second))
	return nil
}

func setCount(f *clientFlags, text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return usage("Invalid message count \"%s\".", text)
	}
	f.count = n
	return nil
}

func setTimeout(f *clientFlags, text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > maxSeconds {
		return usage("Invalid timeout \"%s\".", text)
	}
	f.timeout = time.Duration(n) * time.Second
	return nil
}

func setExpiry(f *clientFlags, text string) error {
	var seconds uint32 = math.MaxUint32
	if text != "-1" && text != "∞" {
		n, err := strconv.ParseUint(text, 10, 32)
		if errors.Is(err, strconv.ErrRange) {
			return usage("session-expiry-interval out of range.")
		}
		if err != nil {
			return usage("session-expiry-interval not a number.")
		}
		seconds = uint32(n)
	}
	f.expiry = &seconds
	return nil
}

func setVersion(f *clientFlags, text string) error {
	switch text {
	case "mqttv31", "31", "3.1":
		f.version = codec.V31
	case "mqttv311", "311", "3.1.1":
		f.version = codec.V311
	case "mqttv5", "5", "5.0":
		f.version = codec.V5
	default:
		return usage("Invalid protocol version argument given.")
	}
	f.versionGiven = true
	return nil
}

func setKeepAlive(f *clientFlags, text string) error {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || (n != 0 && n < 5) {
		return usage("Invalid keepalive given, it must be between 5 and 65535 inclusive.")
	}
	f.keepAlive = time.Duration(n) * time.Second
	return nil
}

func setMaxInflight(f *clientFlags, text string) error {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return usage("Invalid max_inflight given: %s", text)
	}
	f.maxInflight = int(n)
	return nil
}

func addTopic(f *clientFlags, text string) error {
	f.topics = append(f.topics, text)
	return nil
}

func setQoS(f *clientFlags, text string) (err error) {
	f.qos, err = parseQoS(text, "QoS")
	return err
}
