package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/auth/acl"
	"github.com/gannetmq/gannet/engine/fake"
	"github.com/gannetmq/gannet/engine/session"
)

// Ways around an access control list, as they are tried.

const accessRules = `
topic read public/#
user root
topic readwrite #
topic readwrite $SYS/#
topic readwrite $other/#
user alice
topic readwrite alice/#
user mallory
topic readwrite mallory/#
topic readwrite $SYS/#
topic deny mallory/deny/#
topic deny mallory/caf` + "\u00e9" + `
user guest
topic readwrite m/open/#
pattern readwrite own/%u/#
pattern readwrite dev/%c/#
pattern readwrite %u/top
`

// court is a broker with rules, and root, who may do everything and hears everything.
type court struct {
	*rig
	rules *session.Switch
	root  *wire
}

func newCourt(t *testing.T, loops int) *court {
	c := &court{rig: newRig(t, loops, nil), rules: &session.Switch{}}
	c.enact(accessRules)
	c.root = c.in(0, connectAs("root", codec.V5), "root", "")
	c.root.subscribe("#", codec.QoS0)
	return c
}

// enact puts other rules in force.
func (c *court) enact(rules string) {
	c.t.Helper()
	l, err := acl.Parse("rules", strings.NewReader(rules))
	if err != nil {
		c.t.Fatal(err)
	}
	c.rules.Set(l.Strict())
}

// knock sends CONNECT for user through a listener with this mount point.
func (c *court) knock(loop int, packet *codec.Connect, user, mount string) *wire {
	w := &wire{r: c.rig, loop: c.Loops[loop], Transport: fake.Transport{Keep: true}, v: packet.Version}
	w.conn = w.loop.Open(w, &Listener{Name: "court", Policy: session.Policy{
		AllowAnonymous: true, NewClientID: NewClientID, Access: session.Access{Authorizer: c.rules, MountPoint: mount, Tag: c},
	}}, c.Now)
	packet.HasUserName, packet.UserName = user != "", []byte(user)
	w.send(packet.Append(nil, packet.Version))
	c.Settle()
	return w
}

// in is knock by a client that is let in.
func (c *court) in(loop int, packet *codec.Connect, user, mount string) *wire {
	c.t.Helper()
	w := c.knock(loop, packet, user, mount)
	w.expect(codec.TypeConnack)
	return w
}

func (c *court) mallory() *wire { return c.in(0, connectAs("m", codec.V5), "mallory", "") }

// tell lets root publish.
func (c *court) tell(topics ...string) {
	for _, topic := range topics {
		c.root.publish(topic, "for "+topic, codec.QoS0, 0)
	}
	c.Settle()
	c.heard()
}

// heard takes what root has received since it was last asked, as topics.
func (c *court) heard() string { return c.root.topics() }

// topics takes all that came, and names the topics of it in order.
func (w *wire) topics() string {
	w.r.t.Helper()
	var topics []string
	for {
		f, ok := w.next()
		if !ok {
			return strings.Join(topics, " ")
		}
		if f.Type != codec.TypePublish {
			continue
		}
		var p codec.Publish
		if err := p.Parse(w.v, f.Flags, f.Body); err != nil {
			w.r.t.Fatal(err)
		}
		topics = append(topics, string(p.Topic))
	}
}

func (w *wire) tryPublish(p codec.Publish) {
	w.send(p.Append(nil, w.v))
	w.r.Settle()
}

func (w *wire) trySubscribe(filter string) codec.ReasonCode {
	w.r.t.Helper()
	w.send(subscribeTo(w.v, filter, codec.QoS1))
	w.r.Settle()
	f := w.expect(codec.TypeSuback)
	return codec.ReasonCode(f.Body[len(f.Body)-1])
}

