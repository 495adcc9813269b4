package persist

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/engine/session"
)

// Export writes what is in a store that no process has open as lines of JSON, one object each, sessions first, each with
// what belongs to it, then retained messages. "kind" is one of
//
//	session       session, client_id, user_name, version, connected, expiry_seconds, expires_at
//	group         session, filter: the queue of a shared subscription
//	subscription  session, client_id, filter, qos, no_local, retain_as_published, retain_handling, identifiers
//	queued        session, client_id, seq, qos, retain, identifiers, message: owed and not acknowledged
//	released      session, client_id, seq: a QoS 2 delivery of which PUBREL is owed
//	received      session, client_id, packet_id: an inbound QoS 2 message whose PUBREL has not come
//	will          session, client_id, delay_seconds, message_expiry_seconds, due_at, message
//	retained      message
//
// and message is topic, qos, retain, expires_at, payload and properties, the last two in base64, properties as they stand in a packet
// of MQTT 5.0. What is zero, false or never is left out, except payload. Times are RFC 3339. Nothing is changed.
func Export(dir string, w io.Writer, p Progress) error {
	dir = filepath.Clean(dir)
	return classify(dir, export(vfs.Default, dir, w, p))
}

// exported is one line.
type exported struct {
	Kind        string           `json:"kind"`
	Session     uint64           `json:"session,omitempty"`
	ClientID    string           `json:"client_id,omitempty"`
	UserName    string           `json:"user_name,omitempty"`
	Version     int              `json:"version,omitempty"`
	Connected   bool             `json:"connected,omitempty"`
	Expiry      uint32           `json:"expiry_seconds,omitempty"`
	ExpiresAt   string           `json:"expires_at,omitempty"`
	Filter      string           `json:"filter,omitempty"`
	Seq         uint64           `json:"seq,omitempty"`
	PacketID    uint16           `json:"packet_id,omitempty"`
	QoS         int              `json:"qos,omitempty"`
	NoLocal     bool             `json:"no_local,omitempty"`
	AsPublished bool             `json:"retain_as_published,omitempty"`
	Handling    int              `json:"retain_handling,omitempty"`
	Retain      bool             `json:"retain,omitempty"`
	Identifiers []uint32         `json:"identifiers,omitempty"`
	Delay       uint32           `json:"delay_seconds,omitempty"`
	WillExpiry  *uint32          `json:"message_expiry_seconds,omitempty"`
	DueAt       string           `json:"due_at,omitempty"`
	Message     *exportedMessage `json:"message,omitempty"`
}

type exportedMessage struct {
	Topic      string `json:"topic"`
	QoS        int    `json:"qos,omitempty"`
	Retain     bool   `json:"retain,omitempty"`
	ExpiresAt  string `json:"expires_at,omitempty"`
	Properties []byte `json:"properties,omitempty"`
	Payload    []byte `json:"payload"`
}

func exportMessage(m *session.Message) *exportedMessage {
	e := &exportedMessage{string(m.Topic), int(m.QoS), m.Retain, exportTime(m.Expires), m.Properties, m.Payload}
	if e.Payload == nil {
		e.Payload = []byte{}
	}
	return e
}

func exportTime(t session.Time) string {
	if t == 0 || t == session.Never {
		return ""
	}
	return time.UnixMilli(int64(t)).UTC().Format(time.RFC3339Nano)
}

// exporter walks a store as Load does, without the rest of the broker.
type exporter struct {
	r        *readOnly
	out      *json.Encoder
	progress Progress
	lines    int64
	client   string
	owed     *pebble.Iterator
}

