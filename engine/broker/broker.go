package broker

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/router"
)

// Time is in milliseconds since the Unix epoch; see session.Time.
type Time = session.Time

// Options are the bounds and policies of a broker. DefaultOptions has the defaults of the command line.
type Options struct {
	Session session.Config

	MaxConnectBytes  int           // size of a packet before authentication; larger closes with 0x95
	MaxLoopLag       time.Duration // between two ticks of a loop: when two in a row come later, it accepts no client, with 0x89, until one is on time; 0 = never
	ConnectTimeout   time.Duration // from accept to an accepted CONNECT; later closes
	MaxSessions      int           // connected and parked; 0 = no limit; a new one is refused with 0x97
	MaxOutboundBytes int           // per connection, written by nobody yet: then QoS 0 is dropped, QoS 1/2 wait in the session
	MaxRetained      int           // retained messages; 0 = no limit; one more is delivered but not retained
	MaxRetainedBytes int64         // their topics, properties and payloads, and 200 bytes each; same reaction
	MaxGroupMessages int           // queue of one shared subscription group; then 0x97 or the oldest is dropped
	MaxGroupBytes    int           // same
	SharedStrategy   Strategy
	ConnectionLevel  slog.Level // of the lines about clients that come and go
	WideFanout       int        // matches from which a message is cut by loop and handed over

	// TakenOver is told when the client at the address by takes a session away from a live connection [MQTT-3.1.4-3]; nil: nobody is.
	// It is called on an event loop and must not block.
	TakenOver func(clientID, by string)
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{
		Session:          session.DefaultConfig(),
		MaxConnectBytes:  64 << 10,
		MaxLoopLag:       3 * time.Second,
		ConnectTimeout:   10 * time.Second,
		MaxOutboundBytes: 1 << 20,
		MaxRetainedBytes: 1 << 30,
		MaxGroupMessages: 100000,
		MaxGroupBytes:    256 << 20,
		ConnectionLevel:  slog.LevelDebug,
		WideFanout:       64,
	}
}

// Listener is what the broker knows of the place a connection came in through. Immutable.
type Listener struct {
	Name   string
	Policy session.Policy
}

// Store makes records durable. No method but Load waits for the disk.
type Store interface {
	// Append is called under a client's lock, in the order that must be kept. The ticket names the batch the records join; 0
	// says that they are durable already. The slice is the caller's; the records in it may be kept.
	Append(records []session.Record) (ticket uint64)
	// Together returns a lock for one loop: what is appended while it is held becomes durable all at once or not at all. The loop
	// takes it before any client's lock, and holds it no longer than it routes a message.
	Together() sync.Locker
	// Read calls done with what q asks for, once, in order, on a goroutine of the store or of the caller. A session has one read
	// under way at a time.
	Read(q session.QueueRead, done func([]session.Record, error))
	// Estimate tells about how many sessions Load will visit, and how many different Topic Filters without a wildcard. Only
	// before Load; it may be wrong.
	Estimate() (sessions, filters int)
	// Load calls visitor once for each of the parts that it loads concurrently, and what it returns for every record of that part
	// that is alive: a session before what belongs to it, queues in order. Only before the first Append.
	Load(visitor func() func(session.Record) error) error
	// OnDurable names whom to tell, from any goroutine, that a ticket and all before it are on disk. Only before the first Append.
	OnDurable(func(ticket uint64))
	// Unavailable tells that nothing new should come: what would have to be recorded is refused, as long as that is so.
	Unavailable() bool
	// Err is why nothing becomes durable at present, nil if all is well.
	Err() error
}

// Broker is safe for concurrent use where a method does not say otherwise.
type Broker struct {
	opts        atomic.Pointer[Options] // never changed, only replaced
	log         *slog.Logger
	registry    registry
	router      *router.Router[*client]
	retained    retainedStore
	store       Store
	loops       []*Loop
	reviews     reviews
	nextID      atomic.Uint64
	connections atomic.Int64
	sessions    atomic.Int64
	short       atomic.Bool // see ShortOfMemory
	durableUpTo atomic.Uint64
	ended       atomic.Uint64 // ticket of the newest end of a session
}

// New makes a broker without loops. store may be nil: everything is in memory only.
func New(opts Options, store Store, log *slog.Logger) *Broker {
	if opts.WideFanout <= 0 {
		opts.WideFanout = 64
	}
	opts.Session.Durable = store != nil
	b := &Broker{log: log, store: store}
	b.opts.Store(&opts)
	b.router = router.New[*client](router.Config{MaxLevels: opts.Session.MaxTopicLevels, MaxLength: opts.Session.MaxTopicBytes})
	b.registry.init()
	b.retained.init(b.options)
	if store != nil {
		store.OnDurable(b.Durable)
	}
	return b
}

func (b *Broker) options() *Options { return b.opts.Load() }

// Reconfigure replaces the options. What is about connections is met by those who connect from now on, and by sessions when their client
// comes back; bounds hold at once, but take nothing away. These stay as they were: topic levels and lengths, WideFanout and TakenOver.
// Safe for concurrent use.
func (b *Broker) Reconfigure(o Options) {
	old := b.options()
	o.Session.Durable, o.WideFanout, o.TakenOver = old.Session.Durable, old.WideFanout, old.TakenOver
	o.Session.MaxTopicLevels, o.Session.MaxTopicBytes = old.Session.MaxTopicLevels, old.Session.MaxTopicBytes
	b.opts.Store(&o)
}

// tells reports whether what becomes of each connection is logged, and tell logs it. The address alone costs more than a small packet.
func (b *Broker) tells() bool {
	return b.log.Enabled(context.Background(), b.options().ConnectionLevel)
}

