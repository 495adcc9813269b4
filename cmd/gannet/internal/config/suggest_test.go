package config

import (
	"strings"
	"testing"
)

func TestDidYouMean(t *testing.T) {
	names := []string{"listener", "port", strings.Repeat("a", 100)}
	for text, want := range map[string]string{
		"lisener":               `: did you mean "listener"?`,
		"Port":                  `: did you mean "port"?`,
		"frobnicate":            "",
		strings.Repeat("a", 99): "", // nothing is that long
	} {
		if got := didYouMean(text, names); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
