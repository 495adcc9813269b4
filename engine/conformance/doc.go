// Package conformance proves the broker against the specification from outside: bytes on a TCP connection, nothing of the
// inside. It holds tests only.
//
// Two tables in testdata name every normative statement of MQTT 3.1.1 and of MQTT 5.0. Each test declares the statements that
// it would see broken (covers), and a run of the whole package fails when a statement that can be seen at a socket has neither a
// test nor a reason in testdata/reasons.tsv. The environment variable GANNET_CONFORMANCE_TABLE=1, or the flag -table,
// prints statement by statement which tests cover it and how they ended.
//
// What the server sends is read by a decoder of this package's own, driven by testdata/properties.tsv and
// testdata/reason-codes.tsv, so that a misreading in package codec cannot hide itself; a witness on every connection of every
// test checks what holds at all times (witness_test.go).
//
// Nothing waits for a fixed time where a fence can tell: "delivers nothing" is a PINGRESP, or a later message, that
// arrives first. Only where time is the subject do tests wait, by the deadline of a read.
//
// With GANNET_TEST_ADDR=host:port the tests speak to that broker instead. Tests that need a configuration of their own are
// then left out, and where the specification allows several reactions all of them pass; otherwise the one
// that this broker has chosen is pinned.
//
// The tests import engine, its auth and session packages for configuration, and codec for the names of codes.
package conformance
