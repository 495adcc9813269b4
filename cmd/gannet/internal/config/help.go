package config

import (
	"fmt"
	"io"
	"strings"
)

const helpWidth = 88

// WriteHelp prints the table by groups: each setting with its unit, its default
// and the reaction when the bound bites.
func WriteHelp(w io.Writer) error {
	c := Default()
	var b strings.Builder
	writeTable(&b, settings(), "--", &c)
	b.WriteString("\nThe following belong to one listener each: in its URL, or in its block of the file.\n")
	writeTable(&b, listenerSettings(), "", &Listener{})
	b.WriteString("\n")
	writeWrapped(&b, "A listener may also have settings of its own from the groups "+groupListeners+" (but listen), "+groupTokens+" and "+
		groupService+"; those that it does not mention are those of the broker. none takes back a file, a list or a text.")
	b.WriteString("\nConfiguration itself\n")
	b.WriteString("  -c FILE, --config FILE\n")
	writeWrapped(&b, "Read settings from FILE, lines of key = value with the names above without the dashes in front; "+
		"# begins a comment. A repeatable key may stand on several lines. A line [listener URL] begins the settings of a listener, up to "+
		"the next such line or the end. A mosquitto.conf is recognised by its content and read as mosquitto does. Bounds that it does not mention have the defaults above.")
	b.WriteString("  --check-config, --test-config\n")
	writeWrapped(&b, "Judge the configuration, print all that is in force, and exit: status 0 when it is sound, 2 when it is not.")
	b.WriteString("  -p PORT, -v, -q\n")
	writeWrapped(&b, "As mosquitto has them: listen on 127.0.0.1:PORT unless listeners are configured; log everything; log nothing.")
	b.WriteString(`
A flag wins over the environment, the environment over the file, the file over the default.
Every setting has a variable: GANNET_LISTEN for --listen, GANNET_MAX_PACKET_SIZE for
--max-packet-size; an empty variable counts as unset.
SIZE: bytes, or a number with KiB, MiB or GiB. DURATION: a number with ms, s, m, h, d or w.
A switch without a value means true; turn it off with --switch=false.

Signals
  SIGTERM, SIGINT
      Let clients go and end; a second one ends at once.
  SIGHUP
      Read everything again: configuration, users, rules, keys, certificates, ban list. The
      log tells what is different, and what a mistake leaves as it was. Clients stay connected,
      but for those who could not come in any more. Those of a listener that is gone stay, too:
      under the rules of the broker, if it had none of its own; under its own as they are now,
      if another listener has the same; else under its own as they were last, which the log
      says. The ban list ends such connections.
  SIGUSR1
      Nothing: what Mosquitto would save is saved already.
  SIGUSR2
      Log how much the broker holds, what became of the connections of each listener, and
      what the guard and those who judge clients have counted.

Exit status: 0 ended by a signal, 1 it could not go on, 2 it could not start because of its
configuration or its store.
`)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeTable prints a table by groups. prefix is what stands before names.
func writeTable[T any](b *strings.Builder, table []setting[T], prefix string, defaults *T) {
	group := ""
	for _, s := range table {
		if s.group != group {
			group = s.group
			fmt.Fprintf(b, "\n%s\n", group)
		}
		writeSetting(b, &s, prefix, defaults)
	}
}

func writeSetting[T any](b *strings.Builder, s *setting[T], prefix string, defaults *T) {
	b.WriteString("  " + prefix + s.name)
	if s.value.placeholder == "" {
		b.WriteString("[=true|false]")
	} else {
		b.WriteString(" " + strings.TrimPrefix(s.value.placeholder, "|")) // an empty word is how one leaves it open
	}
	if s.value.repeatable {
		b.WriteString(" (repeatable)")
	}
	if shown := s.value.show(defaults); shown != "" {
		b.WriteString("  [" + shown + "]")
	}
	b.WriteString("\n")
	writeWrapped(b, s.help)
	if s.reaction != "" {
		writeWrapped(b, "When it bites: "+s.reaction)
	}
}

// writeWrapped writes text as an indented paragraph.
func writeWrapped(b *strings.Builder, text string) {
	const indent = "      "
	column := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case column == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+len(word) > helpWidth:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteString("\n")
}
