package config

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Reading mosquitto.conf. Each line is an option and its value. What a line means
// depends on those before it: options of a listener belong to the last listener
// line of the same file, or to the default listener on port 1883 if there is none, which mosquitto
// also opens, beside the others, when an option was meant for it. So the lines are first
// collected in drafts, one for each listener, and become listeners when all
// is read (mosquittolisten.go).
//
// Every option of mosquitto 2.0 and 2.1 is in the table of mosquittooptions.go. Those without an equivalent are there with the reason,
// which is a warning. Nothing is silently less safe than it was: what would leave a listener open that mosquitto keeps shut is an error.

// Bounds of include_dir.
const (
	maxIncluded      = 1000 // files
	maxIncludedBytes = 16 << 20
)

// mosquitto is the state between lines.
type mosquitto struct {
	c       *Config
	source  *Source
	options map[string]*option
	where   string // file:line
	option  *option
	main    bool // in the main file, not in an included one

	current  *draft // of the file being read
	general  draft  // the default listener
	drafts   []*draft
	openedAt string // the first line that says where to listen; empty: this machine only

	access      Access // of all listeners, unless perListener
	perListener bool
	securityAt  string            // the first line about access
	once        map[string]string // option of a place -> line

	persistence   bool
	persistenceAt string
	location      string
	logDest       []string // nil: not mentioned
	logTypes      []string
	headerBytes   int    // of all WebSocket listeners
	pluginFile    string // base name of the plugin that options are for
	user          string
	files, bytes  int // included
}

// mosquittoAccess is what is not mentioned of access.
func mosquittoAccess() Access {
	a := defaultAccess()
	a.LenientACL = true
	return a
}

// loadMosquitto applies a mosquitto.conf to c, which holds the defaults.
func loadMosquitto(c *Config, path, content string, source *Source, mentions map[string]string) error {
	m := &mosquitto{
		c: c, source: source, options: make(map[string]*option), main: true, once: make(map[string]string),
		access: mosquittoAccess(), general: newDraft(path),
	}
	c.ConnectionMessages = true
	table := mosquittoOptions()
	for i := range table {
		m.options[table[i].name] = &table[i]
	}
	if err := m.read(path, content); err != nil {
		return err
	}
	if err := m.finish(path); err != nil {
		return err
	}
	if m.openedAt != "" {
		mentions["listen"] = m.openedAt
	}
	return nil
}

// read takes in the lines of one file.
func (m *mosquitto) read(path, content string) error {
	m.current = &m.general
	number := 0
	for line := range strings.Lines(content) {
		number++
		m.where = path + ":" + strconv.Itoa(number)
		if err := m.line(line); err != nil {
			return err
		}
	}
	return nil
}

func (m *mosquitto) line(line string) error {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return nil
	}
	if strings.ContainsFunc(line, isControl) {
		return fmt.Errorf("%s: there is a control character in the line: remove it", m.where)
	}
	name, rest := cutWord(line)
	m.option = m.options[name]
	if m.option == nil {
		for _, prefix := range []string{"plugin_opt_", "auth_opt_"} {
			if key, found := strings.CutPrefix(name, prefix); found {
				return m.pluginOption(key, rest)
			}
		}
		if strings.ContainsFunc(name, notInOptions) {
			// It may be a line of a password file, which has no place in a log.
			return fmt.Errorf("%s: unknown option: is this a file of another kind?", m.where)
		}
		return fmt.Errorf("%s: unknown option %q%s", m.where, shorten(name), didYouMean(name, optionNames()))
	}
	if m.option.ignored != "" {
		m.warn(name + " " + m.option.ignored)
		return nil
	}
	if rest == "" {
		return m.mistake("value missing")
	}
	if m.option.once {
		place := name + " of " + m.place()
		if before := m.once[place]; before != "" {
			return m.mistake("already set at " + before + ": remove one")
		}
		m.once[place] = m.where
	}
	m.current.lines[name] = m.where
	if m.option.scope == scopeAccess && m.securityAt == "" {
		m.securityAt = m.where
	}
	if m.option.scope == scopeListener && m.current == &m.general {
		m.general.touched = true
	}
	return m.option.set(m, rest)
}

