// Package config turns flags, environment variables and a configuration file
// into one Config.
//
// There is one table (table.go). A row of it is a flag (--max-packet-size), an
// environment variable (GANNET_MAX_PACKET_SIZE), a key of the file given with
// --config (max-packet-size = 1MiB) and a paragraph of --help, so that the four
// can never disagree. Flags win over the environment, the environment over the
// file, the file over the defaults.
//
// It is not the broker's own option struct: the engine knows nothing of flags,
// and cmd/gannet maps a Config onto the engine's options in one function.
//
// Everything here is a pure function of its arguments; the caller supplies the
// arguments, the environment and the function that reads a file. It imports
// the standard library only.
package config
