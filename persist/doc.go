// Package persist keeps what a broker must not forget: sessions, subscriptions, QoS 1 and 2
// messages owed to them, retained messages and wills, as the records that package session declares.
//
// Memory is the store in memory: the model that every other store is tested against, and what the
// simulation of the whole core crashes and restarts. It forgets everything with its process.
//
// It imports session's record types and the standard library.
package persist
