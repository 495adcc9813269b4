// Package password checks the user name and password of a CONNECT against a password file of mosquitto, 2.0 or 2.1, and edits such
// files.
//
// A password file has one user to a line:
//
//	alice:$7$15000$<salt>$<hash>                         PBKDF2 with HMAC-SHA-512
//	bob:$6$<salt>$<hash>                                 one SHA-512 over password and salt, of mosquitto before 2.0
//	carol:$argon2id$v=19$m=47104,t=1,p=1$<salt>$<hash>   as mosquitto 2.1 makes them; base64 without padding
//
// A [Judge] answers for the users of a [File]. A wrong password is refused; a user that is not in the file is somebody else's to judge.
//
// # Hash work
//
// To check one password takes as long as its hash was made to take: a microsecond for $6$, ten milliseconds for what `gannet passwd` makes, and
// forty milliseconds and as many mebibytes for argon2id. Event loops have no time for that, so a few workers do it, and what waits
// for them is bounded, as a whole and for each address. Addresses take turns: whoever floods the broker with wrong passwords waits behind itself,
// and when the queue is full, the address that has most in it loses its latest question.
//
// A password that was right is remembered for a while as an HMAC of user name, password and hash under a key that this process made up. Since the hash is
// part of it, a changed line of the file is never answered from memory. Wrong passwords are not remembered (there are too
// many of them), but the same question asked twice at once is worked on once: a fleet that shares one user costs one hash.
//
// # What a stranger can learn
//
// For a user that does not exist, as much work is done as for most users of the file, and the client hears the same. One trace remains: a user whose
// hash is of another kind than most takes another time. Where another judge is asked next (Options.Followed), nothing is done for
// users that are not in the file, and the time of the answer tells that.
//
// # What it is not
//
// The package does not watch files (who reads one again calls [Judge.Swap]), does not log, and never shows a password or a hash: not in errors, not
// in warnings. It imports the standard library, golang.org/x/crypto/argon2, codec for reason codes, engine/session, engine/auth and
// engine/textfile.
package password