// place is what the option of this line is about.
func (m *mosquitto) place() string {
	if m.option.scope == scopeListener || (m.option.scope == scopeAccess && m.perListener) {
		return m.current.where
	}
	return "the broker"
}

// security is whose access the line is about.
func (m *mosquitto) security() *Access {
	if !m.perListener {
		return &m.access
	}
	if m.current == &m.general {
		m.general.touched = m.general.touched || m.option.name != "allow_anonymous"
	}
	return &m.current.access
}

// mistake is the error of the line.
func (m *mosquitto) mistake(text string) error {
	return fmt.Errorf("%s: %s: %s", m.where, m.option.name, text)
}

// warn says something about the line.
func (m *mosquitto) warn(text string) { m.source.warn(m.where + ": " + text) }

// note says something about the option of the line.
func (m *mosquitto) note(text string) { m.warn(m.option.name + ": " + text) }

// notInOptions reports whether r is in no option's name.
func notInOptions(r rune) bool {
	return !(('a' <= r && r <= 'z') || ('A' <= r && r <= 'Z') || ('0' <= r && r <= '9') || r == '_' || r == '-' || r == '.')
}

// isControl reports whether r has no place in a line of text.
func isControl(r rune) bool { return (r < ' ' && r != '\t') || r == 0x7f }

// cutWord cuts the first word off. Blanks around the rest are not part of it.
func cutWord(text string) (word, rest string) {
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		return text[:i], strings.TrimSpace(text[i:])
	}
	return text, ""
}

// word is the value of an option that has one word only.
func (m *mosquitto) word(rest string) string {
	word, more := cutWord(rest)
	if more != "" && more[0] != '#' {
		m.note(fmt.Sprintf("%q behind the value is ignored", shorten(more)))
	}
	return word
}

// shorten keeps what is not a configuration at all, such as a key, out of messages.
func shorten(text string) string {
	const most = 40
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}

// file is a file's name that is not the word none.
func file(name string) string {
	if name == none {
		return "./" + name
	}
	return name
}

// parseSwitch reads true and false as mosquitto does.
func (m *mosquitto) parseSwitch(rest string) (bool, error) {
	switch word := strings.ToLower(m.word(rest)); word {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	default:
		return false, m.mistake(fmt.Sprintf("%q is neither true nor false", shorten(word)))
	}
}

// parseNumber reads a whole number.
func (m *mosquitto) parseNumber(rest string, low, high int64) (int64, error) {
	n, err := parseWhole(m.word(rest), low, high)
	if err != nil {
		return 0, m.mistake(err.Error())
	}
	return n, nil
}

// include reads the files of a folder, as mosquitto does: those that end in .conf, in order, and not those that they would include.
func (m *mosquitto) include(dir string) error {
	if !m.main {
		m.note("ignored: only the main file may include others")
		return nil
	}
	if m.source.ListFiles == nil {
		return m.mistake("no folders can be read here")
	}
	names, err := m.source.ListFiles(dir)
	if err != nil {
		return m.mistake(err.Error())
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return path.Ext(name) != ".conf" || name == ".conf" || strings.ContainsAny(name, "/\x00")
	})
	slices.SortFunc(names, compareNames)
	where, option, current := m.where, m.option, m.current
	m.main = false
	for _, name := range names {
		if err := m.includeFile(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	m.main, m.where, m.option, m.current = true, where, option, current
	return nil
}

func (m *mosquitto) includeFile(name string) error {
	content, err := m.source.ReadFile(name)
	if err != nil {
		return m.mistake(err.Error())
	}
	m.files++
	m.bytes += len(content)
	if m.files > maxIncluded || m.bytes > maxIncludedBytes || len(content) > MaxFileBytes {
		return m.mistake(fmt.Sprintf("%s: too much to include: %d files and %d bytes are allowed, and %d in one file",
			name, maxIncluded, maxIncludedBytes, MaxFileBytes))
	}
	where, option := m.where, m.option
	if err := m.read(name, string(content)); err != nil {
		return err
	}
	m.where, m.option = where, option
	return nil
}

// compareNames orders 00.conf, A.conf, a.conf, B.conf, b.conf.
func compareNames(a, b string) int {
	return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b))
}
