package grant

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gannetmq/gannet/engine/auth/acl"
	"github.com/gannetmq/gannet/engine/auth/work"
	"github.com/gannetmq/gannet/engine/session"
)

// RulesMax is how many topics one client may have rules for. More is an error.
const RulesMax = 1000

// Bounds of a Reader.
const (
	sharedMax = 10_000 // grants that clients share
	sharedFor = time.Hour
)

// Reader reads grants, and gives clients with the same one the same Authorizer, so that a fleet of devices needs the memory of one. Safe
// for concurrent use.
type Reader struct {
	shared *work.Cache[session.Authorizer]
}

// NewReader returns an empty Reader.
func NewReader() *Reader { return &Reader{work.NewCache[session.Authorizer](sharedMax)} }

// Read is Parse, unless the same text was read before.
func (r *Reader) Read(text []byte, now time.Time) (session.Authorizer, error) {
	key := work.Key(sha256.Sum256(text))
	if a, ok := r.shared.Get(key, now); ok {
		return a, nil
	}
	a, err := Parse(text)
	if err == nil {
		r.shared.Put(key, a, now.Add(sharedFor), now)
	}
	return a, err
}

// lists is an Authorizer for whom publishing and receiving are two matters, so that a deny may be about one of them.
type lists struct{ publish, receive *acl.List }

func (l lists) MayPublish(who session.Identity, topic []byte) bool {
	return l.publish.MayPublish(who, topic)
}
func (l lists) MaySubscribe(who session.Identity, filter []byte) bool {
	return l.receive.MaySubscribe(who, filter)
}
func (l lists) MayReceive(who session.Identity, topic []byte) bool {
	return l.receive.MayReceive(who, topic)
}

// Parse reads one grant. The result keeps nothing of text.
func Parse(text []byte) (session.Authorizer, error) {
	var rules []rule
	var err error
	switch first := bytes.TrimLeft(text, " \t\r\n"); {
	case len(first) > 0 && first[0] == '{':
		rules, err = parseObject(text)
	case len(first) > 0 && first[0] == '[':
		rules, err = parseArray(text)
	default:
		err = errors.New("neither a JSON object nor an array")
	}
	if err == nil && len(rules) > RulesMax {
		err = fmt.Errorf("more than %d topics", RulesMax)
	}
	if err != nil {
		return nil, err
	}
	return build(rules)
}

// rule is one topic in either form.
type rule struct {
	access acl.Access // what is allowed or denied
	deny   bool
	topic  string
}

// decode is json.Unmarshal that knows all members of v.
func decode(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New("not of the form that was expected, or with members that are not known")
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows its end")
	}
	return nil
}

func parseObject(text []byte) (rules []rule, err error) {
	var o struct{ Pub, Sub, All, Deny []string }
	if err := decode(text, &o); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		access acl.Access
		deny   bool
		topics []string
	}{{acl.Write, false, o.Pub}, {acl.Read, false, o.Sub}, {acl.ReadWrite, false, o.All}, {acl.ReadWrite, true, o.Deny}} {
		for _, topic := range part.topics {
			rules = append(rules, rule{part.access, part.deny, topic})
		}
	}
	return rules, nil
}

var actions = map[string]acl.Access{
	"publish": acl.Write, "subscribe": acl.Read, "all": acl.ReadWrite,
	"pub": acl.Write, "sub": acl.Read, "pubsub": acl.ReadWrite,
}

func parseArray(text []byte) (rules []rule, err error) {
	var elements []struct {
		Permission, Action string
		Topic              *string
		Topics             []string
	}
	if err := decode(text, &elements); err != nil {
		return nil, err
	}
	for i, e := range elements {
		access, known := actions[e.Action]
		switch {
		case e.Permission != "allow" && e.Permission != "deny":
			return nil, fmt.Errorf("rule %d: permission is neither allow nor deny", i+1)
		case !known:
			return nil, fmt.Errorf("rule %d: action is none of publish, subscribe and all", i+1)
		case (e.Topic == nil) == (e.Topics == nil):
			return nil, fmt.Errorf("rule %d: want either topic or topics", i+1)
		}
		if e.Topic != nil {
			e.Topics = []string{*e.Topic}
		}
		for _, topic := range e.Topics {
			rules = append(rules, rule{access, e.Permission == "deny", topic})
		}
	}
	return rules, nil
}

// build makes one list where that is enough. All rules are patterns: they are for whoever has the grant, and names may stand in them.
func build(rules []rule) (session.Authorizer, error) {
	both := true
	for _, r := range rules {
		both = both && (!r.deny || r.access == acl.ReadWrite)
	}
	if both {
		list, err := compile(rules, acl.ReadWrite)
		if err != nil {
			return nil, err // and no Authorizer that holds no list
		}
		return list, nil
	}
	publish, err := compile(rules, acl.Write)
	if err != nil {
		return nil, err
	}
	receive, err := compile(rules, acl.Read)
	if err != nil {
		return nil, err
	}
	return lists{publish, receive}, nil
}

// compile makes a list of the rules, as far as they are about access.
func compile(rules []rule, access acl.Access) (*acl.List, error) {
	patterns := make([]acl.Rule, 0, len(rules))
	for _, r := range rules {
		p := acl.Rule{Pattern: true, Access: r.access & access, Topic: r.topic}
		if p.Access == 0 {
			continue
		}
		if r.deny {
			p.Access = acl.Deny
		}
		patterns = append(patterns, p)
	}
	return acl.Build(patterns)
}
