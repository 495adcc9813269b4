package bench

import (
	"fmt"
	"strconv"
	"strings"
)

// A template is the text of a topic or filter with places for what differs between
// clients. In braces:
//
//	{prefix}        the prefix of the run
//	{n}             the number of the client in its group, from 0
//	{k}             the number of the filter of one client, from 0
//	{n%5} {n/5}     the remainder, and the quotient: five clients to a topic, or every fifth
//
// expand fills a template in.
func expand(template, prefix string, n, k int) (string, error) {
	if !strings.Contains(template, "{") {
		return template, nil
	}
	var out strings.Builder
	for rest := template; ; {
		text, after, found := strings.Cut(rest, "{")
		out.WriteString(text)
		if !found {
			return out.String(), nil
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return "", fmt.Errorf("%q: { without }", template)
		}
		value, err := placeValue(name, prefix, n, k)
		if err != nil {
			return "", fmt.Errorf("%q: %w", template, err)
		}
		out.WriteString(value)
		rest = tail
	}
}

func placeValue(name, prefix string, n, k int) (string, error) {
	if name == "prefix" {
		return prefix, nil
	}
	variable, operator, operand := name, byte(0), 1
	if at := strings.IndexAny(name, "%/"); at >= 0 {
		var err error
		variable, operator = name[:at], name[at]
		if operand, err = strconv.Atoi(name[at+1:]); err != nil || operand < 1 {
			return "", fmt.Errorf("{%s}: %q is not a number above 0", name, name[at+1:])
		}
	}
	value := n
	switch variable {
	case "n":
	case "k":
		value = k
	default:
		return "", fmt.Errorf("{%s}: write {prefix}, {n}, {k}, {n%%5} or {n/5}", name)
	}
	switch operator {
	case '%':
		value %= operand
	case '/':
		value /= operand
	}
	return strconv.Itoa(value), nil
}
