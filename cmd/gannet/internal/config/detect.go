package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// format is one of the two that a configuration file may have.
type format byte

const (
	ownFormat format = iota
	mosquittoFormat
)

// detect tells Gannet's own format from that of mosquitto.conf. A line speaks for Gannet's if it is a block's head, or a setting's
// name and an equals sign; it speaks for mosquitto's if its first word is one of mosquitto's options and no equals sign follows.
// Lines for both are a mistake. When none speaks for either, a misspelt option of mosquitto may still be seen; then the file's name
// decides.
func detect(path, content string) (format, error) {
	var own, foreign, near int // number of the first line
	number := 0
	options := optionNames()
	for line := range strings.Lines(content) {
		number++
		line = strings.TrimSpace(stripComment(line))
		if line == "" {
			continue
		}
		word, rest, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
		key, _, equals := strings.Cut(word, "=")
		equals = equals || strings.HasPrefix(strings.TrimSpace(rest), "=")
		switch {
		case line[0] == '[' || (equals && knownName(key)):
			if own == 0 {
				own = number
			}
		case equals:
		case slices.Contains(options, word):
			if foreign == 0 {
				foreign = number
			}
		case near == 0 && didYouMean(word, options) != "":
			near = number
		}
	}
	switch {
	case own != 0 && foreign != 0:
		return ownFormat, fmt.Errorf("%s: line %d is in the format of mosquitto.conf (key value) and line %d in Gannet's own (key = value): "+
			"use one of them for all lines; gannet convert FILE turns the first into the second", path, foreign, own)
	case foreign != 0, own == 0 && near != 0:
		return mosquittoFormat, nil
	case own == 0 && strings.HasPrefix(filepath.Base(path), "mosquitto"):
		return mosquittoFormat, nil
	default:
		return ownFormat, nil
	}
}

// knownName reports whether key is a setting of any table.
func knownName(key string) bool {
	return find(settings(), key) != nil || find(listenerSettings(), key) != nil
}
