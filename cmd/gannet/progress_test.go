package main

import (
	"bytes"
	"testing"
	"time"
)

func TestProgressIsALineOnATerminalAndFewLinesElsewhere(t *testing.T) {
	for _, test := range []struct {
		terminal bool
		want     string
	}{
		{true, "\rgannet: tables: 1000 of 3000 (33 %)" + "\rgannet: tables: 1200 of 3000 (40 %)" + "\rgannet: log: 7                     " +
			"\r              \r"},
		{false, "gannet: tables: 1000 of 3000 (33 %)\ngannet: log: 6000\ngannet: ending\n"},
	} {
		var out bytes.Buffer
		now := time.Unix(0, 0)
		p := newProgress(&out)
		p.now, p.terminal, p.next = func() time.Time { return now }, test.terminal, now.Add(progressAfter)
		at := func(ms int64, what string, done, total int64) {
			now = time.UnixMilli(ms)
			p.show(what, done, total)
		}
		for ms := int64(0); ms < 1300; ms += 100 {
			at(ms, "tables", ms, 3000)
		}
		at(1400, "log", 7, 0)
		if !test.terminal {
			at(6000, "log", 6000, 0)
			at(11000, "ending", 0, 0)
		}
		p.end()
		if out.String() != test.want {
			t.Errorf("terminal %t: %q", test.terminal, out.String())
		}
	}
}
