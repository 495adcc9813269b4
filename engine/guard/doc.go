// Package guard protects a broker from those who connect too often, guess passwords or were banned. It decides, and does nothing
// else: it has no socket, no clock and no goroutine, so that an attack of an hour is a test of a second.
//
// There are three questions, in the order in which a connection meets them.
//
//   - [Guard.Admit], by the acceptor, before TLS: is the address banned, by the list or for failed logins, or does it open connections
//     faster than its bucket fills? Who is not admitted is closed without a word, for about 100 ns.
//   - [Guard.Connect], for a CONNECT, before anything that costs: is the client identifier, the user or the address banned? When the
//     names are certain it is asked again, and the connect is counted against the client identifier: who flaps is refused.
//   - [Guard.Failed] and [Guard.Succeeded], with the verdict on a login.
//
// [Hooks] has them in the form in which the engine asks.
//
// # Failed logins
//
// They are counted twice, each count with a half-life: for an address, and for an address together with the name that was tried. The
// second has the lower threshold. A device that repeats a wrong password for ever is then banned by itself, and not the hundreds that
// share an address with it; and who guesses many passwords for one name is slow, whatever else he does from there. A ban begins short
// and doubles from one to the next. A login that succeeds clears the count of its name, and takes one off that of its address, each
// name once in a half-life, so that an attacker who has an account himself cannot make room with it.
//
// What the guard found out by itself (everything but the list) never concerns loopback and the networks in [Options].Exempt.
//
// # Memory
//
// What is known of addresses, logins and client identifiers lies in three tables of fixed size, in sets of eight. A stranger takes the
// place of whoever in its set has the least to be remembered for, and never that of somebody banned: an attacker with any number of
// addresses cannot end a ban. If all eight are banned, the stranger is admitted and not remembered (Counters.Crowded). Keys are
// hashed with a seed of the process, so that nobody can aim at a set. IPv6 addresses count by their /64, which is what one
// customer has.
//
// It imports codec, engine/session, engine/textfile and the standard library.
package guard
