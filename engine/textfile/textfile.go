package textfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// Bound is how many bytes something may have, and what is said of it when it has more.
type Bound struct {
	BytesMax int64 // 0: no bound
	Beyond   string
}

// Form is a kind of file that is read line by line.
type Form struct {
	Whole   Bound
	Line    Bound  // with its line break; what has no bound still has that of the whole
	Reading string // before the name of a file that cannot be read
}

// Lines gives each line of r to take, in order, numbered from 1 and without its line break. It ends with the first error of take, which it
// puts behind name:number, or of r, or when a bound is passed; name begins those errors, too. No more is in memory at a time than a line and
// a buffer.
func (f Form) Lines(name string, r io.Reader, take func(number int, line string) error) error {
	left := &io.LimitedReader{R: r, N: math.MaxInt64}
	if f.Whole.BytesMax > 0 {
		left.N = f.Whole.BytesMax + 1
	}
	lineMax := left.N
	if f.Line.BytesMax > 0 {
		lineMax = f.Line.BytesMax
	}
	lines := bufio.NewScanner(left)
	lines.Buffer(nil, int(min(lineMax, math.MaxInt)))
	number := 0
	for lines.Scan() && lines.Err() == nil && left.N > 0 { // else this line may be the beginning of one
		number++
		if err := take(number, lines.Text()); err != nil {
			return fmt.Errorf("%s:%d: %w", name, number, err)
		}
	}
	switch err := lines.Err(); {
	case left.N <= 0:
		return fmt.Errorf("%s: %s", name, f.Whole.Beyond)
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("%s:%d: %s", name, number+1, f.Line.Beyond)
	case err != nil:
		return fmt.Errorf("%s%s: %w", f.Reading, name, err)
	}
	return nil
}

// Load returns what read makes of the file at path. An error of opening it begins with kind.
func Load[T any](kind, path string, read func(*os.File) (T, error)) (T, error) {
	file, err := os.Open(path)
	if err != nil {
		var none T
		return none, fmt.Errorf("%s: %w", kind, err)
	}
	defer file.Close()
	return read(file)
}

// ReadFile returns what is in the file at path, of at most bytesMax bytes. Its errors name the path.
func ReadFile(path string, bytesMax int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, bytesMax+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > bytesMax {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, bytesMax)
	}
	return text, nil
}
