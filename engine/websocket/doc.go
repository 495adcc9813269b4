// Package websocket is the Server's side of RFC 6455 over byte slices, as far as MQTT needs it.
//
// # What it is
//
// [Options.Upgrade] reads the HTTP request that begins a connection and writes the answer to it. From then on a
// [Reader] takes the frames of the Client apart, and [AppendHeader] puts one before what the Server sends. [AppendClose]
// says goodbye. All of them append to a buffer of the caller, who owns the socket; nothing here reads, writes or waits.
//
//	Client                                        Server
//	GET /mqtt HTTP/1.1                --------->
//	  Upgrade: websocket
//	  Sec-WebSocket-Protocol: mqtt
//	                                  <---------  101 Switching Protocols  [MQTT-6.0.0-4]
//	binary frames, masked             --------->
//	                                  <---------  binary frames, not masked
//	ping                              --------->
//	                                  <---------  pong
//	close                             --------->
//	                                  <---------  close
//
// MQTT sees a stream of bytes: frames and packets need not align [MQTT-6.0.0-2], so that the Reader passes payload on
// as it arrives, never holds a message back, and the broker puts one frame around everything that it writes at once.
//
// # What it is not
//
// It has no Client's side, no extensions (no permessage-deflate: none is agreed on, so that the reserved bits stay
// zero) and no text messages. It serves no files. Whether the peer may be believed about the address of the client
// behind it is the caller's decision, see [Request.ClientAddr].
//
// # Bounds
//
//	bound                     default    reaction
//	Options.HeaderBytesMax    8 KiB      431, closed
//	payload of a frame        512 MiB    close 1009; nothing of it is ever held, MQTT's own bounds come first
//	payload of a control      125 B      close 1002 [RFC 6455 section 5.5]
//	frame
//	reason in a close frame   123 B      cut at a whole character
//
// A connection costs the 24 bytes of its Reader, and 128 more while half a control frame has arrived.
//
// The package imports the standard library, and github.com/gobwas/ws for one function: removing the mask, which has
// vector instructions there. That library's own upgrader and frame reader read from a stream and beyond the header,
// and so lose bytes here.
package websocket
