package config

import (
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value says how the text of one setting and a field of a T meet.
type value[T any] struct {
	placeholder string                   // names the unit in --help; empty: a switch
	repeatable  bool                     // each mention adds to the field, after reset
	conceal     func(text string) string // leaves of a text what is for people to see; nil: all
	reset       func(t *T)
	set         func(t *T, text string) error
	show        func(t *T) string   // in a form that set reads, for what is not empty or "unset"
	list        func(t *T) []string // of what is repeatable: the texts of its mentions
}

// texts are the mentions that lead to what t has.
func (v *value[T]) texts(t *T) []string {
	switch {
	case v.repeatable:
		return v.list(t)
	case v.show(t) == "":
		return nil
	default:
		return []string{v.show(t)}
	}
}

// lift turns rows about A into rows about B, which has one.
func lift[A, B any](rows []setting[A], field func(*B) *A) []setting[B] {
	out := make([]setting[B], len(rows))
	for i, r := range rows {
		v := r.value
		lifted := value[B]{
			placeholder: v.placeholder, repeatable: v.repeatable, conceal: v.conceal,
			set:  func(b *B, text string) error { return v.set(field(b), text) },
			show: func(b *B) string { return v.show(field(b)) },
		}
		if v.repeatable {
			lifted.reset = func(b *B) { v.reset(field(b)) }
			lifted.list = func(b *B) []string { return v.list(field(b)) }
		}
		out[i] = setting[B]{r.group, r.name, lifted, r.help, r.reaction}
	}
	return out
}

// none is the word that takes a text or a list back.
const none = "none"

// text is a string; none stands for the empty one.
func text[T any](placeholder string, field func(*T) *string) value[T] {
	return value[T]{
		placeholder: placeholder,
		set: func(t *T, text string) error {
			if text == none {
				text = ""
			}
			*field(t) = text
			return nil
		},
		show: func(t *T) string { return *field(t) },
	}
}

// plain is a string that is never taken back, so that none is a text like any other.
func plain[T any](placeholder string, field func(*T) *string) value[T] {
	return value[T]{
		placeholder: placeholder,
		set:         func(t *T, text string) error { *field(t) = text; return nil },
		show:        func(t *T) string { return *field(t) },
	}
}

// hidden is a value that is nobody's business.
func hidden[T any](v value[T]) value[T] {
	v.conceal = func(string) string { return concealed }
	return v
}

// address is a URL in which there may be a password or a key.
func address[T any](v value[T]) value[T] {
	v.conceal = func(text string) string {
		u, err := url.Parse(text)
		if err != nil {
			return concealed // and the error says so when it is used
		}
		if u.User == nil && u.RawQuery == "" {
			return text
		}
		return u.Scheme + "://" + u.Host + u.EscapedPath() + " " + concealed
	}
	return v
}

// concealed stands for what is not shown.
const concealed = "(hidden)"

func boolean[T any](field func(*T) *bool) value[T] {
	return value[T]{
		set: func(t *T, text string) (err error) { *field(t), err = parseBool(text); return err },
		show: func(t *T) string {
			return strconv.FormatBool(*field(t))
		},
	}
}

// negated is a switch whose field has the opposite sense, so that its zero value is the default.
func negated[T any](field func(*T) *bool) value[T] {
	return value[T]{
		placeholder: "",
		set: func(t *T, text string) error {
			yes, err := parseBool(text)
			*field(t) = !yes
			return err
		},
		show: func(t *T) string { return strconv.FormatBool(!*field(t)) },
	}
}

func choice[T any](field func(*T) *Choice) value[T] {
	return value[T]{
		set: func(t *T, text string) error {
			if text == Unset.String() {
				*field(t) = Unset
				return nil
			}
			yes, err := parseBool(text)
			*field(t) = No
			if yes {
				*field(t) = Yes
			}
			return err
		},
		show: func(t *T) string { return field(t).String() },
	}
}

type integer interface {
	~int | ~int64 | ~uint32 | ~uint16 | ~uint8
}

func whole[N integer, T any](placeholder string, low, high int64, field func(*T) *N) value[T] {
	return value[T]{
		placeholder: placeholder,
		set: func(t *T, text string) error {
			n, err := parseWhole(text, low, high)
			*field(t) = N(n)
			return err
		},
		show: func(t *T) string { return strconv.FormatInt(int64(*field(t)), 10) },
	}
}

// optional is a whole number that may be left open.
func optional[N integer, T any](placeholder string, low, high int64, field func(*T) **N) value[T] {
	return value[T]{
		placeholder: placeholder,
		set: func(t *T, text string) error {
			n, err := parseWhole(text, low, high)
			number := N(n)
			*field(t) = &number
			return err
		},
		show: func(t *T) string {
			if *field(t) == nil {
				return ""
			}
			return strconv.FormatInt(int64(**field(t)), 10)
		},
	}
}

func size[N integer, T any](low, high int64, field func(*T) *N) value[T] {
	return value[T]{
		placeholder: "SIZE",
		set: func(t *T, text string) error {
			n, err := parseSize(text, low, high)
			*field(t) = N(n)
			return err
		},
		show: func(t *T) string { return formatSize(int64(*field(t))) },
	}
}

func duration[T any](low, high time.Duration, field func(*T) *time.Duration) value[T] {
	return value[T]{
		placeholder: "DURATION",
		set: func(t *T, text string) (err error) {
			*field(t), err = parseDuration(text, low, high)
			return err
		},
		show: func(t *T) string { return formatDuration(*field(t)) },
	}
}

func seconds[N integer, T any](high time.Duration, field func(*T) *N) value[T] {
	return value[T]{
		placeholder: "DURATION",
		set: func(t *T, text string) error {
			n, err := parseSeconds(text, high)
			*field(t) = N(n)
			return err
		},
		show: func(t *T) string { return formatDuration(time.Duration(*field(t)) * time.Second) },
	}
}

func expiry[T any](field func(*T) *uint32) value[T] {
	v := seconds((math.MaxUint32-1)*time.Second, field)
	finite := v
	v.set = func(t *T, text string) error {
		if text == "never" {
			*field(t) = Never
			return nil
		}
		return finite.set(t, text)
	}
	v.show = func(t *T) string {
		if *field(t) == Never {
			return "never"
		}
		return finite.show(t)
	}
	return v
}

func oneOf[S ~string, T any](words []string, field func(*T) *S) value[T] {
	return value[T]{
		placeholder: strings.Join(words, "|"),
		set: func(t *T, text string) error {
			word, err := parseOneOf(text, words...)
			*field(t) = S(word)
			return err
		},
		show: func(t *T) string { return string(*field(t)) },
	}
}

// numbered is one of the words, kept as its place among them.
func numbered[N ~byte, T any](words []string, field func(*T) *N) value[T] {
	return value[T]{
		placeholder: strings.Join(words, "|"),
		set: func(t *T, text string) error {
			word, err := parseOneOf(text, words...)
			if err == nil {
				*field(t) = N(slices.Index(words, word))
			}
			return err
		},
		show: func(t *T) string { return words[*field(t)] },
	}
}

// maxListed bounds the mentions of one setting.
const maxListed = 1024

// texts is a list of strings, each with a mention of its own; none takes those back that came before.
func texts[T any](placeholder string, check func(string) error, field func(*T) *[]string) value[T] {
	return value[T]{
		placeholder: placeholder,
		repeatable:  true,
		reset:       func(t *T) { *field(t) = nil },
		set: func(t *T, text string) error {
			old := *field(t)
			switch {
			case text == none:
				*field(t) = nil
				return nil
			case len(old) >= maxListed:
				return fmt.Errorf("more than %d", maxListed)
			}
			if check != nil {
				if err := check(text); err != nil {
					return err
				}
			}
			*field(t) = append(old[:len(old):len(old)], text) // a copy: lists are shared by copies of their owner
			return nil
		},
		list: func(t *T) []string { return *field(t) },
		show: func(t *T) string { return strings.Join(*field(t), ",") },
	}
}

// words is a list of known words with commas between, without repetition. In their order, if that is of no matter.
func words[T any](known []string, ordered bool, field func(*T) *[]string) value[T] {
	return value[T]{
		placeholder: strings.Join(known, ","),
		set: func(t *T, text string) error {
			var out []string
			if text != none {
				for word := range strings.SplitSeq(text, ",") {
					word, err := parseOneOf(strings.TrimSpace(word), known...)
					if err != nil {
						return err
					}
					if slices.Contains(out, word) {
						return fmt.Errorf("%q is there twice", word)
					}
					out = append(out, word)
				}
			}
			if !ordered {
				slices.Sort(out)
			}
			*field(t) = out
			return nil
		},
		show: func(t *T) string { return strings.Join(*field(t), ",") },
	}
}

// networks is a list of networks; a single address is one, too.
func networks[T any](field func(*T) *[]netip.Prefix) value[T] {
	show := func(t *T) []string {
		var out []string
		for _, p := range *field(t) {
			out = append(out, p.String())
		}
		return out
	}
	return value[T]{
		placeholder: "NETWORK",
		repeatable:  true,
		reset:       func(t *T) { *field(t) = nil },
		set: func(t *T, text string) error {
			if text == none {
				*field(t) = nil
				return nil
			}
			p, err := parseNetwork(text)
			old := *field(t)
			switch {
			case err != nil:
				return err
			case len(old) >= maxListed:
				return fmt.Errorf("more than %d", maxListed)
			}
			*field(t) = append(old[:len(old):len(old)], p)
			return nil
		},
		list: show,
		show: func(t *T) string { return strings.Join(show(t), ",") },
	}
}

// versions is a set of protocol versions.
func versions() value[Listener] {
	return value[Listener]{
		placeholder: "3,4,5",
		set: func(l *Listener, text string) (err error) {
			l.Versions, err = parseVersions(text)
			return err
		},
		show: func(l *Listener) string {
			var out []string
			for _, v := range l.Versions {
				out = append(out, strconv.Itoa(int(v)))
			}
			return strings.Join(out, ",")
		},
	}
}

// octal is a set of permission bits.
func octal[T any](field func(*T) *uint32) value[T] {
	return value[T]{
		placeholder: "OCTAL",
		set: func(t *T, text string) error {
			n, err := strconv.ParseUint(text, 8, 16)
			if err != nil || n > 0o777 {
				return fmt.Errorf("%q are not permission bits: write them in octal, such as 0660", text)
			}
			*field(t) = uint32(n)
			return nil
		},
		show: func(t *T) string {
			if *field(t) == 0 {
				return ""
			}
			return fmt.Sprintf("%04o", *field(t))
		},
	}
}

func listeners() value[Config] {
	return value[Config]{
		placeholder: "URL",
		repeatable:  true,
		reset:       func(c *Config) { c.Listen = nil },
		set: func(c *Config, text string) error {
			l, err := ParseListener(text)
			if err != nil {
				return err
			}
			return c.addListener(l)
		},
		list: (*Config).urls,
		show: func(c *Config) string { return strings.Join(c.urls(), ",") },
	}
}

// maxListeners bounds the listeners of one broker.
const maxListeners = 1024

func (c *Config) addListener(l Listener) error {
	for _, other := range c.Listen {
		if l.samePlace(other) {
			return fmt.Errorf("%s is listed twice: remove one", l)
		}
	}
	if len(c.Listen) >= maxListeners {
		return fmt.Errorf("more than %d listeners", maxListeners)
	}
	c.Listen = append(c.Listen[:len(c.Listen):len(c.Listen)], l)
	return nil
}

func (c *Config) urls() []string {
	urls := make([]string, len(c.Listen))
	for i, l := range c.Listen {
		urls[i] = l.String()
	}
	return urls
}

func logLevel() value[Config] {
	return value[Config]{
		placeholder: "debug|info|warn|error",
		set: func(c *Config, text string) error {
			if _, err := parseOneOf(text, "debug", "info", "warn", "error"); err != nil {
				return err
			}
			return c.LogLevel.UnmarshalText([]byte(text))
		},
		show: func(c *Config) string { return strings.ToLower(slog.Level(c.LogLevel).String()) },
	}
}
