package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gannetmq/gannet/cmd/gannet/internal/client"
	"github.com/gannetmq/gannet/codec"
)

// A format, as -F takes it, is text with three kinds of sequences: %t and its
// like stand for parts of the message, @Y and its like for the time, \n and its
// like for characters. Between % and the letter may stand a minus sign (left
// aligned), a zero (padded with zeros), a width, and a dot with a maximum width.

// field is one parsed %-sequence.
type field struct {
	letter       byte
	left, zero   bool
	width, most  int // most: -1 without maximum
	bytesOfInput int
}

// parseField reads the sequence after a percent sign.
func parseField(text string) (field, error) {
	f := field{most: -1}
	i := 0
	for ; i < len(text) && (text[i] == '-' || text[i] == '0'); i++ {
		f.left = f.left || text[i] == '-'
		f.zero = f.zero || text[i] == '0'
	}
	number := func() int {
		n := 0
		for ; i < len(text) && text[i] >= '0' && text[i] <= '9' && n < 10_000; i++ {
			n = n*10 + int(text[i]-'0')
		}
		return n
	}
	f.width = number()
	if i < len(text) && text[i] == '.' {
		i++
		f.most = number()
	}
	if i == len(text) {
		return f, usage("Incomplete format specifier.")
	}
	f.letter = text[i]
	f.bytesOfInput = i + 1
	if strings.IndexByte("%ACDEFIJPRSUXjlmpqrtvx", f.letter) < 0 {
		return f, usage("Invalid format specifier '%c'.", f.letter)
	}
	return f, nil
}

// escapes are the characters after a backslash and what they stand for.
const escapes, escaped = `\0aenrtv`, "\\\x00\a\x1b\n\r\t\v"

// timeLayout is how package time writes a letter of strftime; empty if it is not
// known here.
func timeLayout(letter byte) string {
	switch letter {
	case 'Y':
		return "2006"
	case 'y':
		return "06"
	case 'm':
		return "01"
	case 'd':
		return "02"
	case 'H':
		return "15"
	case 'M':
		return "04"
	case 'S':
		return "05"
	case 'F':
		return "2006-01-02"
	case 'T':
		return "15:04:05"
	case 'a':
		return "Mon"
	case 'b':
		return "Jan"
	case 'j':
		return "002"
	case 'z':
		return "-0700"
	case 'Z':
		return "MST"
	}
	return ""
}

// checkFormat reports the first sequence that appendFormat would not understand.
func checkFormat(format string) error {
	for i := 0; i < len(format); i++ {
		rest := format[i+1:]
		switch format[i] {
		case '%':
			f, err := parseField(rest)
			if err != nil {
				return err
			}
			i += f.bytesOfInput
		case '@', '\\':
			if rest == "" {
				return usage("Incomplete format specifier.")
			}
			known := strings.IndexByte(escapes, rest[0]) >= 0
			if format[i] == '@' {
				known = strings.IndexByte("@Ns", rest[0]) >= 0 || timeLayout(rest[0]) != ""
			}
			if !known {
				return usage("Invalid format specifier '%c'.", rest[0])
			}
			i++
		}
	}
	return nil
}

// appendFormat appends format filled in from m. The format has passed
// checkFormat. The error says that %J met a payload that is no JSON.
func appendFormat(dst []byte, format string, m *client.Message, now time.Time) ([]byte, error) {
	for i := 0; i < len(format); i++ {
		switch format[i] {
		case '%':
			f, err := parseField(format[i+1:])
			if err != nil {
				return dst, err
			}
			i += f.bytesOfInput
			if f.letter == 'J' && !json.Valid(m.Payload) {
				//lint:ignore ST1005 as mosquitto_sub prints it
				return dst, fmt.Errorf("Message payload is not valid JSON on topic %s", m.Topic)
			}
			dst = f.append(dst, f.value(m, now))
		case '@':
			i++
			dst = appendTime(dst, format[i], now)
		case '\\':
			i++
			dst = append(dst, escaped[strings.IndexByte(escapes, format[i])])
		default:
			dst = append(dst, format[i])
		}
	}
	return dst, nil
}

func appendTime(dst []byte, letter byte, now time.Time) []byte {
	switch letter {
	case '@':
		return append(dst, '@')
	case 'N':
		return fmt.Appendf(dst, "%09d", now.Nanosecond())
	case 's':
		return strconv.AppendInt(dst, now.Unix(), 10)
	}
	return now.AppendFormat(dst, timeLayout(letter))
}

// append appends text within the field's widths.
func (f *field) append(dst []byte, text string) []byte {
	if f.most >= 0 && len(text) > f.most {
		text = text[:f.most]
	}
	padding := max(f.width-len(text), 0)
	switch {
	case f.left:
		return append(append(dst, text...), bytes.Repeat([]byte(" "), padding)...)
	case f.zero:
		return append(append(dst, bytes.Repeat([]byte("0"), padding)...), text...)
	default:
		return append(append(dst, bytes.Repeat([]byte(" "), padding)...), text...)
	}
}

