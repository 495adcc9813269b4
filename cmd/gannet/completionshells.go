package main

import (
	"fmt"
	"strings"
)

// paths are those of spots, but not of gannet alone.
func paths(all []spot) []string {
	var out []string
	for _, at := range all {
		if at.path != "" {
			out = append(out, at.path)
		}
	}
	return out
}

// quoted puts text in the single quotes of a POSIX shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// quotedAll is a list of such texts.
func quotedAll(texts []string, between string) string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = quoted(t)
	}
	return strings.Join(out, between)
}

// bashScript is for bash 3.2, which macOS has, and later. Without an answer bash completes files by itself, so that they need no line.
func bashScript(all []spot) string {
	var values, words strings.Builder
	for _, at := range all {
		var flags, below, others []string
		for _, f := range at.flags {
			flags = append(flags, f.names...)
			var patterns []string
			for _, name := range f.names {
				patterns = append(patterns, at.path+" "+name)
			}
			switch choices := f.choices(); {
			case f.argument == "":
			case len(choices) > 0:
				fmt.Fprintf(&values, "    %s) words=%s ;;\n", quotedAll(patterns, "|"), quoted(strings.Join(choices, " ")))
			case f.isFile():
				fmt.Fprintf(&values, "    %s) return ;;\n", quotedAll(patterns, "|"))
			default:
				others = append(others, patterns...)
			}
		}
		if len(others) > 0 {
			fmt.Fprintf(&values, "    %s) compopt +o default 2>/dev/null; return ;;\n", quotedAll(others, "|"))
		}
		for _, w := range at.words {
			below = append(below, w.text)
		}
		files := ""
		if at.files {
			files = "yes"
		}
		fmt.Fprintf(&words, "        %s) words=%s flags=%s files=%s ;;\n",
			quoted(at.path), quoted(strings.Join(below, " ")), quoted(strings.Join(flags, " ")), files)
	}
	return `# What bash completes of gannet, as "gannet completion bash" prints it.
_gannet() {
    local current=${COMP_WORDS[COMP_CWORD]} before=$((COMP_CWORD - 1)) place='' words='' flags='' files='' i
    if [[ $current == = ]]; then # --flag= and nothing yet
        current=''
    elif [[ ${COMP_WORDS[before]} == = ]]; then # bash takes --flag=value for three words
        before=$((before - 1))
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$place ${COMP_WORDS[i]}" in
        ` + quotedAll(paths(all), "|") + `) place+=" ${COMP_WORDS[i]}" ;;
        *) break ;;
        esac
    done
    COMPREPLY=()
    case "$place ${COMP_WORDS[before]}" in
` + values.String() + `    *)
        case "$place" in
` + words.String() + `        esac
        if [[ $current == -* || -z $words$files ]]; then
            words+=" $flags"
        fi
        ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o bashdefault -o default -F _gannet gannet
`
}

// zshScript is for the completion system of zsh, as a file of fpath or sourced.
func zshScript(all []spot) string {
	inBrackets := strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`)
	beforeColon := strings.NewReplacer(`\`, `\\`, `:`, `\:`)
	var b strings.Builder
	for _, at := range all {
		fmt.Fprintf(&b, "  (%s)\n", quoted(at.path))
		var specs []string
		for _, f := range at.flags {
			for _, name := range f.names {
				spec := "*" + name + "[" + inBrackets.Replace(short(f.about)) + "]"
				switch choices := f.choices(); {
				case f.argument == "":
				case len(choices) > 0:
					spec += ": :(" + strings.Join(choices, " ") + ")"
				case f.isFile():
					spec += ": :_files"
				default:
					spec += ":" + beforeColon.Replace(f.argument) + ": "
				}
				specs = append(specs, quoted(spec))
			}
		}
		if len(at.words) > 0 {
			b.WriteString("    below=(\n")
			for _, w := range at.words {
				fmt.Fprintf(&b, "      %s\n", quoted(beforeColon.Replace(w.text)+":"+w.about))
			}
			b.WriteString("    )\n")
			specs = append(specs, "'1: :{_describe command below}'")
		}
		if at.files {
			specs = append(specs, "'*: :_files'")
		}
		fmt.Fprintf(&b, "    _arguments \\\n      %s ;;\n", strings.Join(specs, " \\\n      "))
	}
	return `#compdef gannet
# What zsh completes of gannet, as "gannet completion zsh" prints it.
_gannet() {
  local place= i=2
  local -a below
  while (( i < CURRENT )); do
    case "$place $words[i]" in
    (` + quotedAll(paths(all), "|") + `) place+=" $words[i]" ;;
    (*) break ;;
    esac
    (( i++ ))
  done
  shift $(( i - 2 )) words
  (( CURRENT -= i - 2 ))
  case "$place" in
` + b.String() + `  esac
}
if [[ $funcstack[1] == _gannet ]]; then
  _gannet "$@"
else
  compdef _gannet gannet
fi
`
}

// fishScript is for fish 3 and later.
func fishScript(all []spot) string {
	quotedFish := func(text string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
	}
	var known []string
	for _, path := range paths(all) {
		known = append(known, path[1:])
	}
	var b strings.Builder
	for _, at := range all {
		line := "complete -c gannet -n " + quotedFish(strings.TrimSpace("__gannet_at"+at.path))
		for _, w := range at.words {
			fmt.Fprintf(&b, "%s -a %s -d %s\n", line, w.text, quotedFish(w.about))
		}
		if at.files {
			fmt.Fprintf(&b, "%s -F\n", line)
		}
		for _, f := range at.flags {
			b.WriteString(line)
			for _, name := range f.names {
				if long, isLong := strings.CutPrefix(name, "--"); isLong {
					b.WriteString(" -l " + long)
				} else {
					b.WriteString(" -s " + name[1:])
				}
			}
			switch choices := f.choices(); {
			case f.argument == "":
			case len(choices) > 0:
				b.WriteString(" -x -a " + quotedFish(strings.Join(choices, " ")))
			case f.isFile():
				b.WriteString(" -r -F")
			default:
				b.WriteString(" -x")
			}
			fmt.Fprintf(&b, " -d %s\n", quotedFish(short(f.about)))
		}
	}
	return `# What fish completes of gannet, as "gannet completion fish" prints it.
function __gannet_at
    set -l place
    for word in (commandline -opc)[2..-1]
        contains -- (string join ' ' -- $place $word) ` + quotedAll(known, " ") + `
        or break
        set place $place $word
    end
    test "$place" = "$argv"
end
complete -c gannet -f
` + b.String()
}
