package persist

import (
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// Looks of Estimate: at so many places of the store, at so many keys each.
const (
	estimatePlaces = 64
	estimateKeys   = 64
	// packing is how many bytes of keys and values there may be in one byte of a table.
	packing = 2
)

// Estimate tells about how many sessions Load will visit, and how many different Topic Filters without a wildcard, so that tables can be made
// large enough at once. It looks at a few thousand keys; a small store is counted. What cannot be read counts as nothing: Load will say so.
func (p *Pebble) Estimate() (sessions, filters int) {
	_ = p.orFailed(func() (err error) {
		defer recoverFatal(&err)
		sessions, filters, err = p.estimate()
		return err
	})
	return sessions, filters
}

func (p *Pebble) estimate() (sessions, filters int, err error) {
	parts, err := p.sessionParts(estimatePlaces)
	if err != nil {
		return 0, 0, err
	}
	it, err := p.db.NewIter(prefixBounds(prefixSession))
	if err != nil {
		return 0, 0, err
	}
	defer closeInto(&err, it)
	s := sample{times: make(map[string]int)}
	var all, looked float64 // sessions in the store, and of these in the sample
	for _, x := range parts {
		n, upTo, err := s.look(it, x)
		if err != nil {
			return 0, 0, err
		}
		looked += float64(n)
		// The numbers beyond those that were looked at are taken as densely.
		all += float64(n) * float64(x.last-x.first+1) / float64(upTo-x.first+1)
	}
	if looked == 0 {
		return 0, 0, nil
	}
	// Where there is a gap at a place, that is far too much. What the tables occupy bounds it, though they share the prefixes of
	// keys and may hold older versions.
	used, err := p.db.EstimateDiskUsage([]byte{prefixSession}, []byte{prefixSession + 1})
	if err != nil {
		return 0, 0, err
	}
	all = min(all, looked*packing*float64(used)/float64(s.bytes))
	all = max(all, looked)
	return int(all), int(all / looked * float64(s.once())), nil
}

// sample is what Estimate has seen.
type sample struct {
	times map[string]int // how often each filter without a wildcard
	bytes int            // of keys and values
}

// look counts sessions at the beginning of a part. upTo is the last number for which that is all there is.
func (s *sample) look(it *pebble.Iterator, x part) (sessions int, upTo uint64, err error) {
	upTo = x.first
	keys := 0
	for ok := it.SeekGE(appendNumberKey(nil, prefixSession, x.first)); ok; ok = it.Next() {
		key := it.Key()
		n, good := keyNumber(key)
		if !good {
			return 0, 0, badKey(key)
		}
		if n > x.last {
			break
		}
		if keys++; keys > estimateKeys {
			return sessions, upTo, nil
		}
		upTo = n
		value := it.LazyValue()
		s.bytes += len(key) + value.Len()
		switch rest := key[numberKeySize:]; {
		case len(rest) == 0:
			sessions++
		case rest[0] == coldSubscription && !strings.HasPrefix(string(rest[1:]), "$share/") && !strings.ContainsAny(string(rest[1:]), "+#"):
			s.times[string(rest[1:])]++
		}
	}
	return sessions, x.last, it.Error()
}

// once is how many filters were seen just once. One that several sessions of a sample have, many others have as well.
func (s *sample) once() (n int) {
	for _, times := range s.times {
		if times == 1 {
			n++
		}
	}
	return n
}
