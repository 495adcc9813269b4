package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	variablePrefix = "GANNET_"
	configFlag     = "config"
	checkFlag      = "check-config"
)

// ErrHelp is returned by Load when the arguments ask for help.
var ErrHelp = errors.New("help requested")

// ErrChecked is returned by Load, beside a valid Config, when the arguments ask
// only whether the configuration is sound (--check-config).
var ErrChecked = errors.New("configuration is sound")

// Source is where Load takes settings from, strongest first.
type Source struct {
	Args     []string                          // flags, without the program's name and the subcommand
	Environ  []string                          // NAME=value, as os.Environ has it
	ReadFile func(name string) ([]byte, error) // reads the file named by --config
}

// Load merges flags, environment, file and defaults, and validates the result.
// It returns ErrHelp or ErrChecked when the arguments ask for that. Any other
// error is one line for the operator: where the mistake is, what it is and how
// to mend it.
func Load(source Source) (Config, error) {
	table := settings()
	flags, err := readFlags(table, source.Args)
	if err != nil {
		return Config{}, err
	}
	variables, err := readEnvironment(table, source.Environ)
	if err != nil {
		return Config{}, err
	}
	path := flags.config
	if path == "" {
		path = variables.config
	}
	var file []assignment
	if path != "" {
		if file, err = readFile(table, path, source.ReadFile); err != nil {
			return Config{}, err
		}
	}
	c := Default()
	mentions := make(map[string]string)
	for _, assignments := range [][]assignment{file, variables.assignments, flags.assignments} {
		if err := apply(&c, assignments); err != nil {
			return Config{}, err
		}
		for _, a := range assignments {
			mentions[a.setting.name] = a.where
		}
	}
	if err := c.settleDurability(mentions["durability"], mentions["in-memory"]); err != nil {
		return Config{}, err
	}
	c.MaxConnectSize = min(c.MaxConnectSize, c.MaxPacketSize)
	if err := c.Validate(); err != nil {
		return Config{}, err
	}
	if flags.check {
		return c, ErrChecked
	}
	return c, nil
}

// settleDurability makes Durability and InMemory agree. They are two words for one thing, so neither is stronger: who uses both
// and contradicts himself is asked what he means, whatever the sources. durability and inMemory are where each was
// mentioned, empty if it was not.
func (c *Config) settleDurability(durability, inMemory string) error {
	if durability != "" && inMemory != "" && c.InMemory != (c.Durability == Off) {
		return fmt.Errorf("%s: %s contradicts %s = %t: remove one of the two", durability, c.Durability, inMemory, c.InMemory)
	}
	if c.InMemory {
		c.Durability = Off
	}
	c.InMemory = c.Durability == Off
	return nil
}

// assignment is one mention of a setting.
type assignment struct {
	setting *setting
	text    string
	where   string // "gannet.conf:3: loops", "environment GANNET_LOOPS" or "flag --loops"
}

// apply sets what one source mentions. A source that mentions a repeatable
// setting replaces what weaker sources said of it.
func apply(c *Config, assignments []assignment) error {
	begun := make(map[string]bool)
	for _, a := range assignments {
		v := &a.setting.value
		if v.repeatable && !begun[a.setting.name] {
			begun[a.setting.name] = true
			v.reset(c)
		}
		if err := v.set(c, a.text); err != nil {
			return fmt.Errorf("%s: %w", a.where, err)
		}
	}
	return nil
}

func find(table []setting, name string) *setting {
	for i := range table {
		if table[i].name == name {
			return &table[i]
		}
	}
	return nil
}

// flagSource is what the command line says.
type flagSource struct {
	assignments []assignment
	config      string
	check       bool
}

// readFlags reads --name value and --name=value. A switch takes its value with
// the equals sign only and means true without one.
func readFlags(table []setting, args []string) (flagSource, error) {
	var out flagSource
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "-h" || arg == "--help" {
			return out, ErrHelp
		}
		long, found := strings.CutPrefix(arg, "--")
		if !found || long == "" {
			return out, strayArgument(arg, args, i)
		}
		name, text, hasText := strings.Cut(long, "=")
		s := find(table, name)
		if s == nil && name != configFlag && name != checkFlag {
			return out, fmt.Errorf("flag --%s: unknown flag%s (gannet --help lists them)", name, didYouMean("--"+name, flagNames(table)))
		}
		isSwitch := name == checkFlag || (s != nil && s.value.placeholder == "")
		switch {
		case !hasText && isSwitch:
			text = "true"
		case !hasText:
			if i++; i == len(args) {
				return out, fmt.Errorf("flag --%s: value missing: write --%s=VALUE", name, name)
			}
			text = args[i]
		}
		switch name {
		case configFlag:
			out.config = text
		case checkFlag:
			yes, err := parseBool(text)
			if err != nil {
				return out, fmt.Errorf("flag --%s: %w", name, err)
			}
			out.check = yes
		default:
			out.assignments = append(out.assignments, assignment{s, text, "flag --" + name})
		}
	}
	return out, nil
}

