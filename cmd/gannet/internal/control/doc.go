// Package control lets the tools of the store reach the broker that has the store open: through a unix socket in the data
// folder, control.sock, which nobody but the broker's own user may use.
//
//	POST /backup?to=/absolute/path   copies the store; the answer is a line of JSON for each step and a last one
//	GET /info                        the broker and its store in figures, as JSON
//
// It is HTTP over the socket, so that curl --unix-socket works as well. It is not the way to administer a broker from
// elsewhere, and it decides nothing about the store: what it can do is two functions that Serve is given.
//
// Nothing here runs on an event loop. Each request has a goroutine, which ends before Wait returns.
//
// It imports the standard library only.
package control
