package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/gannetmq/gannet/engine/auth"
	"github.com/gannetmq/gannet/engine/auth/password"
)

// `gannet passwd` has the command line of mosquitto_passwd, its prompts and its exit statuses, so that habits and scripts carry over. It differs where
// mosquitto_passwd would do harm: it keeps comments, refuses an empty password or a user name that cannot log in, and hashes nothing twice.

const statusMismatch = 2 // as mosquitto_passwd when the passwords differ

// passwdJob is one run of the subcommand.
type passwdJob struct {
	*process
	help                           bool
	create, remove, upgrade, batch bool
	scram                          bool // a users file for SCRAM instead of a password file
	scheme                         password.Scheme
	iterations                     int // 0: the default
	file, user, password           string
	report                         string // what to say when the file is written
}

// said is an error in the words of mosquitto_passwd, which scripts may look for.
type said string

func (s said) Error() string { return string(s) }

const (
	errMismatch = said("Passwords do not match.") // has an exit status of its own
	errEmpty    = said("Empty password.")
)

// passwd is the subcommand `gannet passwd`.
func (p *process) passwd(ctx context.Context, args []string) int {
	job := &passwdJob{process: p}
	if err := job.parse(args); err != nil {
		fmt.Fprintf(p.stderr, "Error: %v\n\nUse 'gannet passwd --help' to see usage.\n", err)
		return statusFailure
	}
	if job.help {
		fmt.Fprint(p.stdout, passwdHelp)
		return statusSuccess
	}
	switch err := job.run(ctx); {
	case err == nil:
		return statusSuccess
	case ctx.Err() != nil:
		fmt.Fprintln(p.stderr, "Error: interrupted, nothing was changed")
		return statusInterrupted
	case errors.Is(err, errMismatch):
		fmt.Fprintf(p.stderr, "Error: %v\n", err)
		return statusMismatch
	default:
		fmt.Fprintf(p.stderr, "Error: %v\n", err)
		return statusFailure
	}
}

// parse reads flags up to the first argument that is none.
func (j *passwdJob) parse(args []string) error {
	hash := ""
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		arg := args[0]
		args = args[1:]
		switch arg {
		case "--":
			return j.finish(hash, args)
		case "--help":
			j.help = true
			return nil
		case "--scram":
			j.scram = true
			continue
		}
		for flags := arg[1:]; flags != ""; {
			flag := flags[0]
			flags = flags[1:]
			switch flag {
			case 'b':
				j.batch = true
			case 'c':
				j.create = true
			case 'D':
				j.remove = true
			case 'U':
				j.upgrade = true
			case 'h':
				j.help = true
				return nil
			case 'H', 'I':
				value := flags
				if flags = ""; value == "" {
					if len(args) == 0 {
						return said(fmt.Sprintf("-%c argument given but not enough other arguments.", flag))
					}
					value, args = args[0], args[1:]
				}
				if flag == 'H' {
					hash = value
				} else if err := j.setIterations(value); err != nil {
					return err
				}
			default:
				return fmt.Errorf("unknown option '%s'", arg)
			}
		}
	}
	return j.finish(hash, args)
}

func (j *passwdJob) setIterations(text string) (err error) {
	if j.iterations, err = strconv.Atoi(text); err != nil || j.iterations < 1 || j.iterations > password.IterationsMax {
		return fmt.Errorf("number of iterations: not from 1 to %d", password.IterationsMax)
	}
	return nil
}

