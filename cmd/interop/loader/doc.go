// Command loader is a second opinion on gannet bench run: a load generator that has
// nothing in common with it but the scenario. Its client is Eclipse Paho's
// paho.mqtt.golang, its histogram is HdrHistogram's, its clock, its books and its
// reading of /proc are written here. Where both say the same about a broker, it is the
// broker that they describe.
//
//	go run ./loader -clients 50 -rate 4000 -qos 1 127.0.0.1:1883
//	go run ./loader -clients 100 -fan -rate 40 127.0.0.1:1883
//	go run ./loader -connections 1000 -rate 400 127.0.0.1:1883
//
// A load (load.go) is open loop, at even gaps. One thread is the clock (clock.go): it
// sleeps until a message is due and tells its publisher, a goroutine of its own, which
// publishes without waiting for an answer. A receiver keeps exact books of the one
// publisher that it hears (books.go). Latency runs from the time at which a message was
// due until the library hands it to the application. Between the two, the library passes a
// message through five goroutines, and this can take longer than the broker; so each
// connection is tapped (client.go), and the time from the write of a message to the
// return of the read that brought it is reported beside: latency on the wire.
//
// Connections by the clock (arrive.go) connect and subscribe to a topic each; latency
// runs from when a connection was due until SUBACK.
//
// agree_test.go runs this loader and gannet bench run in turn against Gannet and, where it
// is installed, mosquitto. It fails where either loses or doubles a message, sends more
// or fewer than the rate says, or counts anything else than the broker does
// (counters_test.go). What takes time it prints side by side and does not judge:
//
//	run.sh          has one short round of it
//	run.sh loader   has the table, which takes three minutes
//
// What a message costs a broker at a few thousand a second is mostly the waking of threads,
// which is dear between two processors and cheap on one. Left alone, the kernel puts a
// loader of one thread on the broker's processor, and one of many threads on all, and the
// same broker with the same messages costs 9 µs or 23 µs for each. So the table gives the
// broker a processor and the loader another (-place apart).
//
// On one such processor this loader is busy to 40 % at 4,000 messages a second. Its p99 leaves
// that of gannet bench run at 8,000/s with QoS 1 and 12,000/s with QoS 0, for want of
// processor time (81 % and 85 %), and it has none left at 24,000/s. gannet bench run then
// uses 72 %.
package main
