// Package admin answers questions about a running broker over HTTP: which version it is, what its figures are, where it listens. The paths are
// those of Mosquitto's http_api listener. It only reads, so it asks nobody who they are; where that is too much, it listens on loopback
// or behind a proxy.
//
//	GET /api/v1/version    {"version": "..."}
//	GET /api/v1/systree    {"$SYS/broker/...": "...", ...}
//	GET /api/v1/listeners  {"listeners": [{"name": "...", "address": "..."}, ...]}
//	GET /...               files of a folder, if one is given
//
// It imports the standard library only.
package admin
