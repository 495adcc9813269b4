package codec

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// reject is a packet that must be refused. The wire form is the first byte of the
// fixed header and the body; the Remaining Length between them is of no interest.
type reject struct {
	name string
	v    Version
	wire string
	code ReasonCode
	rule string // the broken statement, or the message where it has no number
}

var rejects = []reject{
	// CONNECT
	{"3.1.1 connect, flags", V311, "11 0004 'MQTT' 04 02 0000 0000", MalformedPacket, "MQTT-2.2.2-2"},
	{"5.0 connect, flags", V5, "18 0004 'MQTT' 05 02 0000 00 0000", MalformedPacket, "MQTT-2.1.3-1"},
	{"connect, wrong name", V311, "10 0004 'MQTQ' 04 02 0000 0000", UnsupportedProtocolVersion, "MQTT-3.1.2-1"},
	{"connect, name in lower case", V311, "10 0004 'mqtt' 04 02 0000 0000", UnsupportedProtocolVersion, "MQTT-3.1.2-1"},
	{"connect, name longer", V311, "10 0005 'MQTT5' 05 02 0000 00 0000", UnsupportedProtocolVersion, "MQTT-3.1.2-1"},
	{"connect, name empty", V311, "10 0000 04 02 0000 0000", UnsupportedProtocolVersion, "MQTT-3.1.2-1"},
	{"connect, level 6", V311, "10 0004 'MQTT' 06 02 0000 0000", UnsupportedProtocolVersion, "MQTT-3.1.2-2"},
	{"connect, level 0", V311, "10 0004 'MQTT' 00 02 0000 0000", UnsupportedProtocolVersion, "MQTT-3.1.2-2"},
	{"connect, MQTT with level 3", V311, "10 0004 'MQTT' 03 02 0000 0000", UnsupportedProtocolVersion, "MQTT-3.1.2-2"},
	{"connect, MQIsdp with level 4", V31, "10 0006 'MQIsdp' 04 02 0000 0000", UnsupportedProtocolVersion, "MQTT-3.1.2-2"},
	{"connect, MQIsdp with the bridge level of 3.1.1", V31, "10 0006 'MQIsdp' 84 02 0000 0000", UnsupportedProtocolVersion, "MQTT-3.1.2-2"},
	{"connect, bridge level of 5.0", V5, "10 0004 'MQTT' 85 02 0000 00 0000", UnsupportedProtocolVersion, "MQTT-3.1.2-2"},
	{"connect, nothing", V311, "10", MalformedPacket, "connect: truncated"},
	{"3.1 connect, reserved flag", V31, "10 0006 'MQIsdp' 03 03 0000 0001 'c'", MalformedPacket, "MQTT-3.1.2-3"},
	{"3.1.1 connect, reserved flag", V311, "10 0004 'MQTT' 04 03 0000 0000", MalformedPacket, "MQTT-3.1.2-3"},
	{"5.0 connect, reserved flag", V5, "10 0004 'MQTT' 05 03 0000 00 0000", MalformedPacket, "MQTT-3.1.2-3"},
	{"3.1.1 connect, will qos without will", V311, "10 0004 'MQTT' 04 0a 0000 0000", MalformedPacket, "MQTT-3.1.2-13"},
	{"5.0 connect, will qos without will", V5, "10 0004 'MQTT' 05 0a 0000 00 0000", MalformedPacket, "MQTT-3.1.2-11"},
	{"3.1.1 connect, will retain without will", V311, "10 0004 'MQTT' 04 22 0000 0000", MalformedPacket, "MQTT-3.1.2-15"},
	{"5.0 connect, will retain without will", V5, "10 0004 'MQTT' 05 22 0000 00 0000", MalformedPacket, "MQTT-3.1.2-13"},
	{"3.1 connect, will qos 3", V31, "10 0006 'MQIsdp' 03 1e 0000 0001 'c' 0001 'w' 0000", MalformedPacket, "MQTT-3.1.2-14"},
	{"3.1.1 connect, will qos 3", V311, "10 0004 'MQTT' 04 1e 0000 0000 0001 'w' 0000", MalformedPacket, "MQTT-3.1.2-14"},
	{"5.0 connect, will qos 3", V5, "10 0004 'MQTT' 05 1e 0000 00 0000 00 0001 'w' 0000", MalformedPacket, "MQTT-3.1.2-12"},
	{"3.1 connect, password without user name", V31, "10 0006 'MQIsdp' 03 42 0000 0001 'c' 0001 'p'", MalformedPacket, "MQTT-3.1.2-22"},
	{"3.1.1 connect, password without user name", V311, "10 0004 'MQTT' 04 42 0000 0000 0001 'p'", MalformedPacket, "MQTT-3.1.2-22"},
	{"3.1 connect, half a user name length", V31, "10 0006 'MQIsdp' 03 82 0000 0001 'c' 00", MalformedPacket, "connect: truncated"},
	{"3.1.1 connect, user name missing", V311, "10 0004 'MQTT' 04 82 0000 0000", MalformedPacket, "connect: truncated"},
	{"5.0 connect, password missing", V5, "10 0004 'MQTT' 05 42 0000 00 0000", MalformedPacket, "connect: truncated"},
	{"5.0 connect, bytes left over", V5, "10 0004 'MQTT' 05 02 0000 00 0000 0001 'u'", MalformedPacket, "connect: bytes after the last field"},
	{"3.1.1 connect, client identifier not utf-8", V311, "10 0004 'MQTT' 04 02 0000 0002 c328", MalformedPacket, "MQTT-3.1.3-4"},
	{"5.0 connect, client identifier not utf-8", V5, "10 0004 'MQTT' 05 02 0000 00 0003 eda080", MalformedPacket, "MQTT-3.1.3-4"},
	{"3.1 connect, u+0000 in client identifier", V31, "10 0006 'MQIsdp' 03 02 0000 0001 00", MalformedPacket, "MQTT-1.5.3-2"},
	{"3.1.1 connect, u+0000 in client identifier", V311, "10 0004 'MQTT' 04 02 0000 0001 00", MalformedPacket, "MQTT-1.5.3-2"},
	{"5.0 connect, u+0000 in client identifier", V5, "10 0004 'MQTT' 05 02 0000 00 0001 00", MalformedPacket, "MQTT-1.5.4-2"},
	{"3.1.1 connect, will topic not utf-8", V311, "10 0004 'MQTT' 04 06 0000 0000 0001 ff 0000", MalformedPacket, "MQTT-3.1.3-10"},
	{"5.0 connect, will topic not utf-8", V5, "10 0004 'MQTT' 05 06 0000 00 0000 00 0001 ff 0000", MalformedPacket, "MQTT-3.1.3-11"},
	{"5.0 connect, u+0000 in will topic", V5, "10 0004 'MQTT' 05 06 0000 00 0000 00 0002 'a' 00 0000", MalformedPacket, "MQTT-1.5.4-2"},
	{"3.1.1 connect, wildcard in will topic", V311, "10 0004 'MQTT' 04 06 0000 0000 0003 'a/#' 0000", TopicNameInvalid, "MQTT-4.7.1-1"},
	{"5.0 connect, wildcard in will topic", V5, "10 0004 'MQTT' 05 06 0000 00 0000 00 0001 '+' 0000", TopicNameInvalid, "MQTT-4.7.0-1"},
	{"3.1.1 connect, empty will topic", V311, "10 0004 'MQTT' 04 06 0000 0000 0000 0000", TopicNameInvalid, "MQTT-4.7.3-1"},
	{"5.0 connect, empty will topic", V5, "10 0004 'MQTT' 05 06 0000 00 0000 00 0000 0000", TopicNameInvalid, "MQTT-4.7.3-1"},
	{"3.1.1 connect, user name not utf-8", V311, "10 0004 'MQTT' 04 82 0000 0000 0001 ff", MalformedPacket, "MQTT-3.1.3-11"},
	{"5.0 connect, user name not utf-8", V5, "10 0004 'MQTT' 05 82 0000 00 0000 0001 ff", MalformedPacket, "MQTT-3.1.3-12"},
	{"3.1 connect, u+0000 in user name", V31, "10 0006 'MQIsdp' 03 82 0000 0001 'c' 0002 'u' 00", MalformedPacket, "MQTT-1.5.3-2"},
	{"5.0 connect, property length beyond the body", V5, "10 0004 'MQTT' 05 02 0000 05 0000", MalformedPacket, "connect: truncated"},
	{"5.0 connect, property length not minimal", V5, "10 0004 'MQTT' 05 02 0000 8000 0000", MalformedPacket, "MQTT-1.5.5-1"},
	{"5.0 connect, property length of five bytes", V5, "10 0004 'MQTT' 05 02 0000 8080808001 0000", MalformedPacket, "MQTT-1.5.5-1"},
	{"5.0 connect, authentication data without method", V5, "10 0004 'MQTT' 05 02 0000 04 16 0001 'x' 0000", ProtocolError, "authentication data without authentication method"},
	{"5.0 connect, receive maximum 0", V5, "10 0004 'MQTT' 05 02 0000 03 21 0000 0000", ProtocolError, "receive maximum 0"},
	{"5.0 connect, maximum packet size 0", V5, "10 0004 'MQTT' 05 02 0000 05 27 00000000 0000", ProtocolError, "maximum packet size 0"},
	{"5.0 connect, will delay outside the will", V5, "10 0004 'MQTT' 05 02 0000 05 18 00000001 0000", MalformedPacket, "will delay interval: not a property of this packet"},
	{"5.0 connect, session expiry in the will", V5, "10 0004 'MQTT' 05 06 0000 00 0000 05 11 00000001 0001 'w' 0000", MalformedPacket, "session expiry interval: not a property of this packet"},
	{"5.0 connect, authentication method not utf-8", V5, "10 0004 'MQTT' 05 02 0000 04 15 0001 ff 0000", MalformedPacket, "MQTT-1.5.4-1"},
	{"5.0 connect, u+0000 in authentication method", V5, "10 0004 'MQTT' 05 02 0000 04 15 0001 00 0000", MalformedPacket, "MQTT-1.5.4-2"},

	// CONNACK
	{"3.1.1 connack, flags", V311, "21 00 00", MalformedPacket, "MQTT-2.2.2-2"},
	{"3.1.1 connack, reserved bits", V311, "20 02 00", MalformedPacket, "connack: reserved acknowledge flags"},
	{"5.0 connack, reserved bits", V5, "20 80 00 00", MalformedPacket, "MQTT-3.2.2-1"},
	{"3.1.1 connack, return code 6", V311, "20 00 06", ProtocolError, "MQTT-3.2.2-6"},
	{"3.1 connack, return code 6", V31, "20 00 06", ProtocolError, "MQTT-3.2.2-6"},
	{"5.0 connack, code of another packet", V5, "20 00 8e 00", ProtocolError, "MQTT-3.2.2-8"},
	{"5.0 connack, code not defined", V5, "20 00 03 00", ProtocolError, "MQTT-3.2.2-8"},
	{"3.1.1 connack, session on refusal", V311, "20 01 05", ProtocolError, "MQTT-3.2.2-4"},
	{"5.0 connack, session on refusal", V5, "20 01 87 00", ProtocolError, "MQTT-3.2.2-6"},
	{"5.0 connack, maximum qos 2", V5, "20 00 00 02 24 02", ProtocolError, "maximum qos: neither 0 nor 1"},
	{"5.0 connack, reason string not utf-8", V5, "20 00 00 04 1f 0001 80", MalformedPacket, "MQTT-1.5.4-1"},
	{"5.0 connack, assigned identifier not utf-8", V5, "20 00 00 04 12 0001 80", MalformedPacket, "MQTT-1.5.4-1"},
	{"5.0 connack, response information not utf-8", V5, "20 00 00 04 1a 0001 80", MalformedPacket, "MQTT-1.5.4-1"},
	{"5.0 connack, server reference not utf-8", V5, "20 00 00 04 1c 0001 80", MalformedPacket, "MQTT-1.5.4-1"},

	// PUBLISH
	{"3.1 publish, qos 3", V31, "36 0001 'a' 0001", MalformedPacket, "MQTT-3.3.1-4"},
	{"3.1.1 publish, qos 3", V311, "36 0001 'a' 0001", MalformedPacket, "MQTT-3.3.1-4"},
	{"5.0 publish, qos 3 with dup", V5, "3e 0001 'a' 0001 00", MalformedPacket, "MQTT-3.3.1-4"},
	{"3.1.1 publish, dup with qos 0", V311, "38 0001 'a'", MalformedPacket, "MQTT-3.3.1-2"},
	{"5.0 publish, dup with qos 0", V5, "39 0001 'a' 00", MalformedPacket, "MQTT-3.3.1-2"},
	{"3.1.1 publish, packet identifier 0", V311, "32 0001 'a' 0000", ProtocolError, "MQTT-2.3.1-1"},
	{"5.0 publish, packet identifier 0", V5, "34 0001 'a' 0000 00", ProtocolError, "MQTT-2.2.1-3"},
	{"3.1.1 publish, wildcard", V311, "30 0003 'a/+'", TopicNameInvalid, "MQTT-3.3.2-2"},
	{"5.0 publish, wildcard in a long topic", V5, "30 0010 'sensor/kitchen/#' 00", TopicNameInvalid, "MQTT-3.3.2-2"},
	{"3.1 publish, wildcard", V31, "30 0001 '#'", TopicNameInvalid, "MQTT-3.3.2-2"},
	{"3.1 publish, empty topic", V31, "30 0000 'x'", MalformedPacket, "MQTT-4.7.3-1"},
	{"3.1.1 publish, empty topic", V311, "30 0000 'x'", MalformedPacket, "MQTT-4.7.3-1"},
	{"5.0 publish, empty topic without alias", V5, "30 0000 00 'x'", ProtocolError, "MQTT-4.7.3-1"},
	{"3.1.1 publish, topic not utf-8", V311, "30 0002 c080", MalformedPacket, "MQTT-3.3.2-1"},
	{"5.0 publish, surrogate in topic", V5, "30 0004 'a' edbfbf 00", MalformedPacket, "MQTT-3.3.2-1"},
	{"3.1 publish, u+0000 in topic", V31, "30 0002 'a' 00", MalformedPacket, "MQTT-1.5.3-2"},
	{"3.1.1 publish, u+0000 in topic", V311, "30 0002 'a' 00", MalformedPacket, "MQTT-1.5.3-2"},
	{"5.0 publish, u+0000 in topic", V5, "30 0002 'a' 00 00", MalformedPacket, "MQTT-1.5.4-2"},
	{"5.0 publish, topic alias 0", V5, "30 0001 'a' 03 23 0000", TopicAliasInvalid, "MQTT-3.3.2-8"},
	{"5.0 publish, payload format 2", V5, "30 0001 'a' 02 01 02", ProtocolError, "payload format indicator: neither 0 nor 1"},
	{"5.0 publish, subscription identifier 0", V5, "30 0001 'a' 02 0b 00", ProtocolError, "subscription identifier 0"},
	{"5.0 publish, subscription identifier not minimal", V5, "30 0001 'a' 03 0b 8100", MalformedPacket, "MQTT-1.5.5-1"},
	{"5.0 publish, subscription identifier cut", V5, "30 0001 'a' 02 0b 81", MalformedPacket, "publish: truncated"},
	{"5.0 publish, wildcard in response topic", V5, "30 0001 'a' 06 08 0003 'r/#'", ProtocolError, "MQTT-3.3.2-14"},
	{"5.0 publish, empty response topic", V5, "30 0001 'a' 03 08 0000", ProtocolError, "MQTT-4.7.3-1"},
	{"5.0 publish, response topic not utf-8", V5, "30 0001 'a' 04 08 0001 ff", MalformedPacket, "MQTT-3.3.2-13"},
	{"5.0 publish, content type not utf-8", V5, "30 0001 'a' 04 03 0001 ff", MalformedPacket, "MQTT-3.3.2-19"},
	{"5.0 publish, user property name not utf-8", V5, "30 0001 'a' 06 26 0001 ff 0000", MalformedPacket, "MQTT-1.5.7-1"},
	{"5.0 publish, user property value not utf-8", V5, "30 0001 'a' 06 26 0000 0001 ff", MalformedPacket, "MQTT-1.5.7-1"},
	{"5.0 publish, u+0000 in user property", V5, "30 0001 'a' 06 26 0000 0001 00", MalformedPacket, "MQTT-1.5.4-2"},
	{"5.0 publish, user property without value", V5, "30 0001 'a' 04 26 0001 'n' 0001 'v'", MalformedPacket, "publish: truncated"},
	{"5.0 publish, property value cut by the property length", V5, "30 0001 'a' 03 02 00000001", MalformedPacket, "publish: truncated"},
	{"5.0 publish, identifier without value", V5, "30 0001 'a' 01 01", MalformedPacket, "publish: truncated"},
	{"5.0 publish, property length missing", V5, "30 0001 'a'", MalformedPacket, "publish: truncated"},

	// PUBACK, PUBREC, PUBREL, PUBCOMP
	{"3.1.1 puback, flags", V311, "42 0001", MalformedPacket, "MQTT-2.2.2-2"},
	{"5.0 pubrec, flags", V5, "51 0001", MalformedPacket, "MQTT-2.1.3-1"},
	{"3.1.1 pubrel, flags", V311, "60 0001", MalformedPacket, "MQTT-3.6.1-1"},
	{"5.0 pubrel, flags", V5, "6a 0001", MalformedPacket, "MQTT-3.6.1-1"},
	{"5.0 pubcomp, flags", V5, "72 0001", MalformedPacket, "MQTT-2.1.3-1"},
	{"3.1.1 puback, packet identifier 0", V311, "40 0000", ProtocolError, "MQTT-2.3.1-6"},
	{"5.0 puback, packet identifier 0", V5, "40 0000", ProtocolError, "MQTT-2.2.1-5"},
	{"5.0 pubrec, packet identifier 0", V5, "50 0000", ProtocolError, "MQTT-2.2.1-5"},
	{"5.0 pubrel, packet identifier 0", V5, "62 0000 92", ProtocolError, "MQTT-2.2.1-5"},
	{"5.0 pubcomp, packet identifier 0", V5, "70 0000", ProtocolError, "MQTT-2.2.1-5"},
	{"3.1.1 puback, reason code", V311, "40 0001 00", MalformedPacket, "puback: bytes after the last field"},
	{"5.0 puback, code of another packet", V5, "40 0001 92", ProtocolError, "MQTT-3.4.2-1"},
	{"5.0 pubrec, code not defined", V5, "50 0001 20", ProtocolError, "MQTT-3.5.2-1"},
	{"5.0 pubrel, code of another packet", V5, "62 0001 10", ProtocolError, "MQTT-3.6.2-1"},
	{"5.0 pubcomp, code of another packet", V5, "70 0001 80", ProtocolError, "MQTT-3.7.2-1"},
	{"5.0 puback, misplaced property", V5, "40 0001 00 05 11 00000001", MalformedPacket, "session expiry interval: not a property of this packet"},
	{"5.0 puback, bytes after the properties", V5, "40 0001 00 00 00", MalformedPacket, "puback: bytes after the last field"},

	// SUBSCRIBE and SUBACK
	{"3.1.1 subscribe, flags", V311, "80 0001 0001 'a' 00", MalformedPacket, "MQTT-3.8.1-1"},
	{"5.0 subscribe, flags", V5, "83 0001 00 0001 'a' 00", MalformedPacket, "MQTT-3.8.1-1"},
	{"3.1.1 subscribe, packet identifier 0", V311, "82 0000 0001 'a' 00", ProtocolError, "MQTT-2.3.1-1"},
	{"5.0 subscribe, packet identifier 0", V5, "82 0000 00 0001 'a' 00", ProtocolError, "MQTT-2.2.1-3"},
	{"3.1 subscribe, no filter", V31, "82 0001", ProtocolError, "MQTT-3.8.3-3"},
	{"3.1.1 subscribe, no filter", V311, "82 0001", ProtocolError, "MQTT-3.8.3-3"},
	{"5.0 subscribe, no filter", V5, "82 0001 00", ProtocolError, "MQTT-3.8.3-2"},
	{"3.1.1 subscribe, filter not utf-8", V311, "82 0001 0001 ff 00", MalformedPacket, "MQTT-3.8.3-1"},
	{"5.0 subscribe, filter not utf-8", V5, "82 0001 00 0001 ff 00", MalformedPacket, "MQTT-3.8.3-1"},
	{"5.0 subscribe, u+0000 in filter", V5, "82 0001 00 0002 'a' 00 00", MalformedPacket, "MQTT-1.5.4-2"},
	{"3.1.1 subscribe, options missing", V311, "82 0001 0001 'a'", MalformedPacket, "subscribe: truncated"},
	{"3.1.1 subscribe, qos 3", V311, "82 0001 0001 'a' 03", MalformedPacket, "MQTT-3.8.3-4"},
	{"5.0 subscribe, qos 3", V5, "82 0001 00 0001 'a' 03", ProtocolError, "subscribe: requested qos 3"},
	{"3.1.1 subscribe, 5.0 options", V311, "82 0001 0001 'a' 04", MalformedPacket, "MQTT-3.8.3-4"},
	{"5.0 subscribe, reserved bit 6", V5, "82 0001 00 0001 'a' 40", MalformedPacket, "MQTT-3.8.3-5"},
	{"5.0 subscribe, reserved bit 7 in the second filter", V5, "82 0001 00 0001 'a' 00 0001 'b' 80", MalformedPacket, "MQTT-3.8.3-5"},
	{"5.0 subscribe, retain handling 3", V5, "82 0001 00 0001 'a' 30", ProtocolError, "subscribe: retain handling 3"},
	{"5.0 subscribe, no local on a shared filter", V5, "82 0001 00 000a '$share/g/a' 04", ProtocolError, "MQTT-3.8.3-4"},
	{"5.0 subscribe, subscription identifier 0", V5, "82 0001 02 0b 00 0001 'a' 00", ProtocolError, "subscription identifier 0"},
	{"5.0 subscribe, subscription identifier twice", V5, "82 0001 04 0b 01 0b 02 0001 'a' 00", ProtocolError, "subscription identifier: given twice"},
	{"3.1.1 suback, flags", V311, "92 0001 00", MalformedPacket, "MQTT-2.2.2-2"},
	{"3.1.1 suback, packet identifier 0", V311, "90 0000 00", ProtocolError, "MQTT-2.3.1-7"},
	{"5.0 suback, packet identifier 0", V5, "90 0000 00 00", ProtocolError, "MQTT-2.2.1-6"},
	{"3.1.1 suback, no code", V311, "90 0001", ProtocolError, "MQTT-3.8.4-5"},
	{"5.0 suback, no code", V5, "90 0001 00", ProtocolError, "MQTT-3.8.4-6"},
	{"3.1.1 suback, code of 5.0", V311, "90 0001 87", ProtocolError, "MQTT-3.9.3-2"},
	{"3.1.1 suback, code 3", V311, "90 0001 03", ProtocolError, "MQTT-3.9.3-2"},
	{"5.0 suback, code of another packet", V5, "90 0001 00 11", ProtocolError, "MQTT-3.9.3-2"},

	// UNSUBSCRIBE and UNSUBACK
	{"3.1.1 unsubscribe, flags", V311, "a0 0001 0001 'a'", MalformedPacket, "MQTT-3.10.1-1"},
	{"5.0 unsubscribe, flags", V5, "a0 0001 00 0001 'a'", MalformedPacket, "MQTT-3.10.1-1"},
	{"3.1.1 unsubscribe, packet identifier 0", V311, "a2 0000 0001 'a'", ProtocolError, "MQTT-2.3.1-1"},
	{"5.0 unsubscribe, packet identifier 0", V5, "a2 0000 00 0001 'a'", ProtocolError, "MQTT-2.2.1-3"},
	{"3.1.1 unsubscribe, no filter", V311, "a2 0001", ProtocolError, "MQTT-3.10.3-2"},
	{"5.0 unsubscribe, no filter", V5, "a2 0001 00", ProtocolError, "MQTT-3.10.3-2"},
	{"3.1.1 unsubscribe, filter not utf-8", V311, "a2 0001 0001 ff", MalformedPacket, "MQTT-3.10.3-1"},
	{"5.0 unsubscribe, u+0000 in filter", V5, "a2 0001 00 0001 00", MalformedPacket, "MQTT-1.5.4-2"},
	{"5.0 unsubscribe, misplaced property", V5, "a2 0001 02 0b 01 0001 'a'", MalformedPacket, "subscription identifier: not a property of this packet"},
	{"3.1.1 unsuback, flags", V311, "b2 0001", MalformedPacket, "MQTT-2.2.2-2"},
	{"3.1.1 unsuback, packet identifier 0", V311, "b0 0000", ProtocolError, "MQTT-2.3.1-7"},
	{"5.0 unsuback, packet identifier 0", V5, "b0 0000 00 00", ProtocolError, "MQTT-2.2.1-6"},
	{"3.1.1 unsuback, codes", V311, "b0 0001 00", MalformedPacket, "unsuback: bytes after the last field"},
	{"5.0 unsuback, no code", V5, "b0 0001 00", ProtocolError, "MQTT-3.11.3-2"},
	{"5.0 unsuback, code of another packet", V5, "b0 0001 00 01", ProtocolError, "MQTT-3.11.3-2"},

	// PINGREQ and PINGRESP
	{"3.1.1 pingreq, flags", V311, "c1", MalformedPacket, "MQTT-2.2.2-2"},
	{"5.0 pingresp, flags", V5, "d8", MalformedPacket, "MQTT-2.1.3-1"},
	{"3.1 pingreq, body", V31, "c0 00", MalformedPacket, "pingreq or pingresp: body not empty"},
	{"5.0 pingreq, body", V5, "c0 00", MalformedPacket, "pingreq or pingresp: body not empty"},

	// DISCONNECT
	{"3.1.1 disconnect, flags", V311, "e1", MalformedPacket, "MQTT-3.14.1-1"},
	{"5.0 disconnect, flags", V5, "e2 00", MalformedPacket, "MQTT-3.14.1-1"},
	{"3.1.1 disconnect, body", V311, "e0 00", MalformedPacket, "disconnect: bytes after the last field"},
	{"5.0 disconnect, code of another packet", V5, "e0 84", ProtocolError, "MQTT-3.14.2-1"},
	{"5.0 disconnect, code not defined", V5, "e0 ff", ProtocolError, "MQTT-3.14.2-1"},
	{"5.0 disconnect, misplaced property", V5, "e0 00 03 21 0001", MalformedPacket, "receive maximum: not a property of this packet"},
	{"5.0 disconnect, session expiry twice", V5, "e0 00 0a 11 00000001 11 00000001", ProtocolError, "session expiry interval: given twice"},
	{"5.0 disconnect, bytes after the properties", V5, "e0 00 00 00", MalformedPacket, "disconnect: bytes after the last field"},

	// AUTH
	{"3.1.1 auth", V311, "f0", ProtocolError, "auth: not a packet of mqtt 3"},
	{"5.0 auth, flags", V5, "f1 18 04 15 0001 'm'", MalformedPacket, "MQTT-3.15.1-1"},
	{"5.0 auth, code of another packet", V5, "f0 87 04 15 0001 'm'", ProtocolError, "MQTT-3.15.2-1"},
	{"5.0 auth, no method", V5, "f0 18 00", ProtocolError, "auth: no authentication method"},
	{"5.0 auth, data without method", V5, "f0 18 04 16 0001 'x'", ProtocolError, "authentication data without authentication method"},
	{"5.0 auth, code only", V5, "f0 18", MalformedPacket, "auth: truncated"},
}

