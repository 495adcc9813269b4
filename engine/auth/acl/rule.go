package acl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gannetmq/gannet/codec"
)

// Access is what a Rule is about.
type Access uint8

const (
	Read      Access = 1 << iota // receive messages
	Write                        // publish them
	Deny                         // neither
	ReadWrite = Read | Write
)

var accessNames = map[string]Access{"read": Read, "write": Write, "readwrite": ReadWrite, "deny": Deny}

func (a Access) String() string {
	for name, access := range accessNames {
		if a == access {
			return name
		}
	}
	return fmt.Sprintf("access %d", uint8(a))
}

// Rule is one line of a list.
type Rule struct {
	User    string // whom it is for; empty: clients without a user name. Not used in a pattern
	Pattern bool   // it is for everybody, and %c and %u in Topic are the client's names
	Access  Access
	Topic   string // a Topic Filter
}

// Bounds of a list. What exceeds them is an error, never cut off.
const (
	RulesMax      = 1 << 20
	TopicBytesMax = 65535 // of a rule's topic and of a user name: more does not fit in a packet
	LevelsMax     = 200   // of a rule's topic; as in mosquitto
)

// check tells what is wrong with the rule.
func (r *Rule) check() error {
	switch {
	case r.Access != Read && r.Access != Write && r.Access != ReadWrite && r.Access != Deny:
		return fmt.Errorf("%v: want read, write, readwrite or deny", r.Access)
	case len(r.User) > TopicBytesMax:
		return fmt.Errorf("user name: longer than %d bytes, no client can have it", TopicBytesMax)
	case r.Topic == "":
		return errors.New("topic: empty; # is all of them")
	case len(r.Topic) > TopicBytesMax:
		return fmt.Errorf("topic: longer than %d bytes, nothing can match it", TopicBytesMax)
	case strings.Count(r.Topic, "/") >= LevelsMax:
		return fmt.Errorf("topic: more than %d levels", LevelsMax)
	case !codec.ValidTopicFilter([]byte(r.Topic)):
		return fmt.Errorf("topic %q: + and # fill a whole level, and # is the last one", r.Topic)
	}
	return nil
}
