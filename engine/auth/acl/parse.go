package acl

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gannetmq/gannet/engine/textfile"
)

// Bounds of a file. A larger one is an error.
const (
	FileBytesMax = 64 << 20
	LineBytesMax = TopicBytesMax + 64
)

// Load reads the access control list at path. Its errors begin with path.
func Load(path string) (*List, error) {
	return textfile.Load("access control list", path, func(file *os.File) (*List, error) { return Parse(path, file) })
}

// Parse reads an access control list in mosquitto's form. name is that of the file, with which errors begin; those about a line go on with
// its number. The list is not strict: see List.Strict.
//
//	# a comment, if # is the first character
//	user NAME                                       what follows is for this user; before the first: for clients without a name
//	topic [read|write|readwrite|deny] TOPIC         readwrite if it says nothing, which a topic with a space in it cannot
//	pattern [read|write|readwrite|deny] TOPIC       for everybody, wherever it stands; %c is the Client Identifier, %u the user name
func Parse(name string, r io.Reader) (*List, error) {
	form := textfile.Form{
		Whole: textfile.Bound{BytesMax: FileBytesMax, Beyond: fmt.Sprintf("larger than %d MiB", FileBytesMax>>20)},
		Line:  textfile.Bound{BytesMax: LineBytesMax, Beyond: fmt.Sprintf("longer than %d bytes", LineBytesMax)},
	}
	b, user := newBuilder(), ""
	err := form.Lines(name, r, func(_ int, line string) error { return parseLine(b, line, &user) })
	if err != nil {
		return nil, err
	}
	return b.list(), nil
}

// blanks is what mosquitto takes off both ends of a value.
const blanks = " \t\n\v\f\r"

// parseLine takes one line. user is whom topics are for.
func parseLine(b *builder, line string, user *string) error {
	if strings.HasPrefix(line, "#") {
		return nil
	}
	keyword, rest := cutWord(strings.TrimRight(line, blanks))
	switch keyword {
	case "":
		return nil
	case "user":
		name := strings.Trim(rest, blanks)
		if name == "" {
			return errors.New("user: no name after it; what is for clients without a user name stands before the first user line")
		}
		*user = name
		return nil
	case "topic", "pattern":
	default:
		return fmt.Errorf("%.40q: want user, topic or pattern, or a # at the very beginning of a comment", keyword)
	}
	if b.l.rules >= RulesMax {
		return fmt.Errorf("more than %d rules", RulesMax)
	}
	r := Rule{User: *user, Pattern: keyword == "pattern", Access: ReadWrite}
	first, topic := cutWord(rest)
	if topic = strings.Trim(topic, blanks); topic == "" {
		topic = first
	} else {
		access, ok := accessNames[first]
		if !ok {
			return fmt.Errorf("%.40q: want read, write, readwrite or deny, also before a topic with a space in it", first)
		}
		r.Access = access
	}
	if topic == "" {
		return fmt.Errorf("%s: no topic after it", keyword)
	}
	r.Topic = topic
	return b.add(&r)
}

// cutWord cuts the first word off s, and the spaces before it. Only a space ends it.
func cutWord(s string) (word, rest string) {
	word, rest, _ = strings.Cut(strings.TrimLeft(s, " "), " ")
	return word, rest
}
