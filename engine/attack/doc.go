// Package attack proves by tests that a hostile client costs the broker no more than its named bounds, and its neighbours nothing.
//
// Each test runs a real server on a loopback socket and does one thing that no client should do. Beside it two well-behaved
// clients exchange QoS 1 messages all the time, and every one of them has to arrive. While the attack has its full
// size, the heap is measured after a collection and held against a bound that the test computes from the options. When the
// attackers are gone, so are their connections, their sessions and their goroutines.
//
// The package has no code beyond its tests and is imported by nobody.
package attack