// finish makes sense of all together.
func (j *passwdJob) finish(hash string, args []string) error {
	switch hash {
	case "sha512":
		j.scheme = password.SHA512
	case "", "sha512-pbkdf2":
		j.scheme = password.PBKDF2
	case "argon2id":
		j.scheme = password.Argon2id
	default:
		return said(fmt.Sprintf("Unknown hash type '%s': write sha512, sha512-pbkdf2 or argon2id", hash))
	}
	for _, pair := range []struct {
		a, b  bool
		flags string
	}{
		{j.create, j.remove, "-c and -D"}, {j.create, j.upgrade, "-c and -U"}, {j.remove, j.upgrade, "-D and -U"}, {j.remove, j.batch, "-b and -D"},
		{j.upgrade, j.batch, "-b and -U"}, {j.scram, j.upgrade, "--scram and -U"}, {j.scram, hash != "", "--scram and -H"},
	} {
		if pair.a && pair.b {
			return said(pair.flags + " cannot be used together.")
		}
	}
	want, form := []*string{&j.file, &j.user}, "FILE USER"
	switch {
	case j.upgrade:
		want, form = want[:1], "-U FILE"
	case j.batch:
		want, form = append(want, &j.password), "-b FILE USER PASSWORD"
	case j.remove:
		form = "-D FILE USER"
	}
	if len(args) != len(want) {
		return fmt.Errorf("%s: write gannet passwd %s", count(len(args), "argument"), form)
	}
	for i, field := range want {
		*field = args[i]
	}
	if j.file == "" || j.file == "-" && !j.create {
		return errors.New("name of the password file missing")
	}
	return nil
}

// run carries the job out.
func (j *passwdJob) run(ctx context.Context) error {
	if _, err := j.read(); err != nil { // before anybody types a password for it
		return err
	}
	var edit func(text []byte) ([]byte, error)
	var err error
	switch {
	case j.upgrade:
		edit = func(text []byte) ([]byte, error) { return j.upgraded(ctx, text) }
	case j.scram:
		edit, err = j.scramEdit(ctx)
	default:
		edit, err = j.passwordEdit(ctx)
	}
	if err != nil {
		return err
	}
	text, err := j.read()
	if err != nil {
		return err
	}
	after, err := edit(text)
	if err != nil || ctx.Err() != nil {
		return cmp.Or(err, ctx.Err())
	}
	switch {
	case j.file == "-":
		_, err = j.stdout.Write(after)
		return err
	case j.create || !bytes.Equal(text, after):
		err = replaceFile(j.file, after)
	}
	if err == nil {
		fmt.Fprint(j.stdout, j.report)
	}
	return err
}

// read returns the file as it is; -c begins with an empty one.
func (j *passwdJob) read() ([]byte, error) {
	if j.create {
		return nil, nil
	}
	file, err := os.Open(j.file)
	if err != nil {
		return nil, j.unreadable(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, password.FileBytesMax+1))
	if err != nil {
		return nil, j.unreadable(err)
	}
	if len(text) > password.FileBytesMax {
		return nil, fmt.Errorf("%s: larger than %d bytes", j.file, password.FileBytesMax)
	}
	return text, nil
}

func (j *passwdJob) unreadable(err error) error {
	var why *os.PathError
	if errors.As(err, &why) {
		err = why.Err
	}
	if errors.Is(err, os.ErrNotExist) {
		return said(fmt.Sprintf("Unable to open password file %s. %v: -c makes a new one", j.file, err))
	}
	return said(fmt.Sprintf("Unable to open password file %s. %v.", j.file, err))
}

// passwordEdit asks for what is missing, and returns the edit of a password file.
func (j *passwdJob) passwordEdit(ctx context.Context) (func([]byte) ([]byte, error), error) {
	if j.remove {
		return func(text []byte) ([]byte, error) {
			after, found := password.Remove(text, j.user)
			return after, j.removed(found)
		}, nil
	}
	if err := password.CheckUserName(j.user); err != nil {
		return nil, err
	}
	if err := j.askPassword(ctx); err != nil {
		return nil, err
	}
	h, err := password.NewHash(j.scheme, j.iterations, []byte(j.password))
	return func(text []byte) ([]byte, error) {
		after, found := password.Set(text, j.user, &h)
		j.tell(found)
		return after, nil
	}, err
}

// scramEdit asks for what is missing, and returns the edit of a users file.
func (j *passwdJob) scramEdit(ctx context.Context) (func([]byte) ([]byte, error), error) {
	// The name in the form in which the file has it.
	line, err := auth.UserLine(j.user, "any", auth.IterationsMin)
	if err != nil {
		return nil, err
	}
	names := []string{scramUser(line), j.user}
	if j.remove {
		return func(text []byte) ([]byte, error) {
			after, found := editScram(text, names, "")
			return after, j.removed(found)
		}, nil
	}
	if err := j.askPassword(ctx); err != nil {
		return nil, err
	}
	if line, err = auth.UserLine(j.user, j.password, cmp.Or(j.iterations, auth.IterationsDefault)); err != nil {
		return nil, err
	}
	return func(text []byte) ([]byte, error) {
		after, found := editScram(text, names, line)
		if _, err := auth.ReadUsers(j.file, bytes.NewReader(after)); err != nil {
			return nil, err
		}
		j.tell(found)
		return after, nil
	}, nil
}

