// Package httpclient asks an HTTP service one thing at a time, on behalf of judges, and trusts it as little as it can: every exchange
// has one time-out over all of it, answers have a bound on their size, redirects lead to no other host, and the certificate is
// verified. HTTP/1.1, no proxy, no cookies, no compression.
//
// What is asked and what is answered may hold passwords and tokens. So errors show the scheme and the host of the URL and a reason in
// words of this package or of the network, never a path, a query, a header, or anything that the service said.
//
// It imports textfile.
package httpclient
