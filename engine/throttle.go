package engine

import (
	"sync"
	"time"
)

// throttle is a token bucket that delays and never refuses. One second's worth of
// tokens may be saved up. Safe for concurrent use; a nil throttle never delays.
type throttle struct {
	perToken time.Duration

	mu   sync.Mutex
	next time.Time // when the bucket would be empty, were all tokens handed out
}

// newThrottle returns a throttle for perSecond tokens, nil if perSecond is 0.
func newThrottle(perSecond int) *throttle {
	if perSecond <= 0 {
		return nil
	}
	return &throttle{perToken: time.Second / time.Duration(perSecond)}
}

// take reserves a token and returns how long its taker has to wait before using it.
func (t *throttle) take(now time.Time) time.Duration {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if full := now.Add(-time.Second); t.next.Before(full) {
		t.next = full
	}
	t.next = t.next.Add(t.perToken)
	return max(0, t.next.Sub(now))
}