// scramUser is the user of a line of a users file, empty if it is none.
func scramUser(line string) string {
	line = strings.Trim(line, " \t\r\n")
	if colon := strings.LastIndex(line, ":"+auth.ScramName+"$"); colon > 0 && line[0] != '#' {
		return line[:colon]
	}
	return ""
}

// editScram puts line in the place of those of a user, or at the end. Without a line they go.
func editScram(text []byte, names []string, line string) (after []byte, found bool) {
	if line != "" {
		line += "\n"
	}
	for raw := range bytes.Lines(text) {
		if user := scramUser(string(raw)); user == "" || user != names[0] && user != names[1] {
			after = append(after, raw...)
			continue
		}
		if !found {
			after = append(after, line...)
		}
		found = true
	}
	if !found {
		if n := len(after); n > 0 && after[n-1] != '\n' {
			after = append(after, '\n')
		}
		after = append(after, line...)
	}
	return after, found
}

// upgraded hashes what is in plain text.
func (j *passwdJob) upgraded(ctx context.Context, text []byte) ([]byte, error) {
	after, n, err := password.Upgrade(text, func(plain []byte) (password.Hash, error) {
		if ctx.Err() != nil {
			return password.Hash{}, ctx.Err()
		}
		return password.NewHash(j.scheme, j.iterations, plain)
	})
	if err != nil {
		return nil, fmt.Errorf("%s:%w", j.file, err)
	}
	j.report = count(n, "password") + " hashed\n"
	return after, nil
}

func (j *passwdJob) removed(found bool) error {
	if !found {
		return said(fmt.Sprintf("User %s not found in password file.", j.user))
	}
	return nil
}

// tell will say what mosquitto_passwd 2.1 says.
func (j *passwdJob) tell(found bool) {
	verb := "Adding"
	if found {
		verb = "Updating"
	}
	j.report = verb + " password for user " + j.user + "\n"
}

const passwdHelp = `gannet passwd keeps the users of a password file, for gannet and mosquitto.

  gannet passwd [-c] FILE USER               set the password of USER, asked for twice
  gannet passwd [-c] -b FILE USER PASSWORD   without asking; others may see it in the list of processes
  gannet passwd -D FILE USER                 take USER out
  gannet passwd -U FILE                      hash every password that is in plain text, and nothing else

  -c       make a new file; one that is there is overwritten. FILE - is the standard output.
  -H HASH  sha512-pbkdf2 (default), which mosquitto reads from 1.6 on; argon2id, from 2.1 on;
           sha512, fast to guess.
  -I N     iterations of sha512-pbkdf2 and SCRAM (default 15000, which is a hundred logins in a
           second of one core).
  --scram  FILE is a users file of SCRAM-SHA-256 (gannet serve --scram-users); not with -U and -H.

Where the standard input is no terminal, the password is read from it, once in each of two lines.
The file is replaced in one step; it keeps its owner and its mode, and a new one is readable by its
owner only. A running broker reads it again on SIGHUP.

Exit status: 0 done, 1 not done, 2 the two passwords differ.
`

// passwdFlags are those of parse, for shells.
func passwdFlags() []flagWord {
	return []flagWord{
		{[]string{"-b"}, "", "take the password from the command line"},
		{[]string{"-c"}, "", "make a new file"},
		{[]string{"-D"}, "", "take the user out"},
		{[]string{"-U"}, "", "hash passwords that are in plain text"},
		{[]string{"-H"}, "sha512|sha512-pbkdf2|argon2id", "how to hash"},
		{[]string{"-I"}, "N", "iterations"},
		{[]string{"--scram"}, "", "a users file of SCRAM-SHA-256"},
		helpFlag(),
	}
}
