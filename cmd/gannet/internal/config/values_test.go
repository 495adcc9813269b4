package config

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestSizesAndDurationsReadAsWritten(t *testing.T) {
	for _, n := range []int64{0, 1, 1023, 1 << 10, 1536, 64 << 20, 3 << 30, math.MaxInt64} {
		if got, err := parseSize(formatSize(n), 0, unlimited); err != nil || got != n {
			t.Errorf("%d: %s gives %d, %v", n, formatSize(n), got, err)
		}
	}
	for _, d := range []time.Duration{0, time.Millisecond, 90 * time.Second, time.Hour, 36 * time.Hour, 14 * day} {
		if got, err := parseDuration(formatDuration(d), 0, 1000*day); err != nil || got != d {
			t.Errorf("%s: %s gives %s, %v", d, formatDuration(d), got, err)
		}
	}
}

func TestSizesAndDurationsOutOfReachAreRefused(t *testing.T) {
	for _, text := range []string{"", "-1", "1.5MiB", "9000000000GiB", "KiB", "1KB", "1 2"} {
		if n, err := parseSize(text, 0, unlimited); err == nil {
			t.Errorf("size %q gives %d", text, n)
		}
	}
	for _, text := range []string{"", "10", "-1s", "d", "-1d", "1.5d", "4294967296d", "4000000000w", "1d1h"} {
		if d, err := parseDuration(text, 0, 1000*day); err == nil {
			t.Errorf("duration %q gives %s", text, d)
		}
	}
}

func TestDidYouMeanFindsTheNearestOrNothing(t *testing.T) {
	words := []string{"listen", "loops", "log-level", strings.Repeat("a", 100)}
	for text, want := range map[string]string{
		"lisen": `: did you mean "listen"?`, "lops": `: did you mean "loops"?`, "loglevel": `: did you mean "log-level"?`, "certificate": "",
		strings.Repeat("a", 99): "", // nothing is that long
	} {
		if got := didYouMean(text, words); got != want {
			t.Errorf("%s: got %q", text, got)
		}
	}
}