func export(fsys vfs.FS, dir string, w io.Writer, progress Progress) (err error) {
	progress.tell("opening", 0, 0)
	r, err := openReadOnly(fsys, dir)
	if err != nil {
		return err
	}
	defer closeInto(&err, r)
	defer recoverFatal(&err)
	buffered := bufio.NewWriterSize(w, 64<<10)
	e := exporter{r: r, out: json.NewEncoder(buffered), progress: progress}
	e.out.SetEscapeHTML(false)
	if e.owed, err = r.db.NewIter(prefixBounds(prefixHot)); err != nil {
		return err
	}
	defer closeInto(&err, e.owed)
	for _, prefix := range [...]byte{prefixSession, prefixRetained} {
		if err := r.visit(prefixBounds(prefix), e.key); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

func (e *exporter) write(x exported) error {
	if e.lines++; e.lines%tellEvery == 0 {
		e.progress.tell("records", e.lines, 0)
	}
	return e.out.Encode(x)
}

func (e *exporter) key(key, value []byte) error {
	r, err := parseKey(key)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	switch r.Kind {
	case session.SessionPut:
		return e.session(r.Session, value)
	case session.SubscriptionPut:
		o, err := parseOptions(value)
		if err != nil {
			return fmt.Errorf("%w: session %d: filter %q: %w", ErrDamaged, r.Session, r.Filter, err)
		}
		x := exported{Kind: "subscription", Session: r.Session, ClientID: e.client, Filter: r.Filter, QoS: int(o.QoS), NoLocal: o.NoLocal,
			AsPublished: o.RetainAsPublished, Handling: int(o.RetainHandling)}
		if o.Identifier != 0 {
			x.Identifiers = []uint32{o.Identifier}
		}
		return e.write(x)
	case session.WillPut:
		w, err := parseWill(value)
		if err != nil {
			return fmt.Errorf("%w: session %d: %w", ErrDamaged, r.Session, err)
		}
		x := exported{Kind: "will", Session: r.Session, ClientID: e.client, Delay: w.DelaySeconds, DueAt: exportTime(w.Due), Message: exportMessage(w.Message)}
		if w.HasExpiry {
			x.WillExpiry = &w.ExpirySeconds
		}
		return e.write(x)
	}
	m, err := parseMessage(value)
	if err != nil {
		return fmt.Errorf("%w: retained %q: %w", ErrDamaged, r.Filter, err)
	}
	return e.write(exported{Kind: "retained", Message: exportMessage(m)})
}

func (e *exporter) session(sid uint64, value []byte) error {
	st, err := parseState(value)
	if err != nil {
		return fmt.Errorf("%w: session %d: %w", ErrDamaged, sid, err)
	}
	x := exported{Kind: "session", Session: sid, ClientID: st.ClientID, UserName: st.UserName, Version: int(st.Version), Connected: st.Connected,
		Expiry: st.Expiry, ExpiresAt: exportTime(st.ExpiresAt)}
	if st.Group != "" {
		x = exported{Kind: "group", Session: sid, Filter: st.Group}
	}
	e.client = st.ClientID
	if err := e.write(x); err != nil {
		return err
	}
	for e.owed.SeekGE(appendNumberKey(nil, prefixHot, sid)); e.owed.Valid(); {
		r, err := parseKey(e.owed.Key())
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if r.Session != sid {
			break
		}
		switch r.Kind {
		case session.QueuePut:
			err = e.chunk(sid)
		case session.ReceivedPut:
			err = e.write(exported{Kind: "received", Session: sid, ClientID: e.client, PacketID: r.ID})
			e.owed.Next()
		default: // marks without their chunk
			e.owed.Next()
		}
		if err != nil {
			return err
		}
	}
	return e.owed.Error()
}

// chunk writes the deliveries of the chunk at which it stands.
func (e *exporter) chunk(sid uint64) error {
	c, err := nextChunk(e.owed)
	if err != nil {
		return err
	}
	for r, o := range c.deliveries(&err) {
		if err := e.delivery(*r, o); err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("%w: session %d: %w", ErrDamaged, sid, err)
	}
	return nil
}

func (e *exporter) delivery(r session.Record, o owed) (err error) {
	x := exported{Kind: "released", Session: r.Session, ClientID: e.client, Seq: r.Seq}
	if r.Kind == session.QueuePut {
		if o.id == 0 {
			r.Message, err = parseMessage(o.inline)
		} else {
			r.Message, err = getMessage(e.r.db, o.id)
		}
		if err != nil {
			return fmt.Errorf("%w: session %d: delivery %d: %w", ErrDamaged, r.Session, r.Seq, err)
		}
		x.Kind, x.QoS, x.Retain, x.Identifiers, x.Message = "queued", int(r.QoS), r.Retain, r.IDs, exportMessage(r.Message)
	}
	return e.write(x)
}
