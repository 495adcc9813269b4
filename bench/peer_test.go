package bench

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shippedRecipe returns a recipe of the peers that come with the program.
func shippedRecipe(t *testing.T, name string) recipe {
	t.Helper()
	library := libraryOf(shippedPeers(""))
	i := slices.IndexFunc(library, func(r recipe) bool { return r.name == name })
	if i < 0 {
		t.Fatalf("no %q among %v", name, recipeNames(library))
	}
	return library[i]
}

func TestShippedPeersStartOnTheAddressThatTheyAreGiven(t *testing.T) {
	want := map[string]string{
		"":        "gannet mochi mosquitto nats-server",
		"durable": "gannet-sync gannet-os gannet-off mosquitto nats-server",
		"store":   "gannet-sync gannet-os gannet-off",
	}
	addr := netip.MustParseAddrPort("127.0.0.1:18830")
	for folder, names := range want {
		library := libraryOf(shippedPeers(folder))
		if got := strings.Join(recipeNames(library), " "); got != names {
			t.Errorf("%q: %s, want %s", folder, got, names)
		}
		for _, r := range library {
			dir := t.TempDir()
			arguments, env, err := r.prepare(dir, addr)
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(append(arguments, env...), "\n")
			for name := range r.files {
				text, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				all += "\n" + string(text)
			}
			if !strings.Contains(all, "18830") || len(placeholder.FindAllString(all, -1)) > 0 {
				t.Errorf("%s/%s: %s", folder, r.name, all)
			}
			if r.mode != "" && !strings.Contains(all, "--durability="+r.mode) {
				t.Errorf("%s/%s: no mode in %s", folder, r.name, all)
			}
		}
	}
}

func TestPeerFilesThatMakeNoSenseSayWhere(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"an unknown key", "name: a\nprogram: a\nargs: [x]\n", ":3: unknown field \"args\""},
		{"no YAML", "name: a\nprogram: [\n", "peer.yaml:"},
		{"a list for a word", "name: a\nprogram: a\nnotes: [x]\n", ":3: "},
		{"no name", "program: a\n", "name: \"\""},
		{"a name that is a path", "name: ../a\nprogram: a\n", "name: \"../a\""},
		{"a mode too long", "name: a\nmodes: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\nprogram: a\n", "name: \"a-aaa"},
		{"no program", "name: a\n", "program: missing"},
		{"a build without version", "name: a\nprogram: a\nbuild: example.org/a\n", "build: \"example.org/a\" has no version"},
		{"a file elsewhere", "name: a\nprogram: a\nfiles: {../x: y}\n", "files: \"../x\""},
		{"an unknown transport", "name: a\nprogram: a\nlisten: {quic: x}\n", "listen: \"quic\""},
		{"a pattern", "name: a\nprogram: a\nlacks: {'[': x}\n", "lacks: \"[\""},
		{"a placeholder", "name: a\nprogram: a\narguments: ['{prot}']\n", "{prot} stands for nothing"},
		{"a mode without modes", "name: a\nprogram: a\narguments: ['{mode}']\n", "{mode} stands for nothing"},
		{"listen in listen", "name: a\nprogram: a\nlisten: {mqtt: '{listen}'}\n", "stands for itself"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "peer.yaml")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := loadPeer(file)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	if _, err := loadPeer(filepath.Join(t.TempDir(), "none.yaml")); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("%v", err)
	}
}

func TestTransportThatAPeerDoesNotOffer(t *testing.T) {
	mochi := shippedRecipe(t, "mochi").serving(overWS, nil)
	if _, _, err := mochi.prepare(t.TempDir(), netip.MustParseAddrPort("127.0.0.1:1")); err == nil || !strings.Contains(err.Error(), "mochi: ws: ") {
		t.Errorf("%v", err)
	}
}

func TestPeerLacksScenariosByPattern(t *testing.T) {
	nats := shippedRecipe(t, "nats-server")
	if nats.lacking("shared-20x4") == "" || nats.lacking("p2p-qos0") != "" {
		t.Errorf("%q, %q", nats.lacking("shared-20x4"), nats.lacking("p2p-qos0"))
	}
}
