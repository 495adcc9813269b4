// Package work does what judges must not do on an event loop: hashing, signatures, questions to a service. A [Pool] does it on a
// bounded number of goroutines, with a bounded line before them in which no single address can take all places, and a [Cache]
// remembers what came of it.
//
// It knows nothing of clients and passwords. It imports the standard library only.
package work
