package engine

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gannetmq/gannet/"

// TestImportTable holds the packages to the rooms they live in: who may import whom, and which one package each library
// is behind. Tests of a package may reach further.
func TestImportTable(t *testing.T) {
	t.Parallel()
	rooms := map[string][]string{
		"codec":                       {},
		"router":                      {"router/lookup"},
		"router/lookup":               {},
		"engine/session":              {"codec"},
		"engine/auth":                 {"codec", "engine/session", "engine/textfile"},
		"engine/admin":                {},
		"engine/sys":                  {"codec"},
		"engine/proxy":                {},
		"engine/websocket":            {},
		"engine/auth/acl":             {"codec", "engine/session", "engine/textfile"},
		"engine/auth/password":        {"codec", "engine/session", "engine/auth", "engine/textfile"},
		"engine/auth/grant":           {"codec", "engine/session", "engine/auth/acl", "engine/auth/work", "engine/textfile"},
		"engine/auth/httpclient":      {"engine/textfile"},
		"engine/auth/jwt":             {"codec", "engine/session", "engine/auth", "engine/auth/acl", "engine/auth/grant", "engine/auth/httpclient", "engine/auth/work", "engine/textfile"},
		"engine/auth/webhook":         {"codec", "engine/session", "engine/auth", "engine/auth/acl", "engine/auth/grant", "engine/auth/httpclient", "engine/auth/work", "engine/textfile"},
		"engine/auth/work":            {},
		"engine/textfile":             {},
		"engine/broker":               {"codec", "router", "router/lookup", "engine/session"},
		"engine/fake":                 {"codec", "engine/session"},
		"engine/guard":                {"codec", "engine/session", "engine/textfile"},
		"engine":                      {"codec", "router", "router/lookup", "engine/session", "engine/broker", "engine/proxy", "engine/websocket"},
		"engine/certs":                {},
		"persist":                     {"codec", "engine/session"},
		"bench":                       {"codec", "router", "router/lookup", "engine/session", "engine/broker", "engine/fake", "engine/proxy", "engine/websocket", "engine", "persist"},
		"cmd/gannet/internal/config":  {"codec", "router", "router/lookup", "engine/session", "engine/broker"},
		"cmd/gannet/internal/client":  {"codec"},
		"cmd/gannet/internal/control": {},
	}
	libraries := map[string][]string{ // the only packages that may name them
		"github.com/panjf2000/gnet/v2":      {"engine"},
		"github.com/cockroachdb/pebble/v2":  {"persist"},
		"github.com/valyala/bytebufferpool": {"engine/broker"},
		"github.com/gobwas/ws":              {"engine/websocket", "cmd/gannet/internal/client"},
		"golang.org/x/text":                 {"engine/auth"},
		"golang.org/x/crypto":               {"engine/auth/password"},
		"golang.org/x/term":                 {"cmd/gannet"},
		"github.com/golang-jwt/jwt/v5":      {"engine/auth/jwt"},
		"github.com/goccy/go-yaml":          {"bench"},
		"github.com/HdrHistogram":           {"bench"},
	}
	standardOnly := []string{"codec", "router", "router/lookup", "engine/proxy", "engine/admin", "engine/certs", "engine/textfile"}

	for room, allowed := range rooms {
		for _, path := range list(t, "-deps", "./"+room) {
			own, ok := strings.CutPrefix(path, module)
			if ok && own != room && !slices.Contains(allowed, own) {
				t.Errorf("%s reaches %s", room, own)
			}
			if !ok && slices.Contains(standardOnly, room) && strings.Contains(strings.SplitN(path, "/", 2)[0], ".") {
				t.Errorf("%s reaches %s: it may import the standard library only", room, path)
			}
		}
	}
	for _, line := range list(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
		fields := strings.Fields(line)
		room := strings.TrimPrefix(fields[0], module)
		for _, path := range fields[1:] {
			for library, only := range libraries {
				if (path == library || strings.HasPrefix(path, library+"/")) && !slices.Contains(only, room) {
					t.Errorf("%s names %s, which is for %v", room, library, only)
				}
			}
		}
	}
}

// list runs go list in the module's root.
func list(t *testing.T, args ...string) []string {
	t.Helper()
	c := exec.Command("go", append([]string{"list"}, args...)...)
	c.Dir = ".."
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
