// Package secure holds Gannet against Debian's mosquitto over everything that keeps
// strangers out: passwords, access control lists, TLS, client certificates, revocation,
// Unix sockets, WebSocket and proxies. The clients are those that users have:
// mosquitto_pub and mosquitto_sub, openssl s_client, haproxy, MQTT.js in Node and in
// headless Chromium. There is no product code in it.
//
// The broker is a parameter. A test writes one mosquitto.conf, runs each maker's broker
// on it (maker_test.go) and expects the same of both: that is what a drop-in is. What
// users read is compared literally, with only ports, folders and made-up Client
// Identifiers evened out (alike in ledger_test.go). What the mosquitto of Debian cannot
// do, such as the PROXY protocol, is told of Gannet alone.
//
// run.sh sets INTEROP_BIN, the gannet binary. INTEROP_BROKERS=mosquitto runs everything on
// that broker only: a test that fails there asks for something that nobody has.
//
// attack_test.go is different: it does harm to Gannet, beside clients that must not notice,
// and prints what it came to as a table.
//
// No test sleeps. Each waits for an event, or asks again and again for a state, and a
// deadline turns what is missing into a failure.
package secure
