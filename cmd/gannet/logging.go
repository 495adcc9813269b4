package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
)

// logging is the log with its destinations, each of which has a line of its own before it, so that a slow one holds up no other.
type logging struct {
	*slog.Logger
	level   slog.LevelVar
	writers []*logWriter
	files   []*logFile
	closers []io.Closer
}

// openLogging opens the destinations of c. Nothing that it opens waits for anybody later on.
func openLogging(c *config.Config, stdout, stderr io.Writer) (*logging, error) {
	l := &logging{}
	l.level.Set(c.LogLevel)
	var handlers []slog.Handler
	for _, dest := range c.LogDest {
		w, handler, err := l.open(dest, c, stdout, stderr)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("log-dest: %w", err), l.Close())
		}
		lines := newLogWriter(w)
		l.writers = append(l.writers, lines)
		handlers = append(handlers, handler(lines))
	}
	switch len(handlers) {
	case 0:
		l.Logger = slog.New(slog.DiscardHandler)
	case 1:
		l.Logger = slog.New(handlers[0])
	default:
		l.Logger = slog.New(slog.NewMultiHandler(handlers...))
	}
	return l, nil
}

// open opens one destination, and says what form lines take for it.
func (l *logging) open(dest string, c *config.Config, stdout, stderr io.Writer) (io.Writer, func(io.Writer) slog.Handler, error) {
	handler := func(w io.Writer) slog.Handler { return newLogHandler(w, c, &l.level) }
	switch dest {
	case "stderr":
		return stderr, handler, nil
	case "stdout":
		return stdout, handler, nil
	case "syslog":
		w, err := openSyslog(c.LogFacility)
		if err != nil {
			return nil, nil, err
		}
		l.closers = append(l.closers, w)
		return w, func(w io.Writer) slog.Handler { return newSyslogHandler(w, &l.level) }, nil
	}
	path, isFile := strings.CutPrefix(dest, "file:")
	if !isFile {
		panic("logging: log-dest " + dest + " is accepted but not known")
	}
	f := &logFile{path: path}
	if err := f.reopen(); err != nil {
		return nil, nil, err
	}
	l.files = append(l.files, f)
	l.closers = append(l.closers, f)
	return f, handler, nil
}

// newLogHandler returns the handler of a stream or a file.
func newLogHandler(w io.Writer, c *config.Config, level slog.Leveler) slog.Handler {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: timestamps(c)}
	if c.LogFormat == config.LogJSON {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// logTextMax is how many bytes of a text are logged. Clients choose names and topics, of 64 KiB each, and so how long a line is.
const logTextMax = 1024

// shorten cuts what is too long, and says how long it was.
func shorten(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindString || len(a.Value.String()) <= logTextMax {
		return a
	}
	text := a.Value.String()
	return slog.String(a.Key, fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(text[:logTextMax], ""), len(text)))
}

// timestamps rewrites the time of a line as c wants it, and cuts long texts.
func timestamps(c *config.Config) func([]string, slog.Attr) slog.Attr {
	if c.LogTimestamp && c.LogTimestampFormat == "" {
		return shorten
	}
	return func(groups []string, a slog.Attr) slog.Attr {
		a = shorten(groups, a)
		if len(groups) > 0 || a.Key != slog.TimeKey || a.Value.Kind() != slog.KindTime {
			return a
		}
		if !c.LogTimestamp {
			return slog.Attr{}
		}
		return slog.String(slog.TimeKey, strftime(c.LogTimestampFormat, a.Value.Time()))
	}
}

// reopen opens files again, which may have been renamed, and takes the level of c on. A file that cannot be opened goes on as it was.
func (l *logging) reopen(c *config.Config) error {
	l.level.Set(c.LogLevel)
	var errs []error
	for _, f := range l.files {
		errs = append(errs, f.reopen())
	}
	return errors.Join(errs...)
}

// giveTo makes the files those of a user that this process is about to become.
func (l *logging) giveTo(a *account) error {
	for _, f := range l.files {
		if err := f.chown(a.uid, a.gid); err != nil {
			return fmt.Errorf("log-dest: %w", err)
		}
	}
	return nil
}

// Close writes what waits. What is logged later goes straight to streams, and to files no more.
func (l *logging) Close() error {
	for _, w := range l.writers {
		w.Close()
	}
	var errs []error
	for _, c := range l.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// logFile is a file that can be opened again under its name. Safe for concurrent use.
type logFile struct {
	path string
	mu   sync.Mutex
	file *os.File
}

func (f *logFile) reopen() error {
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.file
	f.file = file
	if old != nil {
		return old.Close()
	}
	return nil
}

func (f *logFile) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Write(b)
}

func (f *logFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}

func (f *logFile) chown(uid, gid int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if info, err := f.file.Stat(); err != nil || !info.Mode().IsRegular() {
		return err // a device such as /dev/null stays whose it is
	}
	return f.file.Chown(uid, gid)
}

// strftime writes t in local time by a format of strftime(3). A directive that it does not know stays as it is.
func strftime(format string, t time.Time) string {
	layouts := map[byte]string{
		'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02", 'D': "01/02/06", 'e': "_2",
		'F': "2006-01-02", 'h': "Jan", 'H': "15", 'I': "03", 'j': "002", 'm': "01", 'M': "04", 'p': "PM", 'r': "03:04:05 PM", 'R': "15:04",
		'S': "05", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch layout, known := layouts[format[i]]; {
		case known:
			b.WriteString(t.Format(layout))
		case format[i] == 's':
			fmt.Fprint(&b, t.Unix())
		case format[i] == '%':
			b.WriteByte('%')
		case format[i] == 'n' || format[i] == 't':
			b.WriteByte(' ') // a line stays one
		default:
			b.WriteString(format[i-1 : i+1])
		}
	}
	return b.String()
}
