// Package interop holds a running Gannet against MQTT clients that other people
// wrote: Eclipse Paho for Go (one library for 3.1 and 3.1.1, another for 5.0),
// the mosquitto command line tools, MQTT.js, and Gannet's own pub and sub, which
// also meet Debian's mosquitto broker here.
//
// There is no product code in it. It is a module of its own so that the Paho
// libraries stay out of the product's go.mod; `go test ./...` at the top therefore
// passes it by. run.sh installs what is missing, builds the broker, starts it and
// runs everything. The tests find the broker through two variables that it sets:
//
//	INTEROP_ADDR   host:port of the running broker
//	INTEROP_BIN    the gannet binary, for tests that start a second broker, pub or sub
//
// How it is laid out. A flavour (flavour_test.go) is one library speaking one
// protocol version behind a handful of verbs. The stories in delivery_test.go,
// session_test.go and bulk_test.go are told once and run for every flavour, or for
// every pair of a publishing and a subscribing one. What only 5.0 has is in
// v5_test.go and v5session_test.go. Command line tools run as processes
// (process_test.go, tools_test.go); commands_test.go tells its stories with both
// makers' tools, company_test.go mixes them. MQTT.js tells the stories again in its
// own language in test.mjs. report.mjs looks at the report of gannet bench compare in
// headless Chromium (chromium.mjs).
//
// The package crash beside this one kills the broker under such clients. The package
// secure runs both makers' brokers on the same configuration, with all that keeps
// strangers out. The command loader is a load generator to hold gannet bench run against.
//
// No test sleeps. Each waits for an event, and a deadline turns a missing event into
// a failure. That something does not happen is shown by a fence: a message published
// after it, on the same path, which must be the next to arrive.
package interop