// strayArgument explains an argument that is not a flag of ours.
func strayArgument(arg string, args []string, i int) error {
	switch arg {
	case "-c":
		return errors.New("argument -c: unknown flag: write --config FILE")
	case "-p":
		return errors.New("argument -p: unknown flag: write --listen mqtt://127.0.0.1:PORT")
	case "-v":
		return errors.New("argument -v: unknown flag: write --log-level debug")
	}
	if _, err := parseBool(arg); err == nil && i > 0 && strings.HasPrefix(args[i-1], "--") {
		return fmt.Errorf("argument %q: unexpected: write %s=%s", arg, args[i-1], arg)
	}
	return fmt.Errorf("argument %q: unexpected: flags begin with -- (gannet --help lists them)", arg)
}

func flagNames(table []setting) []string {
	names := []string{"--" + configFlag, "--" + checkFlag, "--help"}
	for i := range table {
		names = append(names, "--"+table[i].name)
	}
	return names
}

// environmentSource is what the environment says.
type environmentSource struct {
	assignments []assignment
	config      string
}

// readEnvironment reads GANNET_* variables. An empty one counts as unset.
func readEnvironment(table []setting, environ []string) (environmentSource, error) {
	var out environmentSource
	known := []string{variablePrefix + variableSuffix(configFlag)}
	byName := make(map[string]*setting, len(table))
	for i := range table {
		name := table[i].variable()
		known = append(known, name)
		byName[name] = &table[i]
	}
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, variablePrefix) || text == "" {
			continue
		}
		if name == known[0] {
			out.config = text
			continue
		}
		s := byName[name]
		if s == nil {
			if injectedByOrchestrator(name) {
				continue
			}
			return out, fmt.Errorf("environment %s: unknown setting%s", name, didYouMean(name, known))
		}
		texts := []string{text}
		if s.value.repeatable {
			texts = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
		}
		for _, t := range texts {
			out.assignments = append(out.assignments, assignment{s, t, "environment " + name})
		}
	}
	return out, nil
}

// injectedByOrchestrator reports whether a variable looks like those that
// Kubernetes and Docker set in every container beside a service called gannet
// (GANNET_SERVICE_HOST, GANNET_PORT_1883_TCP_ADDR). They are not meant for us.
func injectedByOrchestrator(name string) bool {
	for _, mark := range []string{"_SERVICE_HOST", "_SERVICE_PORT", "_TCP", "_UDP", "_ENV_"} {
		if strings.Contains(name, mark) {
			return true
		}
	}
	return strings.HasSuffix(name, "_PORT") || strings.HasSuffix(name, "_NAME")
}

// readFile reads lines of `key = value`. A # begins a comment at the start of a
// line or after white space; a value in double quotes may hold one.
func readFile(table []setting, path string, read func(string) ([]byte, error)) ([]assignment, error) {
	content, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("flag --%s: %w", configFlag, err)
	}
	var out []assignment
	firstAt := make(map[string]int)
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		where := path + ":" + strconv.Itoa(number)
		line = strings.TrimSpace(stripComment(line))
		if line == "" {
			continue
		}
		key, text, found := strings.Cut(line, "=")
		key, text = strings.TrimSpace(key), strings.TrimSpace(text)
		s := find(table, key)
		switch {
		case !found:
			return nil, fmt.Errorf("%s: %q is not a setting: write key = value", where, line)
		case s == nil:
			return nil, fmt.Errorf("%s: unknown setting %q%s", where, key, didYouMean(key, names(table)))
		case firstAt[key] != 0 && !s.value.repeatable:
			return nil, fmt.Errorf("%s: %s is already set at line %d: remove one", where, key, firstAt[key])
		}
		firstAt[key] = number
		if strings.HasPrefix(text, `"`) {
			if text, err = strconv.Unquote(text); err != nil {
				return nil, fmt.Errorf("%s: %s: value has no closing quote", where, key)
			}
		}
		if text == "" {
			return nil, fmt.Errorf("%s: %s: value missing: write one or remove the line", where, key)
		}
		out = append(out, assignment{s, text, where + ": " + key})
	}
	return out, nil
}

func names(table []setting) []string {
	out := make([]string, len(table))
	for i := range table {
		out[i] = table[i].name
	}
	return out
}

// stripComment cuts a comment off line, but not a # inside double quotes.
func stripComment(line string) string {
	quoted := false
	for i := range len(line) {
		switch line[i] {
		case '"':
			quoted = !quoted
		case '#':
			if !quoted && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
				return line[:i]
			}
		}
	}
	return line
}
