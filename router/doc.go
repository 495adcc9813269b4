// Package router answers two questions of a Server: which subscriptions match
// this Topic Name, and which retained values match this Topic Filter.
//
// # What it is
//
//   - Router is the subscription index. Filters without a wildcard live in a
//     sharded hash index (package lookup) and cost one slot each; only filters with a
//     wildcard enter a tree. Shared subscriptions are gathered in Groups.
//   - Cache remembers recent answers of a Router for one event loop.
//   - Retained is an ordered index of retained values, walked by a Cursor that
//     can stop and resume and holds no lock in between.
//   - MatchTopic and Skip are the pure rules underneath: does this filter match
//     this topic, and where does the next topic lie that could.
//
// # What it is not
//
// It knows nothing of packets, sessions or delivery. A subscriber is any
// comparable value; a retained value is any value. It does not choose a member
// of a shared group, does not merge overlapping subscriptions and does not judge
// syntax: whoever calls Subscribe has checked the Topic Filter already, and
// whoever calls Match has checked the Topic Name.
//
// # Matching
//
// Topics and filters are compared byte by byte without any normalisation
// [MQTT-4.7.3-4]. '+' stands for one level, which may be empty. '#' stands for
// any number of levels below and also for its parent, so that "a/#" matches
// "a". A filter that begins with a wildcard never matches a topic that begins
// with '$' [MQTT-4.7.2-1].
//
// # Imports
//
// The standard library, and lookup, its own hash table.
package router
