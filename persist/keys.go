package persist

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
)

// Keys. Numbers are big-endian, so that the order of keys is the order of numbers.
//
//	'f'                       format version
//	'm' id:8                  a message owed to several sessions
//	'q' sid:8 'c' seq:8       owed to a session, from seq on: see chunk.go       QueuePut
//	'q' sid:8 'c' seq:8 'm'   what of that is settled or released                QueueDelete, QueueRelease
//	'q' sid:8 'r' pid:2       inbound QoS 2                                      ReceivedPut
//	'r' topic                 retained message                                   RetainedPut
//	's' sid:8                 state of a session                                 SessionPut
//	's' sid:8 'u' filter      subscription                                       SubscriptionPut
//	's' sid:8 'w'             will                                               WillPut
//
// What changes with every message ('m', 'q') is apart from what hardly changes ('r', 's'), so that compactions of the
// one do not rewrite the other. Either half of a session is one range of keys, and is dropped as one. A scan of 's' in
// step with a scan of 'q' yields the sessions one by one in the order that Load promises.
const (
	prefixFormat   = 'f'
	prefixMessage  = 'm'
	prefixHot      = 'q'
	prefixRetained = 'r'
	prefixSession  = 's'

	hotChunk    = 'c'
	hotQueue    = 'q' // of format 1: one delivery
	hotReceived = 'r'
	chunkMarks  = 'm'
	released    = 'r' // of format 1

	coldSubscription = 'u'
	coldWill         = 'w'
)

var formatKey = []byte{prefixFormat}

const (
	numberKeySize   = 1 + 8
	chunkKeySize    = numberKeySize + 1 + 8
	marksKeySize    = chunkKeySize + 1
	receivedKeySize = numberKeySize + 1 + 2
)

// appendNumberKey appends a key of a prefix and a number: a message, the state of a session, the start of its range.
func appendNumberKey(dst []byte, prefix byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, prefix), n)
}

func appendChunkKey(dst []byte, sid, first uint64) []byte {
	return binary.BigEndian.AppendUint64(append(appendNumberKey(dst, prefixHot, sid), hotChunk), first)
}

func appendMarksKey(dst []byte, sid, first uint64) []byte {
	return append(appendChunkKey(dst, sid, first), chunkMarks)
}

func isChunkKey(key []byte) bool { return len(key) == chunkKeySize && key[numberKeySize] == hotChunk }

func isMarksKey(key []byte) bool {
	return len(key) == marksKeySize && key[numberKeySize] == hotChunk && key[chunkKeySize] == chunkMarks
}

func appendReceivedKey(dst []byte, sid uint64, pid uint16) []byte {
	return binary.BigEndian.AppendUint16(append(appendNumberKey(dst, prefixHot, sid), hotReceived), pid)
}

func appendSubscriptionKey(dst []byte, sid uint64, filter string) []byte {
	return append(append(appendNumberKey(dst, prefixSession, sid), coldSubscription), filter...)
}

func appendWillKey(dst []byte, sid uint64) []byte {
	return append(appendNumberKey(dst, prefixSession, sid), coldWill)
}

func appendRetainedKey[T string | []byte](dst []byte, topic T) []byte {
	return append(append(dst, prefixRetained), topic...)
}

// prefixBounds hold all keys with a prefix.
func prefixBounds(prefix byte) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}}
}

// chunkBounds hold the chunks of a session, with their marks.
func chunkBounds(sid uint64) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: append(appendNumberKey(nil, prefixHot, sid), hotChunk), UpperBound: append(appendNumberKey(nil, prefixHot, sid), hotChunk+1)}
}

// keyNumber is the number after the prefix; false if the key is too short to have one.
func keyNumber(key []byte) (n uint64, ok bool) {
	if len(key) < numberKeySize {
		return 0, false
	}
	return binary.BigEndian.Uint64(key[1:]), true
}

// parseChunkKey is the sequence number in the key of a chunk or its marks.
func parseChunkKey(key []byte) (first uint64) {
	return binary.BigEndian.Uint64(key[numberKeySize+1:])
}
