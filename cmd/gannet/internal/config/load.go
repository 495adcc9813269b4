package config

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strings"
)

const (
	variablePrefix = "GANNET_"
	configFlag     = "config"
	checkFlag      = "check-config"
	testFlag       = "test-config" // mosquitto's word for it
)

// MaxFileBytes bounds a configuration file. A larger one is an error, so that a caller of Load need read no more than one byte beyond.
const MaxFileBytes = 4 << 20

// ErrHelp is returned by Load when the arguments ask for help.
var ErrHelp = errors.New("help requested")

// ErrChecked is returned by Load, beside a valid Config, when the arguments ask
// only whether the configuration is sound (--check-config).
var ErrChecked = errors.New("configuration is sound")

// Source is where Load takes settings from, strongest first.
type Source struct {
	Args     []string                          // flags, without the program's name and the subcommand
	Environ  []string                          // NAME=value, as os.Environ has it
	ReadFile func(name string) ([]byte, error) // reads the file named by --config, and those of include_dir

	// ListFiles returns the names in a folder of include_dir that may be read, in any order; nil: there are no folders.
	ListFiles func(dir string) ([]string, error)

	// Warn is told, a line each, what is not wrong and yet not as one might think. May be nil.
	Warn func(line string)
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
	c := Default()
	mentions := make(map[string]string)
	path := cmp.Or(flags.config, variables.config)
	if path != "" {
		if err := loadFile(&c, table, path, &source, mentions); err != nil {
			return Config{}, err
		}
	}
	for _, assignments := range [][]assignment{variables.assignments, flags.assignments} {
		if err := apply(&c, assignments, mentions); err != nil {
			return Config{}, err
		}
	}
	if err := c.addPorts(flags.ports, mentions["listen"], source.warn); err != nil {
		return Config{}, err
	}
	if err := c.settleDurability(mentions["durability"], mentions["in-memory"]); err != nil {
		return Config{}, err
	}
	c.MaxConnectSize = min(c.MaxConnectSize, c.MaxPacketSize)
	for i := range c.Listen {
		if err := c.Listen[i].resolve(&c.Access); err != nil {
			return Config{}, err
		}
	}
	// A file that lets nobody in may be one that somebody still writes. mosquitto starts with it, and so it does here: Warnings tells.
	if err := c.Validate(); err != nil && (path == "" || !errors.As(err, new(lockedOut))) {
		return Config{}, err
	}
	for _, w := range c.Warnings() {
		source.warn(w)
	}
	if flags.check {
		return c, ErrChecked
	}
	return c, nil
}

func (s *Source) warn(line string) {
	if s.Warn != nil {
		s.Warn(line)
	}
}

// loadFile applies a configuration file of either format to c.
func loadFile(c *Config, table []setting[Config], path string, source *Source, mentions map[string]string) error {
	if source.ReadFile == nil {
		return fmt.Errorf("flag --%s: no files can be read here", configFlag)
	}
	content, err := source.ReadFile(path)
	if err != nil {
		return fmt.Errorf("flag --%s: %w", configFlag, err)
	}
	if len(content) > MaxFileBytes {
		return fmt.Errorf("%s: %d bytes are too many for a configuration: %d are allowed", path, len(content), MaxFileBytes)
	}
	format, err := detect(path, string(content))
	if err != nil {
		return err
	}
	if format == mosquittoFormat {
		return loadMosquitto(c, path, string(content), source, mentions)
	}
	assignments, err := readFile(table, path, string(content))
	if err != nil {
		return err
	}
	return apply(c, assignments, mentions)
}

// addPorts adds a listener on the loopback interface for each port of -p, as mosquitto does: instead of the default one, and not at
// all when listeners are configured. listen is where they are.
func (c *Config) addPorts(ports []uint16, listen string, warn func(string)) error {
	switch {
	case len(ports) == 0:
		return nil
	case listen != "":
		warn("argument -p: ignored, because listeners are configured: " + listen)
		return nil
	}
	c.Listen = nil
	for _, p := range ports {
		if err := c.addListener(loopback(p)); err != nil {
			return fmt.Errorf("argument -p: %w", err)
		}
	}
	return nil
}

func loopback(port uint16) Listener { return Listener{Host: "127.0.0.1", Port: port} }

// settleDurability makes Durability and InMemory agree. They are two words for one thing, so neither is stronger: who uses both
// and contradicts himself is asked what he means, whatever the sources. durability and inMemory are where each was
// mentioned, empty if it was not.
func (c *Config) settleDurability(durability, inMemory string) error {
	switch {
	case durability != "" && inMemory != "" && c.InMemory != (c.Durability == Off):
		return fmt.Errorf("%s: %s contradicts %s = %t: remove one of the two", durability, c.Durability, inMemory, c.InMemory)
	case inMemory == "":
		c.InMemory = c.Durability == Off
	case c.InMemory:
		c.Durability = Off
	case c.Durability == Off: // of a file of mosquitto
		c.Durability = Sync
	}
	return nil
}

