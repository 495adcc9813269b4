package session

import "github.com/gannetmq/gannet/codec"

// Who a client is, and what it may do: the questions that a session asks and others answer.

// Policy is what a listener asks of those who connect through it. Immutable once a connection has it.
type Policy struct {
	AllowAnonymous bool             // accept a CONNECT that nobody authenticated
	Authenticator  Authenticator    // judges who comes with a user name; nil: nobody does
	Methods        []EnhancedMethod // enhanced authentication on offer; without an Authenticator nobody else may give a user name
	Versions       VersionSet       // those served; 0 = all
	NewClientID    func() string    // invents a unique Client Identifier; nil: who brings none is refused
	NameAsClientID bool             // the user name becomes the Client Identifier; who has none is refused
	ProvenOnly     bool             // the connection must have proved a user name, by a certificate: who has not is refused
	Access         Access

	// Admit may refuse a client with a code of CONNACK, 0x80 or above; nil: it refuses nobody. It is asked twice for each CONNECT,
	// also of clients that nobody authenticates: first, before anything that costs, with the names that the client gives itself, and
	// again, with Credentials.Certain, when it is about to be accepted. It is told no Password. It is called on an event loop and must
	// not block. The Credentials are the caller's: it must not keep them.
	Admit func(*Credentials) codec.ReasonCode

	shared *Access // see Share
}

// Share has sessions keep a copy of Access, one for all of them, in place of the whole Policy. A session may be older than many policies,
// whose judges and their tables would live as long. Call it before the first connection.
func (p *Policy) Share() {
	a := p.Access
	p.shared = &a
}

func (p *Policy) access() *Access {
	if p.shared != nil {
		return p.shared
	}
	return &p.Access
}

// Origin is where a connection comes from.
type Origin struct {
	Addr     string // network address and port; of the client, if a proxy before it told
	Listener string // its name
}

// Access is what a session's listener lets its client do. Immutable.
type Access struct {
	Authorizer Authorizer // nil: that of Config
	AliasLimit *uint16    // Topic Alias Maximum in place of that of Config, announced and enforced; nil: that of Config
	MaxQoS     *codec.QoS // announced and enforced in place of a higher one of Config; nil: that of Config
	MountPoint string     // put before each Topic Name and Topic Filter from the client, taken off those to it; empty: none
	Tag        any        // of whoever made it, who gets it back from broker.Review
	DropWills  bool       // a will that its client may not publish is dropped and counted; else its CONNECT is refused

	until Time // when what let this one client in runs out; 0 = never
}

// VersionSet is a set of protocol versions.
type VersionSet uint8

// Versions returns the set of v.
func Versions(v ...codec.Version) (set VersionSet) {
	for _, v := range v {
		set |= 1 << v
	}
	return set
}

func (set VersionSet) has(v codec.Version) bool { return set == 0 || set&(1<<v) != 0 }

// Credentials are what a client presents. An Authenticator and an EnhancedMethod own those that they are given.
type Credentials struct {
	Addr        string // network address and port; of the client, if a proxy before it told
	Listener    string // its name
	Version     codec.Version
	ClientID    string
	UserName    string
	HasUserName bool
	Password    []byte // any bytes [3.1.3.6]
	HasPassword bool
	Certain     bool // the names are those that the client gets, not those that it gave itself
}

// Verdict is the answer to Credentials.
type Verdict struct {
	Code       codec.ReasonCode // Success, or why not, as in CONNACK: NotAuthorized for any mistake in user name and password
	UserName   string           // whom the client is taken for; empty: as it said
	ClientID   string           // the Client Identifier it gets; empty: as it said
	Authorizer Authorizer       // for this client only; nil: that of the listener
	Expires    Time             // when it runs out: a client that is still connected then is disconnected with 0x87; 0 = never
}

// Authenticator judges Credentials.
type Authenticator interface {
	// Authenticate calls done exactly once: before it returns, or later on any goroutine. It is called on an event loop and must
	// not block. When the client has gone meanwhile, nobody reads the verdict.
	Authenticate(c *Credentials, done func(Verdict))
}

// Identity is whom an Authorizer judges.
type Identity struct{ ClientID, UserName string }

// Authorizer says what a client may publish and receive. It is called on the hot path, on any event loop, and must neither block nor
// keep the slices. The topic is the resolved one, behind the mount point: a Topic Alias never hides it.
type Authorizer interface {
	// MayPublish judges a PUBLISH by its Topic Name, and a will: when its client connects, and again when it is published.
	MayPublish(who Identity, topic []byte) bool
	// MaySubscribe judges a Topic Filter, without the $share of a shared one: false only when nothing that it matches may be received. It
	// may be true all the same, since each delivery is judged.
	MaySubscribe(who Identity, filter []byte) bool
	// MayReceive judges the delivery of one message.
	MayReceive(who Identity, topic []byte) bool
}