// value is the part of the message that the field stands for; empty for a
// property that is not there.
func (f *field) value(m *client.Message, now time.Time) string {
	p := &m.Properties
	switch f.letter {
	case '%':
		return "%"
	case 't':
		return m.Topic
	case 'p':
		return string(m.Payload)
	case 'v':
		return m.Topic + " " + string(m.Payload)
	case 'l':
		return strconv.Itoa(len(m.Payload))
	case 'm':
		return strconv.Itoa(int(m.PacketID))
	case 'q':
		return strconv.Itoa(int(m.QoS))
	case 'r':
		return strconv.Itoa(int(digit(m.Retain)))
	case 'x':
		return hex.EncodeToString(m.Payload)
	case 'X':
		return strings.ToUpper(hex.EncodeToString(m.Payload))
	case 'I':
		return now.Format("2006-01-02T15:04:05-0700")
	case 'U':
		return fmt.Sprintf("%d.%09d", now.Unix(), now.Nanosecond())
	case 'j', 'J':
		return string(appendJSON(nil, m, now, f.letter == 'J'))
	case 'A':
		return ifPresent(p, codec.PropTopicAlias, p.TopicAlias)
	case 'C':
		return string(p.ContentType)
	case 'D':
		return string(p.CorrelationData)
	case 'E':
		return ifPresent(p, codec.PropMessageExpiryInterval, p.MessageExpiryInterval)
	case 'F':
		return ifPresent(p, codec.PropPayloadFormatIndicator, p.PayloadFormatIndicator)
	case 'R':
		return string(p.ResponseTopic)
	case 'S':
		return strings.Trim(fmt.Sprint(p.SubscriptionIdentifiers), "[]")
	case 'P':
		var pairs []string
		for name, value := range p.User.All() {
			pairs = append(pairs, string(name)+":"+string(value))
		}
		return strings.Join(pairs, " ")
	default:
		panic("format: no field " + string(f.letter))
	}
}

func ifPresent(p *codec.Properties, id codec.PropertyID, value any) string {
	if !p.Has(id) {
		return ""
	}
	return fmt.Sprint(value)
}

// appendJSON appends m as one JSON object. With raw the payload, which is JSON,
// stands as it is; otherwise it is a string.
func appendJSON(dst []byte, m *client.Message, now time.Time, raw bool) []byte {
	dst = append(dst, `{"tst":`...)
	dst = appendJSONString(dst, now.Format("2006-01-02T15:04:05.000000-0700"))
	dst = append(dst, `,"topic":`...)
	dst = appendJSONString(dst, m.Topic)
	dst = fmt.Appendf(dst, `,"qos":%d,"retain":%d,"payloadlen":%d`, m.QoS, digit(m.Retain), len(m.Payload))
	if m.PacketID != 0 {
		dst = fmt.Appendf(dst, `,"mid":%d`, m.PacketID)
	}
	if m.Properties.Has(codec.PropSubscriptionIdentifier) || !m.Properties.Empty() {
		dst = append(dst, `,"properties":`...)
		dst = appendJSONProperties(dst, &m.Properties)
	}
	dst = append(dst, `,"payload":`...)
	if raw {
		dst = append(dst, m.Payload...)
	} else {
		dst = appendJSONString(dst, string(m.Payload))
	}
	return append(dst, '}')
}

func appendJSONProperties(dst []byte, p *codec.Properties) []byte {
	comma := byte('{')
	key := func(name string) {
		dst = append(dst, comma)
		dst = appendJSONString(dst, name)
		dst = append(dst, ':')
		comma = ','
	}
	for _, row := range []struct {
		id    codec.PropertyID
		name  string
		value any
	}{
		{codec.PropContentType, "content-type", p.ContentType},
		{codec.PropResponseTopic, "response-topic", p.ResponseTopic},
		{codec.PropCorrelationData, "correlation-data", p.CorrelationData},
		{codec.PropPayloadFormatIndicator, "payload-format-indicator", p.PayloadFormatIndicator},
		{codec.PropMessageExpiryInterval, "message-expiry-interval", p.MessageExpiryInterval},
		{codec.PropTopicAlias, "topic-alias", p.TopicAlias},
	} {
		if !p.Has(row.id) {
			continue
		}
		key(row.name)
		if text, ok := row.value.([]byte); ok {
			dst = appendJSONString(dst, string(text))
		} else {
			dst = fmt.Append(dst, row.value)
		}
	}
	if len(p.SubscriptionIdentifiers) > 0 {
		key("subscription-identifiers")
		dst = append(dst, strings.ReplaceAll(fmt.Sprint(p.SubscriptionIdentifiers), " ", ",")...)
	}
	if p.Has(codec.PropUserProperty) {
		key("user-properties")
		separator := byte('{')
		for name, value := range p.User.All() {
			dst = append(dst, separator)
			dst = appendJSONString(dst, string(name))
			dst = append(dst, ':')
			dst = appendJSONString(dst, string(value))
			separator = ','
		}
		dst = append(dst, '}')
	}
	if comma == '{' {
		dst = append(dst, '{')
	}
	return append(dst, '}')
}

// appendJSONString appends text as a JSON string, without the escapes that only
// HTML needs.
func appendJSONString(dst []byte, text string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		panic("format: a string has no JSON form: " + err.Error())
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
