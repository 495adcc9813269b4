package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Gannet's own format: lines of `key = value`, and blocks of a listener each.
//
//	max-sessions = 1000        # a setting of the whole broker
//
//	[listener mqtts://:8883]   # from here on, settings of this listener
//	certfile = server.crt
//	keyfile = server.key
//	acl-file = strict.acl      # of access: instead of that of the broker
//
// A # begins a comment at the start of a line or after white space; a value in
// double quotes may hold one, and anything else that Go has in a string.

// block is a listener of a file.
type block struct {
	where    string // of its head
	listener Listener
}

// addBlock adds the listener of a block.
func (c *Config) addBlock(b *block) error {
	if err := c.addListener(b.listener); err != nil {
		return fmt.Errorf("%s: listener: %w", b.where, err)
	}
	return nil
}

// readFile reads Gannet's own format.
func readFile(table []setting[Config], path, content string) ([]assignment, error) {
	var out []assignment
	var current *block
	firstAt := make(map[string]int)
	number := 0
	for line := range strings.Lines(content) {
		number++
		where := path + ":" + strconv.Itoa(number)
		line = strings.TrimSpace(stripComment(line))
		if line == "" {
			continue
		}
		if line[0] == '[' {
			listener, err := readHead(line)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", where, err)
			}
			current, firstAt = &block{where: where, listener: listener}, make(map[string]int)
			out = append(out, assignment{setting: find(table, "listen"), block: current, where: where + ": listener"})
			continue
		}
		key, text, err := readPair(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		known, repeatable := mayRepeat(table, key, current != nil)
		if known && !repeatable && firstAt[key] != 0 {
			return nil, fmt.Errorf("%s: %s is already set at line %d: remove one", where, key, firstAt[key])
		}
		firstAt[key] = number
		switch {
		case current != nil:
			if err := current.listener.assign(key, text, where+": "+key); err != nil {
				return nil, fmt.Errorf("%s: %w", where, err)
			}
		case known:
			out = append(out, assignment{setting: find(table, key), text: text, where: where + ": " + key})
		case find(listenerSettings(), key) != nil:
			return nil, fmt.Errorf("%s: %s is a setting of a listener: write it below a line such as [listener mqtt://:1883]", where, key)
		default:
			return nil, fmt.Errorf("%s: unknown setting %q%s", where, key, didYouMean(key, names(table)))
		}
	}
	return out, nil
}

// mayRepeat reports whether key is known, in a block or before the first, and whether it may be mentioned again.
func mayRepeat(table []setting[Config], key string, inBlock bool) (known, repeatable bool) {
	if !inBlock {
		s := find(table, key)
		return s != nil, s != nil && s.value.repeatable
	}
	if s := find(listenerSettings(), key); s != nil {
		return true, s.value.repeatable
	}
	s := find(accessSettings(), key)
	return s != nil, s != nil && s.value.repeatable
}

// readHead reads [listener URL].
func readHead(line string) (Listener, error) {
	inside, closed := strings.CutSuffix(line[1:], "]")
	word, url, _ := strings.Cut(strings.TrimSpace(inside), " ")
	url = strings.TrimSpace(url)
	if !closed || word != "listener" || url == "" {
		return Listener{}, fmt.Errorf("%q begins no block: write [listener mqtt://HOST:PORT]", line)
	}
	return ParseListener(url)
}

// readPair reads key = value.
func readPair(line string) (key, text string, err error) {
	key, text, found := strings.Cut(line, "=")
	key, text = strings.TrimSpace(key), strings.TrimSpace(text)
	if !found {
		return "", "", fmt.Errorf("%q is not a setting: write key = value", line)
	}
	if strings.HasPrefix(text, `"`) {
		if text, err = strconv.Unquote(text); err != nil {
			return "", "", fmt.Errorf("%s: value has no closing quote", key)
		}
	} else if text == "" {
		return "", "", fmt.Errorf("%s: value missing: write one or remove the line", key)
	}
	return key, text, nil
}

// quote writes a value so that readPair finds it again.
func quote(text string) string {
	if text == "" || strings.TrimSpace(text) != text || strings.ContainsAny(text, "\"#\\\n\r\x00") || strconv.Quote(text) != `"`+text+`"` {
		return strconv.Quote(text)
	}
	return text
}

// stripComment cuts a comment off line, but not a # inside double quotes.
func stripComment(line string) string {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			if quoted {
				i++ // the byte behind it ends nothing
			}
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
