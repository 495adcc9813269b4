package main

import (
	"fmt"
	"io"
	"strings"
)

// writeClientHelp prints the flags of pub or sub.
func writeClientHelp(w io.Writer, which command) {
	var b strings.Builder
	switch which {
	case commandPub:
		b.WriteString("gannet pub publishes messages.\n\n" +
			"  gannet pub [-h HOST] [-p PORT] -t TOPIC {-m TEXT | -f FILE | -l | -s | -n} [flags]\n\n")
	case commandSub:
		b.WriteString("gannet sub prints the messages of its subscriptions.\n\n" +
			"  gannet sub [-h HOST] [-p PORT] -t FILTER [-t FILTER ...] [flags]\n\n")
	}
	for _, f := range clientFlagTable() {
		if f.command&which == 0 {
			continue
		}
		names := f.short
		switch {
		case names == "":
			names = "    " + f.long
		case f.long != "":
			names += ", " + f.long
		}
		if f.placeholder != "" {
			names += " " + f.placeholder
		}
		fmt.Fprintf(&b, "  %s\n", names)
		writeParagraph(&b, f.help)
	}
	b.WriteString(`
Exit status: 0 on success; the server's code when it refuses the connection; 7 when the
connection is lost; 8 when TLS does not come about; 27 when the time of -W is over; 1 for
other failures.
`)
	_, _ = io.WriteString(w, b.String())
}

// writeParagraph writes text in indented lines of at most 92 bytes.
func writeParagraph(b *strings.Builder, text string) {
	const indent, width = "        ", 92
	line := indent
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
}
