// Package acl is access control lists: which topics a client may publish to and receive from. It reads the file that mosquitto calls
// acl_file, takes rules from elsewhere (a token, a service), and answers as a session.Authorizer.
//
// # What the rules say
//
// A client has two sets of rules: those of its user name, or of nobody if it gave none, and the patterns, which are for everybody. They
// are asked in this order, and the first that applies decides:
//
//  1. a deny of the user's own
//  2. an allow of the user's own
//  3. a deny among the patterns
//  4. an allow among the patterns
//  5. no
//
// So a deny beats an allow beside it wherever it stands in the file, and a user's own allow beats the deny of a pattern. All of this is
// as mosquitto 2.0 and 2.1 do it.
//
// Rules are Topic Filters and match as subscriptions do: + is one level, which may be empty, a/# is a, too, and neither of them at the
// beginning matches a topic that begins with $ [MQTT-4.7.2-1]. Bytes are compared, and nothing else: é that is written in two ways
// is two topics, for the rules as for subscriptions. What begins with $SYS nobody publishes, but for the state of a bridge below
// $SYS/broker/connection.
//
// In a pattern %c stands for the Client Identifier and %u for the user name, in a level of their own or as part of one. A name is taken
// as it is, and never gives a pattern more than it says: where names are put in at all, a client whose name has + or # in it gets nothing
// from patterns; one with a / in it, which would reach into a level below somebody else's, or with a $ in front at the first level, is
// denied what a deny says, and allowed nothing.
//
// # Subscriptions
//
// Mosquitto grants every SUBSCRIBE, and judges each delivery. So does a List that was read from a file. A strict one (Build, or
// List.Strict) refuses a Topic Filter that could never bring anything, so that its client learns of it.
//
// # How they are kept
//
// The rules are a tree over topic levels, in one slice; the users are the first level of it. One hash table finds the child of any node, +
// and names are beside it. A check walks down with the topic, keeps no string and allocates nothing; names are compared where they stand,
// which is also why they cannot smuggle in a wildcard. A List is immutable; where it may be replaced, a
// session.Switch holds it.
//
// It imports codec, session and textfile.
package acl
