package persist

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// Stores of format 1 had a key for each delivery, and another when it was released:
//
//	'q' sid:8 'q' seq:8       flags [ids] (message | id:8)     flags: QoS, retain, ids there, message inside
//	'q' sid:8 'q' seq:8 'r'
//
// The chunks that replace them have keys that format 1 does not know, and each session is brought over whole, so that an
// upgrade that was interrupted goes on where it was.

const (
	queueKeySize    = numberKeySize + 1 + 8
	releasedKeySize = queueKeySize + 1

	upgradeBatchBytes = 1 << 20
)

// upgrade1 turns the deliveries of format 1 into chunks.
func upgrade1(db *pebble.DB) (err error) {
	it, err := db.NewIter(prefixBounds(prefixHot))
	if err != nil {
		return err
	}
	defer closeInto(&err, it)
	b := db.NewBatch()
	defer closeInto(&err, b)
	var q *queue
	var w writer
	end := func() error {
		if q == nil || q.next == nil {
			return nil
		}
		return w.endChunk(b, q)
	}
	for it.First(); it.Valid(); it.Next() {
		key := it.Key()
		if len(key) < numberKeySize+1 {
			return badKey(key)
		}
		if key[numberKeySize] != hotQueue {
			continue
		}
		r, id, err := parseDelivery1(db, it)
		if err != nil {
			return err
		}
		if q == nil || q.sid != r.Session {
			if err := end(); err != nil {
				return err
			}
			if b.Len() >= upgradeBatchBytes {
				if err := db.Apply(b, pebble.NoSync); err != nil {
					return err
				}
				b.Reset()
			}
			q = &queue{sid: r.Session}
			from, to := append(appendNumberKey(nil, prefixHot, q.sid), hotQueue), append(appendNumberKey(nil, prefixHot, q.sid), hotQueue+1)
			if err := b.DeleteRange(from, to, nil); err != nil {
				return err
			}
		}
		if q.next == nil || !q.next.fits(r.Seq) {
			if err := end(); err != nil {
				return err
			}
			q.next = w.newChunk(r.Seq)
		}
		q.next.add(&r, id)
	}
	if err := it.Error(); err != nil {
		return err
	}
	if err := end(); err != nil {
		return err
	}
	return db.Apply(b, pebble.NoSync) // durable with the version that is written next
}

// parseDelivery1 returns a QueuePut or QueueRelease of format 1, and the id of a message with a key of its own.
func parseDelivery1(db *pebble.DB, it *pebble.Iterator) (r session.Record, id uint64, err error) {
	key := it.Key()
	if len(key) < queueKeySize {
		return r, 0, badKey(key)
	}
	r = session.Record{Kind: session.QueuePut, Seq: parseChunkKey(key)}
	r.Session, _ = keyNumber(key)
	if len(key) == releasedKeySize && key[queueKeySize] == released {
		r.Kind = session.QueueRelease
		return r, 0, nil
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return r, 0, err
	}
	d := reader{b: value}
	flags := d.byte()
	r.QoS, r.Retain = codec.QoS(flags&flagQoS), flags&flagRetain != 0
	if flags&owedIDs != 0 {
		for n := d.number(); n > 0 && d.err == nil; n-- {
			r.IDs = append(r.IDs, uint32(d.number()))
		}
	}
	switch b := d.rest(); {
	case d.err != nil:
		err = d.err
	case flags&owedInline != 0:
		r.Message, err = parseMessage(b)
	case len(b) == 8:
		id = binary.BigEndian.Uint64(b)
		r.Message, err = getMessage(db, id)
	default:
		err = errTruncated
	}
	if err != nil {
		return r, 0, fmt.Errorf("session %d: delivery %d: %w", r.Session, r.Seq, err)
	}
	return r, id, nil
}
