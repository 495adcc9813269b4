package password

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// digest stands for a user name, a password and the hash that they were held against. Without the key nothing can be tried against it.
type digest [sha256.Size]byte

// digestOf is injective but for collisions of SHA-256: each part has its length before it.
func digestOf(key *[sha256.Size]byte, user string, password []byte, h *Hash) (d digest) {
	mac := hmac.New(sha256.New, key[:])
	part := func(b []byte) {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
		mac.Write(b)
	}
	part([]byte(user))
	part(password)
	numbers := []byte{byte(h.scheme), h.lanes}
	numbers = binary.BigEndian.AppendUint32(numbers, h.iterations)
	part(binary.BigEndian.AppendUint32(numbers, h.memoryKiB))
	part([]byte(h.salt))
	part([]byte(h.sum))
	mac.Sum(d[:0])
	return d
}

// cache remembers which passwords were right. It is not safe for concurrent use.
type cache struct {
	max     int // entries; the oldest goes first
	ttl     time.Duration
	expires map[digest]time.Time
	order   []digest // oldest first, which with one TTL for all expires first
}

func newCache(max int, ttl time.Duration) *cache {
	return &cache{max: max, ttl: ttl, expires: make(map[digest]time.Time)}
}

func (c *cache) has(d digest, now time.Time) bool {
	c.expire(now)
	_, ok := c.expires[d]
	return ok
}

func (c *cache) add(d digest, now time.Time) {
	if c.max <= 0 || c.ttl <= 0 || c.has(d, now) {
		return
	}
	if len(c.order) == c.max {
		c.dropOldest()
	}
	c.expires[d] = now.Add(c.ttl)
	c.order = append(c.order, d)
}

func (c *cache) expire(now time.Time) {
	for len(c.order) > 0 && !now.Before(c.expires[c.order[0]]) {
		c.dropOldest()
	}
}

func (c *cache) dropOldest() {
	delete(c.expires, c.order[0])
	c.order = c.order[1:]
}
