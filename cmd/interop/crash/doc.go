// Package crash ends a running broker, with SIGKILL for the most part, while clients that
// other people wrote publish to it and receive from it, and counts what became of every
// message. There is no product code in it. run.sh crash builds the broker and runs it;
// INTEROP_BIN names the binary. ROUNDS= sets the number of rounds and SEED= the first seed,
// so that a seed that failed can be played again: the same clients, the same plan of
// messages and absences, the broker ended at the same counts. What the network and the
// scheduler do in between is not repeated.
//
// A round (round_test.go) has four publishers, each with QoS 1, QoS 2 and retained
// messages, six durable subscribers, half of which keep going away and coming back, and a
// shared subscription of three durable members. The broker is ended at moments that are
// counts of what clients have seen, at times while it starts or while the clients come
// back. A newcomer asks for the retained messages after each start, and one client after
// another makes sessions, subscriptions and retained messages and ends some (probe_test.go).
// In the end the publishers finish, the subscribers drain, and everything is compared.
//
// The ledger (ledger_test.go) is the judge. What counts as published and acknowledged is
// read from the publishers' sockets (tap_test.go): a library's own word on a message is
// lost with its connection. What counts as delivered is what a client passes to its
// application.
//
// Which libraries, and why that is fair (publisher_test.go, subscriber_test.go):
//
//   - paho.golang, 5.0, publishes and subscribes with every QoS. Its session state
//     remembers both directions of QoS 2 over connections.
//   - paho.mqtt.golang, 3.1.1, publishes with every QoS from an ordered store in which the
//     tap puts PUBREL in the place of a PUBLISH that PUBREC has come for. It subscribes
//     with QoS 1 only: a QoS 2 message that is sent again it passes on again.
//   - The exact receiver, 5.0, is written here on the packets of paho.golang. It keeps the
//     identifiers of QoS 2 by the letter of the specification, so that a message that
//     comes twice is the broker's doing.
//   - mosquitto_pub publishes under strace (strace_test.go), and the mosquitto broker, which
//     loses what it acknowledged, shows that the test can fail.
//
// A QoS 1 message may come twice and is counted without blame. A shared subscription has
// no order.
//
// What SIGKILL cannot show is whether a message has reached the disk or only the system's
// memory. strace_test.go shows that, by the order of system calls. diskfull_test.go fills
// the disk.
//
// No test sleeps. Each waits for an event, and a deadline turns a missing event into a
// failure.
package crash
