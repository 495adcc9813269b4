package bench

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// recipe says how a broker is started, or where one runs already. It comes from a peer;
// what varies between the runs of one command is filled in.
type recipe struct {
	name      string
	path      string   // of the program, or its name to be found by the system
	version   []string // arguments that make it print its version first; none: its file tells it
	arguments []string
	files     map[string]string // written to its folder before it starts
	env       []string          // in addition to this process's
	mode      string            // for {mode}

	over        transport
	listen      map[string]string
	certificate *certificate // with TLS

	parent  string  // where its folder is made; empty: the system's place for temporary files
	running *target // a broker that runs already; nothing above matters then
	peer    *peer   // where it comes from; nil for one that runs already
	located bool    // the path is the user's: nothing is built instead
}

// transport is what a listener speaks.
type transport string

const (
	overMQTT  transport = "mqtt"
	overMQTTS transport = "mqtts"
	overWS    transport = "ws"
)

func transports() []transport { return []transport{overMQTT, overMQTTS, overWS} }

var (
	errNotFound  = exec.ErrNotFound
	errTransport = errors.New("its peer file has no listener for that transport")
)

// serving returns the recipe with another listener. c is for TLS, and may be nil without.
func (r recipe) serving(over transport, c *certificate) recipe {
	r.over, r.certificate = over, c
	return r
}

// lacking says why a scenario cannot be run with the broker; empty: it can.
func (r *recipe) lacking(scenario string) string {
	if r.peer == nil {
		return ""
	}
	return r.peer.lacking(scenario)
}

// prepare writes what the broker reads into dir and returns the arguments that make it
// serve addr.
func (r *recipe) prepare(dir string, addr netip.AddrPort) (arguments []string, env []string, err error) {
	fill, err := r.filler(dir, addr)
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(dataOf(dir), 0o755); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", r.name, err)
	}
	for name, text := range r.files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(fill(text)), 0o644); err != nil {
			return nil, nil, fmt.Errorf("%s: configuration: %w", r.name, err)
		}
	}
	if r.over == overMQTTS {
		if err := r.certificate.write(dir); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	for _, a := range r.arguments {
		arguments = append(arguments, fill(a))
	}
	for _, e := range r.env {
		env = append(env, fill(e))
	}
	return arguments, env, nil
}

func dataOf(dir string) string { return filepath.Join(dir, "data") }

// filler returns what replaces words in braces. What is put in place of {listen} may
// hold others.
func (r *recipe) filler(dir string, addr netip.AddrPort) (func(string) string, error) {
	listen, ok := r.listen[string(r.over)]
	if !ok && !(len(r.listen) == 0 && cmp.Or(r.over, overMQTT) == overMQTT) {
		return nil, fmt.Errorf("%s: %s: %w", r.name, r.over, errTransport)
	}
	words := strings.NewReplacer("{host}", addr.Addr().String(), "{port}", strconv.Itoa(int(addr.Port())),
		"{address}", addr.String(), "{dir}", dir, "{data}", dataOf(dir), "{mode}", r.mode)
	listen = strings.TrimSpace(words.Replace(listen))
	return func(text string) string {
		return strings.ReplaceAll(words.Replace(text), "{listen}", listen)
	}, nil
}

// program finds the program. Debian has servers where the PATH of ordinary users does
// not lead.
func (r *recipe) program() (string, error) {
	file, err := exec.LookPath(r.path)
	if errors.Is(err, exec.ErrNotFound) && filepath.Base(r.path) == r.path {
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
			if at, e := exec.LookPath(filepath.Join(dir, r.path)); e == nil {
				file, err = at, nil
				break
			}
		}
	}
	if err == nil {
		file, err = filepath.Abs(file) // the working directory will be another one
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", r.name, err)
	}
	return file, nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func valuesOf(m map[string]string) iter.Seq[string] { return maps.Values(m) }
