// Package fake is what stands in for a network when a broker is run without one: the far ends of connections, and loops
// that are turned by hand. With it a million sessions fit into one process, and a simulation decides what happens next.
//
// It is for tests and for measurements; no listener leads here. It knows nothing of packets, and of the broker only
// what the broker asks of a Transport and what a Loop is asked to do, so that the broker's own tests can use it.
//
// It imports session, for its Time.
package fake