func TestMalformedPacketsAreRefusedWithCodeAndStatement(t *testing.T) {
	var p packets
	for _, c := range rejects {
		b := wire(t, c.wire)
		_, err := p.parse(c.v, Frame{Type: PacketType(b[0] >> 4), Flags: b[0] & 15, Body: b[1:]})
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v, want an error", c.name, err)
			continue
		}
		rule := e.Statement
		if rule == "" {
			rule = e.Message
		}
		if e.Code != c.code || rule != c.rule {
			t.Errorf("%s: %v, want %v and %s", c.name, e, c.code, c.rule)
		}
		if packet := PacketType(b[0] >> 4); packet == TypeConnect && !e.Code.AllowedIn(TypeConnack) {
			t.Errorf("%s: CONNACK cannot carry %v", c.name, e.Code)
		} else if packet != TypeConnect && !e.Code.AllowedIn(TypeDisconnect) {
			t.Errorf("%s: DISCONNECT cannot carry %v", c.name, e.Code)
		}
	}
}

// The numbers in errors are those of the document that governs the connection.
func TestStatementsExistInTheVersionsDocument(t *testing.T) {
	known := map[Version]map[string]bool{}
	for v, name := range map[Version]string{V311: "statements-3.1.1.txt", V5: "statements-5.0.txt"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		known[v] = map[string]bool{}
		for _, id := range strings.Fields(string(text)) {
			known[v][id] = true
		}
	}
	known[V31] = known[V311] // 3.1 has no numbers of its own
	for _, c := range rejects {
		if strings.HasPrefix(c.rule, "MQTT-") && !known[c.v][c.rule] {
			t.Errorf("%s: %s is not a statement of MQTT %v", c.name, c.rule, c.v)
		}
	}
}

