package textfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func form(whole, line int64) Form {
	return Form{Whole: Bound{whole, "too large"}, Line: Bound{line, "too long"}, Reading: "read thing "}
}

// numbered reads text to its end, or to the line bad.
func numbered(f Form, r io.Reader) (lines []string, err error) {
	err = f.Lines("f", r, func(number int, line string) error {
		if line == "bad" {
			return errors.New("no good")
		}
		lines = append(lines, fmt.Sprintf("%d %s", number, line))
		return nil
	})
	return lines, err
}

func TestLinesWithinBounds(t *testing.T) {
	for _, c := range []struct {
		name, text  string
		whole, line int64
		want        []string
		err         string
	}{
		{"nothing", "", 0, 0, nil, ""},
		{"no bound", "a\r\n\n b\t\nlast", 0, 0, []string{"1 a", "2 ", "3  b\t", "4 last"}, ""},
		{"both at their bounds", "abc\nabc\n", 8, 4, []string{"1 abc", "2 abc"}, ""},
		{"whole beyond", "abc\nabc\nx", 8, 4, []string{"1 abc", "2 abc"}, "f: too large"},
		{"one line that is all", strings.Repeat("x", 9000), 9000, 0, []string{"1 " + strings.Repeat("x", 9000)}, ""},
		{"one line beyond all", strings.Repeat("x", 9001), 9000, 0, nil, "f: too large"},
		{"line beyond", "abc\nabcd\nabc\n", 0, 4, []string{"1 abc"}, "f:2: too long"},
		{"refused", "a\nbad\nb\n", 0, 0, []string{"1 a"}, "f:2: no good"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.text), iotest.DataErrReader(strings.NewReader(c.text))} {
				lines, err := numbered(form(c.whole, c.line), r)
				if got := fmt.Sprint(err); got != cmp.Or(c.err, "<nil>") {
					t.Errorf("error %s, want %s", got, c.err)
				}
				if !slices.Equal(lines, c.want) {
					t.Errorf("%.80q, want %.80q", lines, c.want)
				}
			}
		})
	}
}

// What arrived before an error may be half a line, and a file without its end is not the file.
func TestLinesBeforeAReadErrorAreNotWhole(t *testing.T) {
	broken := errors.New("disk on fire")
	lines, err := numbered(form(0, 0), io.MultiReader(strings.NewReader("user al"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || err.Error() != "read thing f: disk on fire" || lines != nil {
		t.Errorf("%q, error %v", lines, err)
	}
}

func TestLinesReadsNoMoreThanShowsThatItIsTooMuch(t *testing.T) {
	endless := strings.NewReader(strings.Repeat("x\n", 1<<16))
	if _, err := numbered(form(1000, 0), endless); err == nil || err.Error() != "f: too large" {
		t.Errorf("error %v", err)
	}
	if read := endless.Size() - int64(endless.Len()); read != 1001 {
		t.Errorf("read %d bytes", read)
	}
}

func TestLoadClosesWhatItOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	read := func(file *os.File) (*os.File, error) { return file, nil }
	file, err := Load("thing", path, read)
	if file != nil || !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "thing: ") {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if file, err = Load("thing", path, read); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestReadFileHasABound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if _, err := ReadFile(path, 10); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: %v", err)
	}
	text := []byte("0123456789")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadFile(path, 10); err != nil || !bytes.Equal(got, text) {
		t.Errorf("at the bound: %q, %v", got, err)
	}
	if got, err := ReadFile(path, 9); err == nil || err.Error() != path+": larger than 9 bytes" || got != nil {
		t.Errorf("above the bound: %q, %v", got, err)
	}
}
