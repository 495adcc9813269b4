// Package webhook judges clients by asking an HTTP service of the operator's.
//
// # The question
//
// One POST with a JSON object, or with a form; or one GET, whose query then holds the password, which is a thing that web servers
// write into logs. The members, of which those that the client did not give are absent:
//
//	client_id        Client Identifier, made up by the server if the client had none
//	username         as in CONNECT
//	password         as in CONNECT; in JSON, bytes that are not UTF-8 are in password_base64 instead
//	address          of the client, without the port
//	listener         name of the listener
//	protocol         3, 4 or 5, as MQTT numbers its versions
//
// # The answer
//
//	200 with JSON    {"result": "allow", "deny" or "ignore", ...}; ignore is no opinion
//	200 empty, 204   allow
//	401, 403         deny
//	404              no opinion
//
// Everything else is a failure of the service, and so are answers that are late, too large, or not understood. An answer that allows may
// go on: username and client_id are what the client is called from now on, expire_at (seconds since 1970) is when it is disconnected,
// and acl is what it may do (see package grant). Other members are for others.
//
// # What a client may do is asked once
//
// An Authorizer stands on the path of every message and must not wait. So the service is not asked about topics: it gives the
// rules of a client with its answer, or at a second URL, which is asked once per login, without the password, and answers
// {"acl": ...}, or with 204 or 404 if it has none of its own for this client, who then has those of its listener. From then on every check is local,
// and rules change when the client logs in again.
//
// # What keeps the service and the broker apart
//
// A bounded number of requests is under way, over as many connections, and a bounded line waits before them, in which no address has
// more than half: overflow is refused with 0x89 (Server busy), and so is who has waited in it for as long as a request may take. Identical
// questions are asked once. Answers are remembered for a while, keyed by an HMAC over the whole question, with a key that dies with the
// process: those that allow for AllowTTL, or as long as Cache-Control says, others for DenyTTL.
//
// A breaker stops asking a service that fails, a number of times in a row or half of the last ones, and asks again, one question first, after a
// pause. Meanwhile, as for each failure, the answer is Options.Down: refused with 0x88 (Server unavailable), or no opinion. What is
// remembered goes on being good. An answer of 4xx shows that the service is alive, and never opens the breaker: clients
// could bring about such answers at will.
//
// It imports codec, session, auth, grant, httpclient and work.
package webhook
