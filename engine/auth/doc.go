// Package auth finds out who a Client is. A [Chain] asks one [Judge] after the other about the user name and password of a
// CONNECT, and the first with an opinion decides. The judges are packages below this one: password has Mosquitto's password
// files, jwt has tokens, webhook asks an HTTP service; work and httpclient are what they share. What a Client may do is
// said by acl, in Mosquitto's access control lists, and by grant, in rules that come with a token or an answer.
//
// Enhanced authentication (MQTT 5.0, section 4.12) is here itself, with one Authentication Method, SCRAM-SHA-256
// (RFC 5802, RFC 7677) without channel binding, for the Server and, as [ScramClient], for a Client.
//
// How the four SCRAM messages travel in MQTT packets, in the Authentication Data property of each:
//
//	Client                                   Server
//	CONNECT  client-first  ------------->
//	         <-------------  server-first    AUTH 0x18 Continue authentication   [MQTT-4.12.0-2]
//	AUTH     client-final  ------------->                                        [MQTT-4.12.0-3]
//	         <-------------  server-final    CONNACK 0x00
//
// Re-authentication (section 4.12.1) is the same with AUTH 0x19 in place of CONNECT and AUTH 0x00 in place of
// CONNACK. An [Exchange] sees only the data; packets, methods that do not match and closing belong to the session.
//
// The Server never has a password. A users file (see [ReadUsers]) holds a salted verifier for each user, from which
// a proof can be checked but not made. The expensive key stretching is the Client's work: a step of the Server costs
// a few HMACs, so that it may run on an event loop.
//
// # What a stranger can learn
//
// A user that does not exist is answered with a salt of the same form, the same for every question, and fails at the
// same step, with the same reason code, after the same work. Two traces remain, and the operator can remove both: a
// user whose iteration count or salt length is not the most common one of its file, and, when ScramConfig.Secret is
// not set, invented salts that change when the process starts again while real ones do not.
//
// # Strings
//
// User names and passwords are prepared with SASLprep (RFC 4013), with two liberties: normalisation and
// directionality follow the Unicode version of golang.org/x/text instead of Unicode 3.2, and unassigned code points
// are let through. Printable ASCII stays as it is.
//
// # What it is not
//
// Package auth itself does not decide what a user may do, does not check the Password of a CONNECT, and knows no packets,
// clock, socket or log. It imports the standard library, codec (for reason codes), engine/session (whose Authenticator a
// Chain is), textfile and golang.org/x/text/unicode (for SASLprep).
package auth