func TestUnsupportedVersionLeavesTheRawLevel(t *testing.T) {
	for _, c := range []struct {
		body  string
		level Version
	}{
		{"0004 'MQTT' 06 02 0000 0000", 6},
		{"0004 'MQTT' 85 02 0000 0000", 0x85},
		{"0006 'MQIsdp' 04 02 0000 0000", 4},
		{"0004 'AMQP' 09", 9},
	} {
		p := Connect{Version: V5, Bridge: true}
		var e *Error
		if err := p.Parse(0, wire(t, c.body)); !errors.As(err, &e) || e.Code != UnsupportedProtocolVersion || p.Version != c.level {
			t.Errorf("%s: %v, version %d", c.body, err, p.Version)
		}
	}
}

// A refused packet leaves nothing behind that shows in the next one.
func TestAPacketIsUsableAfterARefusal(t *testing.T) {
	var reused packets
	for _, bad := range rejects {
		b := wire(t, bad.wire)
		badFrame := Frame{Type: PacketType(b[0] >> 4), Flags: b[0] & 15, Body: b[1:]}
		for _, good := range vectors() {
			f := frame(t, wire(t, good.wire))
			if f.Type != badFrame.Type || len(f.Body) > 1000 {
				continue
			}
			if _, err := reused.parse(bad.v, badFrame); err == nil {
				t.Errorf("%s: no error", bad.name)
			}
			got, err := reused.parse(good.v, f)
			if err != nil {
				t.Errorf("%s after %s: %v", good.name, bad.name, err)
			} else if d := diff(got, good.packet, "Passthrough", "WillPassthrough"); d != "" {
				t.Errorf("%s after %s: %s", good.name, bad.name, d)
			}
		}
	}
}
