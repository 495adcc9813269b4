package bench

import (
	"testing"
	"time"
)

func TestParseStatSurvivesAHostileProgramName(t *testing.T) {
	line := "4711 (a) R (b c) S 1 4711 4711 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 5 0 12345 1000000 200 18446744073709551615\n"
	got, err := parseStat([]byte(line))
	if err != nil || got != 4*time.Second {
		t.Errorf("%v, %v; want 4s: 250 and 150 ticks", got, err)
	}
}

func TestParseStatRefusesWhatIsNotAStatLine(t *testing.T) {
	for _, line := range []string{"", "4711", "4711 (name) S 1 2 3", "4711 (n) S 1 1 1 0 -1 4 1 0 0 0 x 150 0 0"} {
		if got, err := parseStat([]byte(line)); err == nil {
			t.Errorf("%q: %v without an error", line, got)
		}
	}
}

func TestParseStatus(t *testing.T) {
	tests := []struct {
		text string
		want int64
		ok   bool
	}{
		{"Name:\tgannet\nVmHWM:\t   9000 kB\nVmRSS:\t    5120 kB\nThreads:\t7\n", 5120 << 10, true},
		{"Name:\tkthreadd\nThreads:\t1\n", 0, false},
		{"VmRSS:\t5 MB\n", 0, false},
		{"VmRSS:\tmany kB\n", 0, false},
	}
	for _, tt := range tests {
		got, err := parseStatus([]byte(tt.text), "VmRSS")
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q: %d, %v", tt.text, got, err)
		}
	}
}
