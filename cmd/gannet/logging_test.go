package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
)

func logTo(t *testing.T, change func(*config.Config)) (log *logging, stdout, stderr *bytes.Buffer) {
	t.Helper()
	c := config.Default()
	change(&c)
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	log, err := openLogging(&c, stdout, stderr)
	if err != nil {
		t.Fatal(err)
	}
	return log, stdout, stderr
}

func closeLog(t *testing.T, l *logging) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestLogGoesToEachDestination(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log, stdout, stderr := logTo(t, func(c *config.Config) {
		c.LogDest, c.LogTimestamp = []string{"stdout", "stderr", "file:" + path}, false
	})
	log.Info("hello")
	log.Debug("not this")
	closeLog(t, log)
	const want = "level=INFO msg=hello\n"
	if stdout.String() != want || stdout.String() != stderr.String() || stdout.String() != read(t, path) {
		t.Errorf("stdout %q, stderr %q, file %q, want %q", stdout, stderr, read(t, path), want)
	}
}

func TestLogGoesNowhere(t *testing.T) {
	log, stdout, stderr := logTo(t, func(c *config.Config) { c.LogDest = nil })
	log.Error("hello")
	closeLog(t, log)
	if stdout.Len()+stderr.Len() != 0 {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
}

func TestLogFileIsOpenedAgainUnderItsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	log, _, _ := logTo(t, func(c *config.Config) { c.LogDest = []string{"file:" + path} })
	log.Info("first")
	log.writers[0].Close()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	debug := config.Default()
	debug.LogLevel = slog.LevelDebug
	if err := log.reopen(&debug); err != nil {
		t.Fatal(err)
	}
	log.Debug("second")
	closeLog(t, log)
	if before, after := read(t, path+".1"), read(t, path); !strings.Contains(before, "first") || !strings.Contains(after, "second") || strings.Contains(after, "first") {
		t.Errorf("before %q, after %q", before, after)
	}
}

func TestLogFileThatCannotBeOpenedIsSaidAtTheStart(t *testing.T) {
	got := run(t, "", "serve", "--in-memory", "--log-dest=file:"+t.TempDir()+"/none/log")
	if got.status != 2 || !strings.HasPrefix(got.stderr, "gannet: log-dest: open ") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("%+v", got)
	}
}

func TestTimestampHasTheFormOfStrftime(t *testing.T) {
	at := time.Date(2026, time.March, 7, 15, 4, 5, 0, time.UTC)
	for format, want := range map[string]string{
		"%Y-%m-%dT%H:%M:%S": "2026-03-07T15:04:05", "%s:": "1772895845:", "%e %b%%": " 7 Mar%", "%Q%": "%Q%", "%j %I%p %z": "066 03PM +0000", "": "", "a%nb": "a b",
	} {
		if got := strftime(format, at); got != want {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
	c := config.Default()
	c.LogTimestampFormat = "%Hh"
	var out strings.Builder
	slog.New(newLogHandler(&out, &c, slog.LevelInfo)).Info("x", slog.Group("g", "time", at))
	if hour, _, _ := strings.Cut(out.String(), "h level=INFO"); len(hour) != len("time=15") {
		t.Errorf("%q", &out)
	}
	if !strings.Contains(out.String(), "g.time=2026-03-07") {
		t.Errorf("the time in a group is not ours: %q", &out)
	}
}

func TestSyslogLinesHaveTheirSeverity(t *testing.T) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "log"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w, err := dialSyslog("unixgram", conn.LocalAddr().String(), "local3")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	log := slog.New(newSyslogHandler(w, slog.LevelDebug))
	for _, test := range []struct {
		log  func(string, ...any)
		want string
	}{{log.Error, "<155>"}, {log.Warn, "<156>"}, {log.Info, "<158>"}, {log.Debug, "<159>"}} {
		test.log("hello", "a", 1)
		b := make([]byte, 1024)
		n, err := conn.Read(b)
		if got := string(b[:n]); err != nil || !strings.HasPrefix(got, test.want) || !strings.HasSuffix(got, ": msg=hello a=1\n") {
			t.Errorf("%v: got %q, want %s", err, got, test.want)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What a client calls itself makes neither a line of its own nor a line without end.
func TestClientsCannotForgeOrFillTheLog(t *testing.T) {
	name := "eve\n2026-01-01 level=ERROR msg=\"store lost\"\x1b[2J" + strings.Repeat("\u00e9", 32<<10)
	for _, format := range []config.LogFormat{config.LogText, config.LogJSON} {
		var out bytes.Buffer
		c := config.Default()
		c.LogFormat = format
		slog.New(newLogHandler(&out, &c, slog.LevelInfo)).Info("client connected", "client", name)
		if got := out.String(); strings.Count(got, "\n") != 1 || strings.ContainsRune(got, 0x1b) || len(got) > 2*logTextMax {
			t.Errorf("%d lines in %d bytes: %.200q", strings.Count(got, "\n"), len(got), got)
		}
		if want := fmt.Sprintf("... (%d bytes)", len(name)); !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %.200q", want, out.String())
		}
	}
}
