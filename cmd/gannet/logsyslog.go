//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"slices"
)

// syslogger writes lines to the system's log. Each line begins with its level, as newSyslogHandler makes them, which becomes the
// severity.
type syslogger struct{ w *syslog.Writer }

// openSyslog connects to the system's log, with a facility of config.
func openSyslog(facility string) (*syslogger, error) { return dialSyslog("", "", facility) }

// dialSyslog is openSyslog for a system's log at an address; empty: where it usually is.
func dialSyslog(network, address, facility string) (*syslogger, error) {
	names := []string{"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}
	priority := syslog.LOG_DAEMON
	if i := slices.Index(names, facility); i >= 0 {
		priority = syslog.LOG_LOCAL0 + syslog.Priority(i)<<3
	}
	w, err := syslog.Dial(network, address, priority|syslog.LOG_INFO, "gannet")
	if err != nil {
		return nil, fmt.Errorf("syslog: %w: start the system's log, or name another log-dest", err)
	}
	return &syslogger{w}, nil
}

// newSyslogHandler makes text lines without the time, which the system's log adds itself.
func newSyslogHandler(w io.Writer, level slog.Leveler) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return shorten(groups, a)
	}})
}

func (s *syslogger) Write(line []byte) (int, error) {
	send, text := s.w.Info, bytes.TrimSpace(line)
	for _, severity := range []struct {
		mark string
		send func(string) error
	}{{"level=ERROR ", s.w.Err}, {"level=WARN ", s.w.Warning}, {"level=INFO ", s.w.Info}, {"level=DEBUG ", s.w.Debug}} {
		if rest, found := bytes.CutPrefix(text, []byte(severity.mark)); found {
			send, text = severity.send, rest
			break
		}
	}
	if err := send(string(text)); err != nil {
		return 0, err
	}
	return len(line), nil
}

func (s *syslogger) Close() error { return s.w.Close() }
