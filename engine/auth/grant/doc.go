// Package grant reads what a token or a service says that one client may do, and makes a session.Authorizer of it.
//
// There are two forms, both JSON. An object has lists of Topic Filters:
//
//	{"pub": ["dev/%c/up"], "sub": ["dev/%c/#"], "all": ["chat/+"], "deny": ["dev/%c/secret"]}
//
// pub may be published to, sub may be received, all is both of them, and deny neither. An array has one rule in each element, with one
// topic or several:
//
//	[{"permission": "deny", "action": "publish", "topic": "chat/news"},
//	 {"permission": "allow", "action": "all", "topics": ["chat/+", "dev/%c/#"]}]
//
// action is publish, subscribe, or all. In both forms a deny beats an allow, wherever it stands, and what no rule allows is denied; no
// rules at all allow nothing. %c stands for the Client Identifier and %u for the user name that the client has in the end. What names
// cannot do to a rule is said in package acl: they never widen it.
//
// A member that is not one of those is an error, and so is anything else that cannot be understood: a rule half understood is a hole.
//
// It imports session, acl and work.
package grant
