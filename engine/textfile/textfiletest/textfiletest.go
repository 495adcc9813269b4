// Package textfiletest checks what everything that reads a file with textfile has in common. It is for tests only, and imports the
// standard library.
package textfiletest

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// Bounds checks that read takes text when it has as many bytes as it may, that one byte more is an error that begins with beyond, and that
// an error of reading is passed on. text ends with a line break, and a line break more would be read, too.
func Bounds(t *testing.T, text, beyond string, read func(r io.Reader, bytesMax int64) error) {
	t.Helper()
	most := int64(len(text))
	if err := read(strings.NewReader(text), most); err != nil {
		t.Errorf("at the bound: error %v", err)
	}
	if err := read(strings.NewReader(text+"\n"), most); err == nil || !strings.HasPrefix(err.Error(), beyond) {
		t.Errorf("above the bound: error %v", err)
	}
	broken := errors.New("disk on fire")
	if err := read(iotest.ErrReader(broken), most); !errors.Is(err, broken) {
		t.Errorf("a reader that breaks: error %v", err)
	}
}
