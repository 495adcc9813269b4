// Package session is one MQTT client as a pure state machine: a control packet, a message
// to deliver, a lost connection or the passing of time goes in; an Output comes out. It
// has no socket, no clock, no lock and no goroutine, so every rule of the protocol can be
// tested by calling it.
//
// Two machines share the work. A Handshake judges what arrives before CONNACK: CONNECT
// and the AUTH packets of an enhanced authentication. It ends in a Hello, the facts of an
// accepted CONNECT. A Session is what the specification calls session state plus, while
// connected, the state of its Network Connection: windows, aliases, keep alive.
//
// What it decides, others do. Output lists the bytes to write, the application message
// to route, the subscriptions to change in the router, the records to make durable and
// whether the connection closes. The caller owns the Output and reuses it; a steady
// stream of PUBLISH packets allocates nothing here.
//
// A Session is not safe for concurrent use. Its owner (package broker) holds one lock
// around every call and never calls back into the session from what it does with the
// Output.
//
// It imports codec and the standard library only.
package session
