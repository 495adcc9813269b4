// Package codec turns bytes into MQTT Control Packets and back, for MQTT 3.1,
// 3.1.1 and 5.0.
//
// # What it is
//
// [Next] cuts one packet off a byte stream. Each packet is a struct with a
// Parse method, which reads the body of a [Frame], and an Append method, which
// adds the whole encoded packet to a caller's buffer. The two stand side by
// side in a file named after the packet. A broker's way out has its own
// entrance, [AppendDelivery], because one received PUBLISH is written many
// times.
//
// # What it judges
//
// Whether a packet is well-formed: field lengths, reserved bits, UTF-8,
// property placement, value ranges, and the rules that can be checked with
// nothing but the packet and its protocol version. Whether a packet is allowed
// now (authorisation, direction, Topic Alias bounds, flow control, Topic Filter
// syntax, which SUBACK answers filter by filter) is not asked here.
//
// Every failure is an [*Error] declared beforehand. It carries the Reason Code
// a 5.0 peer is told and the number of the statement that was broken. MQTT 3.1
// has no numbered statements; its errors name those of 3.1.1.
//
// # Who owns the bytes
//
// Parsers borrow: every []byte in a parsed packet points into the body it was
// parsed from, or into a scratch buffer of the packet itself, and is valid until
// the body is overwritten or the packet is parsed into again. Whoever keeps
// bytes longer copies them. Packets are meant to be reused; Parse resets every
// exported field first and keeps the capacity of slices. After an error the
// fields of a packet are unspecified, except Connect.Version.
//
// Append methods write to dst beyond len(dst), grow it if they must, and keep
// no reference. What cannot be encoded at all (a string above 65,535 bytes, a
// property in a packet that must not carry it) is a mistake of the caller and
// panics.
//
// Nothing here is safe for concurrent use on the same value; there is no shared
// mutable state between values.
//
// # Version differences
//
// 3.1 is read leniently, as its text and its age ask for: fixed header flags
// are not checked, ill-formed UTF-8 is let through (Java's modified UTF-8 was
// the rule then), a user name or password that its flag announces may be
// missing, and Will QoS and Will Retain without a Will are ignored. A server
// that passes a 3.1 client's strings on to others checks [ValidString] first.
//
// The package imports the standard library only, and neither net, os, time nor
// a logger.
package codec
