package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parseWhole reads a whole number in low to high. Underscores may group digits.
func parseWhole(text string, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number: write %d to %d", text, low, high)
	}
	if n < low || n > high {
		return 0, fmt.Errorf("%s is out of range: write %d to %d", text, low, high)
	}
	return n, nil
}

type unit[T any] struct {
	suffix string
	factor T
}

func sizeUnits() []unit[int64] {
	return []unit[int64]{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}
}

// parseSize reads a number of bytes: 65536, 64KiB, 16MiB, 1GiB.
func parseSize(text string, low, high int64) (int64, error) {
	digits, factor := text, int64(1)
	for _, u := range sizeUnits() {
		if number, found := strings.CutSuffix(text, u.suffix); found {
			digits, factor = strings.TrimSpace(number), u.factor
			break
		}
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(digits, "_", ""), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size: write bytes, or a number with KiB, MiB or GiB", text)
	}
	if n < 0 || n > math.MaxInt64/factor || n*factor < low || n*factor > high {
		return 0, fmt.Errorf("%s is out of range: write %s to %s", text, formatSize(low), formatSize(high))
	}
	return n * factor, nil
}

// formatSize writes n bytes in the largest unit that divides it.
func formatSize(n int64) string {
	for _, u := range sizeUnits() {
		if u.factor > 1 && n != 0 && n%u.factor == 0 {
			return strconv.FormatInt(n/u.factor, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

const day = 24 * time.Hour

// parseDuration reads 250ms, 10s, 5m, 1h30m, 7d or 2w.
func parseDuration(text string, low, high time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	for _, u := range []unit[time.Duration]{{"d", day}, {"w", 7 * day}} {
		number, found := strings.CutSuffix(text, u.suffix)
		if !found {
			continue
		}
		var n uint64
		if n, err = strconv.ParseUint(number, 10, 32); err == nil {
			d = math.MaxInt64 // more than any setting takes
			if n <= uint64(math.MaxInt64/u.factor) {
				d = time.Duration(n) * u.factor
			}
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration: write a number with ms, s, m, h, d or w", text)
	}
	if d < low || d > high {
		return 0, fmt.Errorf("%s is out of range: write %s to %s", text, formatDuration(low), formatDuration(high))
	}
	return d, nil
}

// formatDuration writes d the way parseDuration reads it, without zero parts.
func formatDuration(d time.Duration) string {
	switch {
	case d == 0:
		return "0s"
	case d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	case d%time.Hour == 0:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	case d%time.Minute == 0:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
	default:
		return d.String()
	}
}

// parseSeconds reads a duration of whole seconds.
func parseSeconds(text string, high time.Duration) (int64, error) {
	if _, err := strconv.ParseUint(text, 10, 64); err == nil {
		text += "s"
	}
	d, err := parseDuration(text, 0, high)
	if err != nil {
		return 0, err
	}
	if d%time.Second != 0 {
		return 0, fmt.Errorf("%s is finer than a second: write whole seconds", text)
	}
	return int64(d / time.Second), nil
}

// parseBool reads true or false, and what people write for them.
func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", text)
}

// parseOneOf accepts exactly the words given.
func parseOneOf(text string, words ...string) (string, error) {
	for _, w := range words {
		if text == w {
			return w, nil
		}
	}
	return "", fmt.Errorf("%q is not one of %s%s", text, strings.Join(words, ", "), didYouMean(text, words))
}

// parseVersions reads protocol versions with commas between: 3 is 3.1, 4 is
// 3.1.1, 5 is 5.0. All of them are the same as none named.
func parseVersions(text string) ([]byte, error) {
	var out []byte
	for word := range strings.SplitSeq(text, ",") {
		word, err := parseOneOf(strings.TrimSpace(word), "3", "4", "5")
		if err != nil {
			return nil, err
		}
		if v := word[0] - '0'; !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	if len(out) == 3 {
		return nil, nil
	}
	return out, nil
}

// parseNetwork reads 10.0.0.0/8, or an address for the network of that one alone.
func parseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil || p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%q is not a network: write 192.0.2.0/24 or 2001:db8::/32", text)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("%q has bits behind its prefix: write %v", text, p.Masked())
	}
	return p, nil
}