// authorizer returns who judges this session, nil if everything is allowed.
func (s *Session) authorizer() Authorizer { return s.access.authorizer(s.cfg) }

func (a *Access) authorizer(cfg *Config) Authorizer {
	if a != nil && a.Authorizer != nil {
		return inForce(a.Authorizer)
	}
	return inForce(cfg.Authorizer)
}

// maxQoS is the highest QoS of a listener's clients.
func (a *Access) maxQoS(cfg *Config) codec.QoS {
	if a == nil || a.MaxQoS == nil {
		return cfg.MaxQoS
	}
	return min(*a.MaxQoS, cfg.MaxQoS)
}

// deniedAt is when the verdict on a connected client runs out.
func (s *Session) deniedAt() Time {
	if s.access == nil || s.access.until == 0 {
		return Never
	}
	return s.access.until
}

// aliasLimit is the Topic Alias Maximum for a listener's clients.
func (a *Access) aliasLimit(cfg *Config) uint16 {
	if a == nil || a.AliasLimit == nil {
		return cfg.TopicAliasMaximum
	}
	return *a.AliasLimit
}

func (s *Session) mountPoint() string {
	if s.access == nil {
		return ""
	}
	return s.access.MountPoint
}

// mounted returns a Topic Name, or a Topic Filter, as the broker knows it, appended to dst if that is another one.
func (a *Access) mounted(dst, topic []byte) []byte {
	if a == nil || a.MountPoint == "" {
		return topic
	}
	if name, rest, shared, ok := codec.SplitShare(topic); shared && ok {
		dst = append(append(append(append(dst, "$share/"...), name...), '/'), a.MountPoint...)
		return append(dst, rest...)
	}
	return append(append(dst, a.MountPoint...), topic...)
}

// unmounted returns a Topic Name as the client knows it.
func (s *Session) unmounted(topic []byte) []byte {
	if m := s.mountPoint(); len(topic) > len(m) && bytesAsString(topic[:len(m)]) == m {
		return topic[len(m):]
	}
	return topic
}

// Present returns who the client is, as far as the session knows, and the Tag of the Access that it has.
func (s *Session) Present() (c Credentials, tag any) {
	c = Credentials{Version: s.version, ClientID: s.clientID, UserName: s.userName, HasUserName: s.userName != "", Certain: true}
	if s.access != nil {
		tag = s.access.Tag
	}
	return c, tag
}

func (s *Session) identity() Identity { return Identity{s.clientID, s.userName} }

// mayReceive judges a delivery. Behind a mount point there is only what begins with it: x/# is x, too, but x is not behind x/.
func (s *Session) mayReceive(topic []byte) bool {
	if m := s.mountPoint(); m != "" && (len(topic) <= len(m) || bytesAsString(topic[:len(m)]) != m) {
		return false
	}
	a := s.authorizer()
	return a == nil || a.MayReceive(s.identity(), topic)
}

// mayPublish judges a Topic Name, of a PUBLISH or of a will.
func (s *Session) mayPublish(topic []byte) bool {
	a := s.authorizer()
	return !IsSys(topic) && (a == nil || a.MayPublish(s.identity(), topic))
}

// Reauthorize takes away the subscriptions that the client may not have any more, as its own UNSUBSCRIBE would, and counts them in
// out.Revoked: when the rules have changed, or the client has come back as somebody else.
func (s *Session) Reauthorize(out *Output) {
	a := s.authorizer()
	if a == nil || s.phase != connected && s.phase != parked {
		return
	}
	who := s.identity()
	judge := func(sub *Subscription) {
		ch := sub.change(true, false)
		if a.MaySubscribe(who, []byte(ch.Filter)) {
			return
		}
		out.Revoked++
		out.Changes = append(out.Changes, ch)
		if s.durable() {
			out.record(Record{Kind: SubscriptionDelete, Session: s.ID, Filter: sub.Filter})
		}
		s.removeSubscription(sub)
	}
	if s.sub0.Filter != "" {
		judge(&s.sub0)
	}
	if m := s.more; m != nil {
		for i := len(m.subs) - 1; i >= 0; i-- { // backwards: the last one takes the place of one that goes
			judge(&m.subs[i])
		}
	}
}
