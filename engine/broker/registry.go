package broker

import (
	"hash/maphash"
	"sync"

	"github.com/gannetmq/gannet/router/lookup"
)

// registry finds a session by Client Identifier, which the session alone holds: it is the same ever after, and may be read without the
// session's lock.
type registry struct {
	seed   maphash.Seed
	shards [256]registryShard
}

// registryShard is as large as a cache line.
type registryShard struct {
	mu      sync.Mutex
	clients lookup.Table[*client]
}

func (r *registry) init() { r.seed = maphash.MakeSeed() }

// reserve makes room for so many sessions, while there are none.
func (r *registry) reserve(sessions int) {
	for i := range r.shards {
		r.shards[i].clients.Reserve(sessions / len(r.shards))
	}
}

// shard returns where id belongs, and its hash.
func (r *registry) shard(id string) (*registryShard, uint64) {
	hash := maphash.String(r.seed, id)
	return &r.shards[hash%uint64(len(r.shards))], hash
}

// find returns the session of a Client Identifier, nil if there is none. Caller holds sh.mu, here and below.
func (sh *registryShard) find(hash uint64, id string) *client {
	if i := sh.place(hash, id); i >= 0 {
		return *sh.clients.At(i)
	}
	return nil
}

// put adds a session, in place of the one that has its Client Identifier.
func (sh *registryShard) put(hash uint64, c *client) {
	if i := sh.place(hash, c.s.ClientID()); i >= 0 {
		*sh.clients.At(i) = c
		return
	}
	sh.clients.Insert(hash, c)
}

func (sh *registryShard) place(hash uint64, id string) int {
	i := sh.clients.First(hash)
	for i >= 0 && (*sh.clients.At(i)).s.ClientID() != id {
		i = sh.clients.Next(i)
	}
	return i
}

// remove takes c out if it is still the one with its identifier. It takes the lock itself.
func (r *registry) remove(id string, c *client) bool {
	sh, hash := r.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i := sh.place(hash, id)
	if i < 0 || *sh.clients.At(i) != c {
		return false
	}
	sh.clients.Remove(i)
	return true
}

// appendOwned lists the clients of one shard that belong to a loop. It takes the lock itself.
func (r *registry) appendOwned(dst []*client, shard int, loop int32) []*client {
	sh := &r.shards[shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.clients.Each(func(c **client) bool {
		if (*c).owner.Load() == loop {
			dst = append(dst, *c)
		}
		return true
	})
	return dst
}
