package main

import (
	"fmt"
	"io"
	"strings"
)

const pubHelp = `gannet pub publishes messages.

  gannet pub -t TOPIC {-m TEXT | -f FILE | -l | -s | -n} [-h HOST] [-p PORT] [flags]
  gannet pub -L URL {-m TEXT | -f FILE | -l | -s | -n} [flags]

  gannet pub -t greetings -m "Hello world MQTT"
  gannet pub -h mqtt.example.com --cafile ca.crt -u rajan -P password123 -t greetings -m hello -q 1
`

const subHelp = `gannet sub prints the messages of its subscriptions.

  gannet sub -t FILTER [-t FILTER ...] [-h HOST] [-p PORT] [flags]
  gannet sub -L URL [flags]

  gannet sub -t 'sensors/+/temperature' -v
  gannet sub -L wss://rajan:password123@mqtt.example.com:443/greetings -C 1
`

// writeClientHelp prints the flags of pub or sub.
func writeClientHelp(w io.Writer, which command) {
	var b strings.Builder
	switch which {
	case commandPub:
		b.WriteString(pubHelp)
	case commandSub:
		b.WriteString(subHelp)
	}
	b.WriteString("\nFlags are named as those of mosquitto_" + which.String() + " are.\n\n")
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
	b.WriteString("      --help\n")
	writeParagraph(&b, "Print this.")
	status := "the server's Reason Code when it refuses the connection, or ends it with one; 7 when the connection is lost; 8 when TLS does not " +
		"come about; 130 when interrupted; 1 for other failures."
	if which == commandSub {
		status = "27 when the time of -W is over; " + status
	}
	b.WriteString("\nExit status\n")
	writeParagraph(&b, "0 on success; "+status)
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