// assignment is one mention of a setting.
type assignment struct {
	setting *setting[Config]
	text    string
	block   *block // of a file, which becomes a listener; nil: text is set
	where   string // "gannet.conf:3: loops", "environment GANNET_LOOPS" or "flag --loops"
}

// apply sets what one source mentions. A source that mentions a repeatable
// setting replaces what weaker sources said of it.
func apply(c *Config, assignments []assignment, mentions map[string]string) error {
	begun := make(map[string]bool)
	for _, a := range assignments {
		v := &a.setting.value
		if v.repeatable && !begun[a.setting.name] {
			v.reset(c)
		}
		begun[a.setting.name] = true
		mentions[a.setting.name] = a.where
		var err error
		if a.block != nil {
			err = c.addBlock(a.block)
		} else if err = v.set(c, a.text); err != nil {
			err = fmt.Errorf("%s: %w", a.where, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// flagSource is what the command line says.
type flagSource struct {
	assignments []assignment
	config      string
	check       bool
	ports       []uint16 // of -p
}

// readFlags reads --name value and --name=value. A switch takes its value with
// the equals sign only and means true without one. The short ones are those of
// mosquitto.
func readFlags(table []setting[Config], args []string) (flagSource, error) {
	var out flagSource
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "-h" || arg == "--help" {
			return out, ErrHelp
		}
		long, found := strings.CutPrefix(arg, "--")
		if !found {
			n, err := out.short(table, args[i:])
			switch {
			case err != nil:
				return out, err
			case n == 0:
				return out, strayArgument(arg, args, i)
			}
			i += n - 1
			continue
		}
		if long == "" {
			return out, strayArgument(arg, args, i)
		}
		name, text, hasText := strings.Cut(long, "=")
		s := find(table, name)
		if s == nil && name != configFlag && name != checkFlag && name != testFlag {
			return out, fmt.Errorf("flag --%s: unknown flag%s (gannet --help lists them)", name, didYouMean("--"+name, flagNames(table)))
		}
		isSwitch := name == checkFlag || name == testFlag || (s != nil && s.value.placeholder == "")
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
		case checkFlag, testFlag:
			yes, err := parseBool(text)
			if err != nil {
				return out, fmt.Errorf("flag --%s: %w", name, err)
			}
			out.check = yes
		default:
			out.assignments = append(out.assignments, assignment{setting: s, text: text, where: "flag --" + name})
		}
	}
	return out, nil
}

// short reads a flag of one letter, as mosquitto has them, and returns how many arguments it takes; 0: it is not one.
func (f *flagSource) short(table []setting[Config], args []string) (int, error) {
	letter, text, joined := args[0], "", false
	if len(letter) > 2 && (letter[:2] == "-c" || letter[:2] == "-p") {
		letter, text, joined = letter[:2], letter[2:], true
	}
	switch letter {
	case "-v":
		f.assignments = append(f.assignments, assignment{setting: find(table, "log-level"), text: "debug", where: "argument -v"})
		return 1, nil
	case "-q":
		f.assignments = append(f.assignments, assignment{setting: find(table, "log-dest"), text: none, where: "argument -q"})
		return 1, nil
	case "-d":
		return 0, errors.New("argument -d: gannet stays in the foreground: let a service manager such as systemd start it, or write gannet ... &")
	case "-c", "-p":
	default:
		return 0, nil
	}
	taken := 1
	if !joined {
		if len(args) < 2 {
			return 0, fmt.Errorf("argument %s: value missing", letter)
		}
		text, taken = args[1], 2
	}
	if letter == "-c" {
		f.config = text
		return taken, nil
	}
	port, err := parseWhole(text, 1, math.MaxUint16)
	if err != nil {
		return 0, fmt.Errorf("argument -p: %w", err)
	}
	f.ports = append(f.ports, uint16(port))
	return taken, nil
}

// strayArgument explains an argument that is not a flag of ours.
func strayArgument(arg string, args []string, i int) error {
	if _, err := parseBool(arg); err == nil && i > 0 && strings.HasPrefix(args[i-1], "--") {
		return fmt.Errorf("argument %q: unexpected: write %s=%s", arg, args[i-1], arg)
	}
	return fmt.Errorf("argument %q: unexpected: flags begin with -- (gannet --help lists them)", arg)
}

func flagNames(table []setting[Config]) []string {
	names := []string{"--" + configFlag, "--" + checkFlag, "--" + testFlag, "--help"}
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
func readEnvironment(table []setting[Config], environ []string) (environmentSource, error) {
	var out environmentSource
	known := []string{variablePrefix + variableSuffix(configFlag)}
	byName := make(map[string]*setting[Config], len(table))
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
			out.assignments = append(out.assignments, assignment{setting: s, text: t, where: "environment " + name})
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
