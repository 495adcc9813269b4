package main

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
)

func TestSampleConfigurationLoads(t *testing.T) {
	text, err := os.ReadFile("package/gannet.conf")
	if err != nil {
		t.Fatal(err)
	}
	whole := regexp.MustCompile(`(?m)^#([a-z\[])`).ReplaceAllString(string(text), "$1") // what can be uncommented stands at the sign
	for name, sample := range map[string]struct {
		text      string
		listeners int
	}{"as it is": {string(text), 2}, "uncommented": {whole, 5}} {
		c, err := config.Load(config.Source{
			Args:     []string{"--config=gannet.conf"},
			ReadFile: func(string) ([]byte, error) { return []byte(sample.text), nil },
			Warn:     func(line string) { t.Errorf("%s: warning: %s", name, line) },
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(c.Listen) != sample.listeners || !c.Anonymous(c.Listen[0]) || c.Anonymous(c.Listen[1]) || !c.Listen[1].Scheme.TLS() {
			t.Errorf("%s: listeners %v", name, c.Listen)
		}
	}
}

// packagedArguments are what the unit file and the image start gannet with.
func packagedArguments(t *testing.T) map[string][]string {
	t.Helper()
	out := make(map[string][]string)
	for file, pattern := range map[string]string{
		"package/gannet.service": `(?m)^#? *ExecStart=/usr/local/bin/gannet serve (.+)$`,
		"package/Dockerfile":     `(?m)^CMD \["(.+)"\]$`,
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			out[file+": "+match[1]] = strings.Fields(strings.ReplaceAll(match[1], `", "`, " "))
		}
	}
	return out
}

func TestPackagesStartGannetWithFlagsThatItHas(t *testing.T) {
	packaged := packagedArguments(t)
	if len(packaged) != 3 {
		t.Fatalf("found %v", packaged)
	}
	for where, args := range packaged {
		read := ""
		_, err := config.Load(config.Source{
			Args:     append(args, "--test-config", "--allow-anonymous"),
			ReadFile: func(name string) ([]byte, error) { read = name; return []byte("# nothing"), nil },
		})
		if !errors.Is(err, config.ErrChecked) || !strings.HasPrefix(read, "/etc/") {
			t.Errorf("%s: %v, file %q", where, err, read)
		}
	}
}
