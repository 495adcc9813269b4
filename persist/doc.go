// Package persist keeps what a broker must not forget: sessions, subscriptions, QoS 1 and 2
// messages owed to them, retained messages and wills, as the records that package session declares.
//
// Pebble is the store on disk: acknowledged means fsynced, over power failure and process crash. Memory is the store in
// memory: the model that every other store is tested against, and what the simulation of the whole core crashes and
// restarts. It forgets everything with its process.
//
// Where to read on: commit.go is the way of a record to the disk and why no loop ever waits for it; plan.go is what
// need not be written; writer.go and keys.go are what is on the disk, encode.go is its bytes and their version; load.go
// brings it back; read.go reads a queue while the broker runs; guard.go is what happens when the disk is full or broken, space.go
// when the store is too large.
//
// What an operator does with a store that no broker has open is one file each: info.go, verify.go, repair.go, export.go and
// backup.go. damage.go is what can be wrong, in words; scan.go with tables.go, logs.go and manifest.go reads what Pebble does not read any more.
//
// It is no queue to read from while the broker runs, and it decides nothing: what is owed to whom, what expires and what is
// refused when Overloaded is true are the broker's.
//
// It imports session's record types, codec for their fields, Pebble, and the standard library. Nobody else imports Pebble.
package persist
