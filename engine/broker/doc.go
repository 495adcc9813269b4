// Package broker is all clients together: the registry of sessions, takeover, fan-out, shared
// subscription groups, retained messages, and the timers that end what nobody comes back for.
//
// Its goroutines are the event loops of whoever drives it. A Loop is one such loop's part of the
// broker; every method of a Loop runs on its owner, and loops talk to each other through mailboxes:
// one lock and one wake-up per batch. A Transport is a connection as the broker sees it, so that the same
// broker runs on sockets, on the fake transports of the simulation (package fake), and on a million of them in a measurement.
//
// # Locks
//
// Each client has one lock, around its session and its outbound buffer. At most one client lock is held
// at a time. Under it only leaf locks are taken: a mailbox, a shard of the retained store, the parking wheel,
// the store's commit queue. Before it may be taken: a registry shard, the order lock of a retained topic, and
// the serving lock of a mailbox, under which a fan-out is delivered. The router is never called with a client's
// lock held. The lock of the reviews is for their totals, and is held with none but a mailbox's.
//
// # One PUBLISH
//
// The publisher's loop parses it under the publisher's lock, lets go, and then visits each subscriber:
// lock, append the encoded packet to its outbound buffer, unlock. The first bytes in a buffer make the client
// dirty; its owner loop writes the buffer once, at the end of its turn. A wide fan-out is cut by owner
// loop and handed over, one mailbox item per loop, so that loops share the encoding and copying. While such an
// item waits, later deliveries to that loop queue up behind it, which keeps the order of one publisher. A loop that has
// handed over more than its neighbour gets done delivers the oldest itself.
//
// Only the owner touches a socket, with one exception: for a client of a loop that rests, a small write is made by the
// loop that has something for it, under the client's lock (writeDirect). Measured at 5000 messages a second between two
// loops, waking the owner instead cost as much again as the write.
//
// It imports session, router and codec, and declares Store, which package persist implements.
package broker