func (b *Broker) tell(what string, args ...any) {
	b.log.Log(context.Background(), b.options().ConnectionLevel, what, args...)
}

// Connections returns how many network connections are open.
func (b *Broker) Connections() int { return int(b.connections.Load()) }

// Sessions returns how many sessions there are, connected and parked.
func (b *Broker) Sessions() int { return int(b.sessions.Load()) }

// ShortOfMemory says that the process has less memory left than it should, or has enough again. Meanwhile nobody gets a new session, and
// messages that would have to be kept are refused as by a store that takes nothing new. Safe for concurrent use.
func (b *Broker) ShortOfMemory(short bool) {
	if b.short.Swap(short) == short {
		return
	}
	if short {
		b.log.Error("short of memory: no new sessions, and nothing that would have to be kept")
	} else {
		b.log.Warn("memory is sufficient again")
	}
}

// RetainedBytes returns what retained messages count against Options.MaxRetainedBytes.
func (b *Broker) RetainedBytes() int64 { return b.retained.bytes.Load() }

// Subscriptions returns how many there are, and how many are to shared groups. It visits the router's shards.
func (b *Broker) Subscriptions() (ordinary, shared int) {
	s := b.router.Stats()
	return s.Subscriptions, s.SharedSubscriptions
}

// Retained returns how many retained messages of clients there are.
func (b *Broker) Retained() int { return b.retained.index.Len() - int(b.retained.own.Load()) }

// NewClientID invents a Client Identifier that no session uses [MQTT-3.2.2-16].
func NewClientID() string { return ClientIDs("auto-")() }

// ClientIDs is NewClientID with another prefix.
func ClientIDs(prefix string) func() string {
	return func() string {
		var b [15]byte
		if _, err := rand.Read(b[:]); err != nil {
			panic("broker: no randomness: " + err.Error())
		}
		return prefix + base32.StdEncoding.EncodeToString(b[:])
	}
}

// Durable says that ticket and all before it are on disk.
func (b *Broker) Durable(ticket uint64) {
	if !atomicMax(&b.durableUpTo, ticket) {
		return
	}
	for _, l := range b.loops {
		l.box.wakeIfWaiting()
	}
}

// atomicMax raises x to v, and tells whether it was lower.
func atomicMax(x *atomic.Uint64, v uint64) bool {
	for {
		old := x.Load()
		if v <= old {
			return false
		}
		if x.CompareAndSwap(old, v) {
			return true
		}
	}
}

// retainedStore is the retained messages with their bounds.
type retainedStore struct {
	index    *router.Retained[*session.Message]
	options  func() *Options
	bytes    atomic.Int64
	expiring atomic.Int64 // messages with a Message Expiry Interval
	own      atomic.Int64 // messages of the server itself, a few dozen, which the bounds are not for

	order [64]sync.Mutex // one for some topics: held while a change goes to the index and on to the store
}

func (r *retainedStore) init(options func() *Options) {
	r.index = router.NewRetained[*session.Message](32)
	r.options = options
}

// lock keeps the changes of a topic in the same order in the index and in the store. The caller unlocks what it returns.
func (r *retainedStore) lock(topic []byte) *sync.Mutex {
	mu := &r.order[hashBytes(topic)%uint32(len(r.order))]
	mu.Lock()
	return mu
}

// retainedOverhead is what a retained message costs beyond its own bytes: the message, its place in the index, its key.
const retainedOverhead = 200

func retainedSize(m *session.Message) int64 { return int64(m.Size()) + retainedOverhead }

// account adds a message to the totals, or takes it away with sign -1.
func (r *retainedStore) account(m *session.Message, sign int64) {
	r.bytes.Add(sign * retainedSize(m))
	if m.Expires != 0 {
		r.expiring.Add(sign)
	}
	if session.IsSys(m.Topic) {
		r.own.Add(sign)
	}
}

// full tells whether the bounds forbid a message that makes the store larger by so many bytes.
func (r *retainedStore) full(m *session.Message, existed bool, grow int64) bool {
	if session.IsSys(m.Topic) {
		return false
	}
	o := r.options()
	return !existed && o.MaxRetained > 0 && r.index.Len()-int(r.own.Load()) >= o.MaxRetained ||
		o.MaxRetainedBytes > 0 && grow > 0 && r.bytes.Load()+grow > o.MaxRetainedBytes
}

// set stores, replaces or clears the retained message of a topic [MQTT-3.3.1-5, -6, -7]. False: the store is full.
func (r *retainedStore) set(m *session.Message) bool {
	if len(m.Payload) == 0 {
		if old, existed := r.index.Delete(m.Topic); existed {
			r.account(old, -1)
		}
		return true
	}
	old, existed := r.index.Get(m.Topic)
	grow := retainedSize(m)
	if existed {
		grow -= retainedSize(old)
	}
	if r.full(m, existed, grow) {
		return false
	}
	k := m.Keep()
	key := bytesAsString(k.Topic)
	if !existed {
		key = string(k.Topic) // the index keeps it when the message is replaced: it must not hold on to the first payload
	}
	old, existed = r.index.Set(key, k)
	r.account(k, 1)
	if existed {
		r.account(old, -1)
	}
	return true
}

// expire removes m if it is still what is retained for its topic, and tells whether it was.
func (r *retainedStore) expire(m *session.Message) bool {
	if !r.index.DeleteIf(m.Topic, func(x *session.Message) bool { return x == m }) {
		return false
	}
	r.account(m, -1)
	return true
}

// Publish brings in a message from inside the broker, below any session. Safe on any goroutine; m must be kept
// (session.Message.Keep) or not change any more.
func (b *Broker) Publish(m *session.Message) {
	b.loops[0].box.post(item{kind: itemPublish, msg: m.Keep()})
}
