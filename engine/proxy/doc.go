// Package proxy is the PROXY protocol, versions 1 and 2: the header by which a proxy that forwards a connection says
// whom it forwards, before the first byte of the connection itself.
//
// [Parse] looks at the bytes that have arrived, [AppendV1] and [AppendV2] write a header. Nothing here reads, writes or
// waits, and nothing decides whether the peer may be believed: that anybody who can reach the port can send a header is
// the caller's affair, who knows the networks of its proxies. The package imports the standard library only.
//
// # Version 1, a line of text
//
//	PROXY TCP4 192.0.2.1 198.51.100.7 4711 8883\r\n          at most 107 bytes
//	      |    |         |            |    port of destination
//	      |    |         |            port of source
//	      |    source    destination
//	      TCP4, TCP6, or UNKNOWN, behind which everything is ignored
//
// # Version 2, binary
//
//	byte 0                 12          13          14 15        16
//	+---------------------+-----+-----+-----+-----+-----+------+-----------+----------------…
//	| 0D0A0D0A000D0A      | 2   | cmd | fam | prot| length     | addresses | TLVs: type (1),
//	| 515549540A          |     |     |     |     | of rest    |           | length (2), value
//	+---------------------+-----+-----+-----+-----+-----+------+-----------+----------------…
//
//	cmd   0 LOCAL: the proxy speaks for itself, as in a health check; the rest is ignored
//	      1 PROXY
//	fam   0 none, 1 IPv4 (12 bytes of addresses and ports), 2 IPv6 (36), 3 Unix (216)
//	prot  0 none, 1 stream, 2 datagram, which makes no sense here and is refused
//
// # Strictness
//
// A connection that does not begin with a header is refused at the first byte that cannot be part of one, so that it
// does not hang until a time-out, and nothing after a header is looked at. A known TLV may be there once. One that
// claims a checksum must have the right one. Strings that become user names or go to a log are UTF-8 without control
// characters.
package proxy
