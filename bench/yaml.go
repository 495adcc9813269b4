package bench

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// readYAML reads the one document that a file has, strictly, and returns where everything
// stands in it. Its errors are one line with the file and, where it is known, the line.
func readYAML(path string, text []byte, into any) (*ast.File, error) {
	if err := yaml.UnmarshalWithOptions(text, into, yaml.Strict()); err != nil {
		return nil, yamlError(path, err)
	}
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, yamlError(path, err)
	}
	if len(tree.Docs) > 1 {
		second := tree.Docs[1].Start
		return nil, fmt.Errorf("%s:%d: a second document begins here: write one to a file", path, second.Position.Line)
	}
	return tree, nil
}

// yamlError puts file and line before what the reader of YAML says, in words of YAML.
func yamlError(path string, err error) error {
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return fmt.Errorf("%s: %s", path, first)
	}
	text := at.GetMessage()
	switch e := at.(type) {
	case *yaml.TypeError:
		text = fmt.Sprintf("%q is not %s", at.GetToken().Value, kindName(e.DstType))
	case *yaml.OverflowError:
		text = fmt.Sprintf("%s is too large", e.SrcNum)
	}
	return fmt.Errorf("%s:%d: %s", path, at.GetToken().Position.Line, text)
}

// kindName says what a value of a type looks like in YAML.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Uint8:
		return "a small number"
	case reflect.Float64:
		return "a number"
	}
	return "what belongs there"
}