func (c *court) want(what, got, want string) {
	c.t.Helper()
	if got != want {
		c.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func alias(n uint16) (p codec.Properties) {
	p.TopicAlias = n
	p.Set(codec.PropTopicAlias)
	return p
}

func willOn(c *codec.Connect, topic string) *codec.Connect {
	c.HasWill, c.WillTopic, c.WillPayload = true, []byte(topic), []byte("will")
	return c
}

var accessAttacks = []struct {
	name string
	try  func(*court)
}{
	{"a Topic Alias that was defined by a PUBLISH which was refused", func(c *court) {
		m := c.mallory()
		m.tryPublish(codec.Publish{Topic: []byte("alice/x"), Properties: alias(1)})
		m.tryPublish(codec.Publish{Properties: alias(1)})
		c.want("root hears", c.heard(), "")
	}},
	{"a Topic Alias that is given another topic after it was allowed", func(c *court) {
		m := c.mallory()
		for _, topic := range []string{"mallory/x", "alice/x", "", "mallory/y"} {
			m.tryPublish(codec.Publish{Topic: []byte(topic), Properties: alias(1)})
		}
		c.want("root hears", c.heard(), "mallory/x mallory/y")
	}},
	{"the Packet Identifier of a QoS 2 message that was accepted", func(c *court) {
		m := c.mallory()
		m.tryPublish(codec.Publish{Topic: []byte("mallory/x"), QoS: codec.QoS2, PacketID: 1})
		m.tryPublish(codec.Publish{Topic: []byte("alice/x"), QoS: codec.QoS2, PacketID: 1, Dup: true})
		c.want("root hears", c.heard(), "mallory/x")
	}},
	{"a will", func(c *court) {
		w := c.knock(0, willOn(connectAs("m", codec.V5), "alice/x"), "mallory", "")
		if f := w.expect(codec.TypeConnack); f.Body[1] != byte(codec.NotAuthorized) {
			c.t.Errorf("CONNACK % x", f.Body)
		}
		c.in(0, willOn(connectAs("m", codec.V311), "mallory/will"), "mallory", "").gone()
		c.want("root hears", c.heard(), "mallory/will")
	}},
	{"a will that was allowed when its client connected", func(c *court) {
		w := c.in(0, willOn(connectAs("m", codec.V5), "mallory/will"), "mallory", "")
		c.enact("user root\ntopic readwrite #")
		w.gone()
		c.want("root hears", c.heard(), "")
	}},
	{"wildcards in a subscription", func(c *court) {
		m := c.mallory()
		for _, filter := range []string{"#", "+/+", "+/x", "alice/#", "+"} {
			m.trySubscribe(filter)
		}
		c.tell("alice/x", "alice", "mallory/x", "own/mallory/x", "own/alice/x")
		c.want("mallory hears", m.topics(), "mallory/x own/mallory/x")
	}},
	{"a SUBSCRIBE for what may never come", func(c *court) {
		m := c.mallory()
		for _, filter := range []string{"alice/x", "alice/+", "$share/g/alice/#", "own/alice/#", "mallory/deny/+", "dev/other/x", "/mallory/x"} {
			if code := m.trySubscribe(filter); code != codec.NotAuthorized {
				c.t.Errorf("%s: %v", filter, code)
			}
		}
	}},
	{"a shared subscription", func(c *court) {
		m := c.mallory()
		m.trySubscribe("$share/g/#")
		m.trySubscribe("$share/g/+/x")
		c.tell("alice/x", "mallory/x")
		c.want("mallory hears", m.topics(), "mallory/x mallory/x")
	}},
	{"a shared subscription with somebody who may have everything", func(c *court) {
		m, r := c.mallory(), c.in(1, connectAs("r", codec.V5), "root", "")
		m.trySubscribe("$share/g/#")
		r.trySubscribe("$share/g/#")
		for range 4 {
			c.tell("alice/x")
		}
		c.want("mallory hears", m.topics(), "")
		c.want("the other hears", r.topics(), "alice/x alice/x alice/x alice/x")
	}},
	{"a shared subscription that nobody can take a message of, to hold up the others", func(c *court) {
		m := c.mallory()
		m.trySubscribe("$share/g/#")
		for i, topic := range []string{"alice/x", "mallory/x"} {
			c.root.tryPublish(codec.Publish{Topic: []byte(topic), QoS: codec.QoS1, PacketID: uint16(i + 1)})
		}
		c.want("mallory hears", m.topics(), "mallory/x")
		if n := c.Loops[0].stats.drops[session.DropNotAuthorized]; n != 1 {
			c.t.Errorf("%d counted as not allowed", n)
		}
	}},
	{"retained messages", func(c *court) {
		for _, topic := range []string{"alice/kept", "mallory/kept", "mallory/deny/kept"} {
			c.root.tryPublish(codec.Publish{Topic: []byte(topic), Payload: []byte("x"), Retain: true})
		}
		m := c.mallory()
		for _, filter := range []string{"#", "+/kept"} {
			m.trySubscribe(filter)
			c.want(filter+" brings", m.topics(), "mallory/kept")
		}
		m.trySubscribe("alice/kept")
		c.want("what is alice's brings", m.topics(), "")
		m.tryPublish(codec.Publish{Topic: []byte("alice/kept"), Retain: true}) // deletes it, if anything
		m.tryPublish(codec.Publish{Topic: []byte("alice/new"), Payload: []byte("x"), Retain: true})
		if n := c.b.Retained(); n != 3 {
			c.t.Errorf("%d retained messages", n)
		}
	}},
	{"the session of somebody else", func(c *court) {
		a := c.in(1, durable("shared-id", codec.V5), "alice", "")
		a.trySubscribe("alice/x")
		a.gone()
		c.root.tryPublish(codec.Publish{Topic: []byte("alice/x"), QoS: codec.QoS1, PacketID: 1})
		m := c.in(0, durable("shared-id", codec.V5), "mallory", "")
		c.tell("alice/x")
		c.want("mallory hears", m.topics(), "")
		if s := c.b.router.Stats(); s.Subscriptions != 1 {
			c.t.Errorf("%d subscriptions, want root's", s.Subscriptions)
		}
	}},
	{"what was sent before the rules changed, and has to be sent again", func(c *court) {
		m := c.in(0, durable("m", codec.V5), "mallory", "")
		m.trySubscribe("mallory/x")
		c.root.tryPublish(codec.Publish{Topic: []byte("mallory/x"), QoS: codec.QoS1, PacketID: 1})
		m.gone()
		c.enact("user root\ntopic readwrite #")
		c.want("mallory hears", c.in(0, durable("m", codec.V5), "mallory", "").topics(), "")
	}},
	{"the way out of a mount point", func(c *court) {
		m := c.in(0, connectAs("g", codec.V5), "guest", "m/")
		for _, filter := range []string{"#", "../#", "$share/g/#", "open/#", "+/x", "/#"} {
			m.trySubscribe(filter)
		}
		c.tell("m", "m/", "x", "open/x", "m/secret/x", "../x", "m/open")
		c.want("guest hears", m.topics(), "open open") // by the shared subscription, too
		for _, topic := range []string{"../alice/x", "/alice/x", "alice/x", "open/../../alice/x", "$SYS/x", "$share/g/m/open/x"} {
			m.tryPublish(codec.Publish{Topic: []byte(topic)})
		}
		c.want("root hears", c.heard(), "m/open/../../alice/x") // dots are nothing in a topic
		w := c.knock(0, willOn(connectAs("g2", codec.V5), "secret"), "guest", "m/")
		if f := w.expect(codec.TypeConnack); f.Body[1] != byte(codec.NotAuthorized) {
			c.t.Errorf("a will: CONNACK % x", f.Body)
		}
	}},
	{"the longest topic, behind a mount point", func(c *court) {
		c.enact("user root\ntopic readwrite #\nuser guest\ntopic readwrite #")
		m := c.in(0, connectAs("g", codec.V5), "guest", "m/")
		most, deep := strings.Repeat("x", 65535), strings.Repeat("/", 127)
		for _, topic := range []string{most, deep, most[:65534]} {
			m.tryPublish(codec.Publish{Topic: []byte(topic)})
			if code := m.trySubscribe(topic); code != codec.TopicFilterInvalid {
				c.t.Errorf("%d bytes: %v", len(topic), code)
			}
		}
		c.want("root hears", c.heard(), "")
		m.tryPublish(codec.Publish{Topic: []byte(deep[1:])})
		c.want("root hears", c.heard(), "m/"+deep[1:])
	}},
	{"a name with wildcards in it", func(c *court) {
		for _, name := range []string{"+", "#", "alice/#", "+/+", "a+", "$share/g/#"} {
			for _, w := range []*wire{
				c.in(0, connectAs("innocent", codec.V5), name, ""),
				c.in(1, connectAs(name, codec.V5), "somebody", ""),
			} {
				w.trySubscribe("#")
				w.trySubscribe("own/" + name)
				c.tell("own/alice/x", "dev/other/x", "alice/top", "own/"+strings.NewReplacer("+", "p", "#", "h").Replace(name)+"/x")
				c.want(name+" hears", w.topics(), "")
				for _, topic := range []string{"own/alice/x", "dev/other/x", "alice/top", "dev/innocent/x", "own/somebody/x"} {
					w.tryPublish(codec.Publish{Topic: []byte(topic)})
				}
				c.want("root hears", c.heard(), "")
			}
		}
	}},
	{"a name that reaches into the levels below somebody's", func(c *court) {
		w := c.in(0, connectAs("other/x", codec.V5), "alice/x", "")
		w.trySubscribe("#")
		c.tell("own/alice/x/y", "dev/other/x/y", "alice/x/top")
		c.want("it hears", w.topics(), "")
		for _, topic := range []string{"own/alice/x/y", "dev/other/x/y", "alice/x/top"} {
			w.tryPublish(codec.Publish{Topic: []byte(topic)})
		}
		c.want("root hears", c.heard(), "")
	}},
	{"a name that makes a topic of the server's", func(c *court) {
		w := c.in(0, connectAs("i", codec.V5), "$other", "")
		w.trySubscribe("$other/top")
		c.tell("$other/top")
		c.want("it hears", w.topics(), "")
	}},
	{"no name", func(c *court) {
		w := c.in(0, connectAs("i", codec.V5), "", "")
		w.trySubscribe("#")
		c.tell("own//x", "/top", "own/x", "top", "dev/i/x", "public")
		c.want("it hears", w.topics(), "dev/i/x public")
	}},
	{"empty levels", func(c *court) {
		m := c.mallory()
		for _, topic := range []string{"/mallory/x", "//mallory/x", "mallory//deny/x", "mallory/deny", "mallory/deny/", "mallory/deny//x", "mallory"} {
			m.tryPublish(codec.Publish{Topic: []byte(topic)})
		}
		c.want("root hears", c.heard(), "mallory//deny/x mallory") // which are other topics than mallory/deny
	}},
	{"capital letters, and one letter written in two ways", func(c *court) {
		m := c.mallory()
		for _, topic := range []string{"Mallory/x", "MALLORY/x", "mallory/caf\u00e9", "mallory/cafe\u0301"} {
			m.tryPublish(codec.Publish{Topic: []byte(topic)})
		}
		c.want("root hears", c.heard(), "mallory/cafe\u0301") // another topic, to which nobody has subscribed who wants the one denied
	}},
	{"$SYS", func(c *court) {
		m := c.mallory()
		for _, topic := range []string{"$SYS/x", "$SYS", "$SYS/broker/connection/x/state/y", "$SYSTEM"} {
			m.tryPublish(codec.Publish{Topic: []byte(topic), Retain: true, Payload: []byte("x")})
		}
		if n := c.b.Retained(); n != 0 {
			c.t.Errorf("%d retained", n)
		}
		a := c.in(0, connectAs("a", codec.V5), "alice", "")
		for _, filter := range []string{"#", "+/x", "+/#", "$SYS/#", "$SYS/x"} {
			a.trySubscribe(filter)
		}
		m.trySubscribe("$SYS/#")
		c.b.Publish(&session.Message{Topic: []byte("$SYS/x"), Payload: []byte("x")})
		c.Settle()
		c.want("alice hears", a.topics(), "")
		c.want("mallory hears", m.topics(), "$SYS/x")
	}},
	{"being one of many", func(c *court) {
		var crowd []*wire
		for i := range 100 {
			w := c.in(i%2, connectAs(fmt.Sprint("c", i), codec.V5), []string{"mallory", "root"}[i/2%2], "")
			w.trySubscribe("+/x")
			crowd = append(crowd, w)
		}
		c.tell("alice/x")
		for i, w := range crowd {
			c.want(fmt.Sprint("client ", i), w.topics(), []string{"", "alice/x"}[i/2%2])
		}
	}},
	{"two subscriptions to the same", func(c *court) {
		m := c.mallory()
		m.trySubscribe("+/x")
		m.trySubscribe("#")
		c.tell("alice/x")
		c.want("mallory hears", m.topics(), "")
	}},
}

func TestNoWayAroundTheAccessControlList(t *testing.T) {
	for _, attack := range accessAttacks {
		t.Run(attack.name, func(t *testing.T) { attack.try(newCourt(t, 2)) })
	}
}
