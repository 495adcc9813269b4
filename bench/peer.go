package bench

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// peer is a broker to be measured, as a file of peers/ or of the user describes it. It
// is plain data: how a broker is started stands in its file and nowhere else.
//
// In arguments, environment, files and listen these words in braces are replaced; other
// braces stay:
//
//	{host} {port} {address}  where it has to listen; the address is both
//	{dir}                    a folder of its own, its working directory; files are written there
//	{data}                   a folder in it for what it keeps
//	{listen}                 what listen says of the transport that is measured
//	{mode}                   one of modes
//
// With TLS, server.crt and server.key are in {dir}. The broker is ready when it accepts
// TCP connections at {address}. It is asked to end by SIGTERM.
type peer struct {
	Name        string            `yaml:"name" json:"name"`
	About       string            `yaml:"about" json:"about,omitempty"`
	Program     string            `yaml:"program" json:"program,omitempty"` // to be found by the system, or a path
	Arguments   []string          `yaml:"arguments" json:"arguments,omitempty"`
	Version     []string          `yaml:"version" json:"-"` // arguments that make it print its version first; none: a Go program's file tells it
	Environment map[string]string `yaml:"environment" json:"environment,omitempty"`
	Files       map[string]string `yaml:"files" json:"files,omitempty"`
	Listen      map[string]string `yaml:"listen" json:"-"` // by transport: mqtt, mqtts, ws; none: only mqtt
	Modes       []string          `yaml:"modes" json:"-"`  // each makes a broker NAME-MODE
	Lacks       map[string]string `yaml:"lacks" json:"-"`  // why scenarios whose names match are not run
	Notes       string            `yaml:"notes" json:"notes,omitempty"`
	Build       string            `yaml:"build" json:"build,omitempty"` // package@version that go install makes the program of
	Install     string            `yaml:"install" json:"-"`             // what else brings it
}

// shipped are the peers that come with the program. Those below a folder are for one
// command: durable, store.
//
//go:embed peers
var shipped embed.FS

const (
	peerFileMax = 64 << 10
	peerNameMax = 24 // also what a label of a chart has room for
)

var (
	peerName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	placeholder = regexp.MustCompile(`\{[a-z]+\}`)
)

// shippedPeers returns the peers of one folder of peers/, the top one if it is empty.
func shippedPeers(folder string) (peers []peer) {
	dir := path.Join("peers", folder)
	entries, err := shipped.ReadDir(dir)
	if err != nil {
		panic(fmt.Sprintf("peers of this program: %v", err))
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		text, err := shipped.ReadFile(path.Join(dir, e.Name()))
		if err != nil {
			panic(fmt.Sprintf("peers of this program: %v", err))
		}
		p, err := parsePeer(e.Name(), text)
		if err != nil {
			panic(fmt.Sprintf("peers of this program: %v", err))
		}
		peers = append(peers, p)
	}
	return peers
}

// loadPeer reads a file of the user.
func loadPeer(file string) (p peer, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return p, fmt.Errorf("peer: %w", err)
	}
	if info.Size() > peerFileMax {
		return p, fmt.Errorf("peer: %s has more than %d bytes", file, peerFileMax)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return p, fmt.Errorf("peer: %w", err)
	}
	if p, err = parsePeer(file, text); err != nil {
		return p, fmt.Errorf("peer: %w", err)
	}
	return p, nil
}

// parsePeer reads and judges the text of a file. Its errors begin with the file and the
// line, where that is known.
func parsePeer(path string, text []byte) (p peer, err error) {
	if _, err := readYAML(path, text, &p); err != nil {
		return p, err
	}
	if err := p.validate(); err != nil {
		return p, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func (p *peer) validate() error {
	for _, name := range p.names() {
		if !peerName.MatchString(name) || len(name) > peerNameMax {
			return fmt.Errorf("name: %q is not 1 to %d letters, digits, dots, dashes", name, peerNameMax)
		}
	}
	if p.Program == "" {
		return errors.New("program: missing: write the name of the broker's program")
	}
	if p.Build != "" && !strings.Contains(p.Build, "@") {
		return fmt.Errorf("build: %q has no version: write PACKAGE@VERSION", p.Build)
	}
	for name := range p.Files {
		if !filepath.IsLocal(name) || filepath.Base(name) != name {
			return fmt.Errorf("files: %q is not the name of a file in the broker's folder", name)
		}
	}
	for over := range p.Listen {
		if !slices.Contains(transports(), transport(over)) {
			return fmt.Errorf("listen: %q is none of %v", over, transports())
		}
	}
	for pattern := range p.Lacks {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("lacks: %q: %w", pattern, err)
		}
	}
	return p.checkPlaceholders()
}

// checkPlaceholders finds words in braces that stand for nothing.
func (p *peer) checkPlaceholders() error {
	known := []string{"{host}", "{port}", "{address}", "{dir}", "{data}"}
	if len(p.Modes) > 0 {
		known = append(known, "{mode}")
	}
	texts := slices.Collect(valuesOf(p.Listen))
	for _, t := range texts {
		if strings.Contains(t, "{listen}") {
			return errors.New("listen: {listen} stands for itself")
		}
	}
	if len(p.Listen) > 0 {
		known = append(known, "{listen}")
	}
	texts = slices.Concat(texts, p.Arguments, slices.Collect(valuesOf(p.Files)), slices.Collect(valuesOf(p.Environment)))
	for _, text := range texts {
		for _, word := range placeholder.FindAllString(text, -1) {
			if !slices.Contains(known, word) {
				return fmt.Errorf("%s stands for nothing here: write one of %s", word, strings.Join(known, " "))
			}
		}
	}
	return nil
}

// names returns the names of the brokers that p describes.
func (p *peer) names() (names []string) {
	for _, mode := range p.Modes {
		names = append(names, p.Name+"-"+mode)
	}
	if len(names) == 0 {
		return []string{p.Name}
	}
	return names
}

// recipes returns how each of the brokers that p describes is started.
func (p *peer) recipes() (recipes []recipe) {
	for i, name := range p.names() {
		r := recipe{
			name: name, path: p.Program, version: p.Version, arguments: p.Arguments, files: p.Files,
			over: overMQTT, listen: p.Listen, peer: p,
		}
		for _, key := range sortedKeys(p.Environment) {
			r.env = append(r.env, key+"="+p.Environment[key])
		}
		if len(p.Modes) > 0 {
			r.mode = p.Modes[i]
		}
		recipes = append(recipes, r)
	}
	return recipes
}

// lacking says why a scenario cannot be run with p; empty: it can.
func (p *peer) lacking(scenario string) string {
	for _, pattern := range sortedKeys(p.Lacks) {
		if ok, _ := path.Match(pattern, scenario); ok {
			return p.Lacks[pattern]
		}
	}
	return ""
}

// hint says how a program that is not there can be had.
func (p *peer) hint() string {
	switch {
	case p.Build != "":
		return "go install " + p.Build + ", or --build DIR"
	case p.Install != "":
		return p.Install
	}
	return "--program " + p.Name + "=PATH"
}

// absent says whether err means that a program is not there at all.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotFound) }
