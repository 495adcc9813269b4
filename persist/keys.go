package persist

import "encoding/binary"

// Keys. Numbers are big-endian, so that the order of keys is the order of numbers.
//
//	'f'                       format version
//	'm' id:8                  a message owed to several sessions
//	'q' sid:8 'q' seq:8       owed to a session: the message or the id of it     QueuePut
//	'q' sid:8 'q' seq:8 'r'   PUBREL is owed                                     QueueRelease
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

	hotQueue    = 'q'
	hotReceived = 'r'
	released    = 'r'

	coldSubscription = 'u'
	coldWill         = 'w'
)

var formatKey = []byte{prefixFormat}

const (
	numberKeySize   = 1 + 8
	queueKeySize    = numberKeySize + 1 + 8
	releasedKeySize = queueKeySize + 1
	receivedKeySize = numberKeySize + 1 + 2
)

// appendNumberKey appends a key of a prefix and a number: a message, the state of a session, the start of its range.
func appendNumberKey(dst []byte, prefix byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, prefix), n)
}

func appendQueueKey(dst []byte, sid, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(appendNumberKey(dst, prefixHot, sid), hotQueue), seq)
}

func appendReleasedKey(dst []byte, sid, seq uint64) []byte {
	return append(appendQueueKey(dst, sid, seq), released)
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

// keyNumber is the number after the prefix; false if the key is too short to have one.
func keyNumber(key []byte) (n uint64, ok bool) {
	if len(key) < numberKeySize {
		return 0, false
	}
	return binary.BigEndian.Uint64(key[1:]), true
}

// parseQueueKey is the sequence number in the key of a delivery, with or without released.
func parseQueueKey(key []byte) (seq uint64) {
	return binary.BigEndian.Uint64(key[numberKeySize+1:])
}
