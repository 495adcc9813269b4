package config

// Flag is one flag of the command line, for those who complete it.
type Flag struct {
	Name        string // with its dashes
	Placeholder string // of its value; empty: it has none, or needs none
	Help        string
}

// Flags lists the flags of the server, those of one letter last.
func Flags() []Flag {
	var out []Flag
	for _, s := range settings() {
		out = append(out, Flag{"--" + s.name, s.value.placeholder, s.help})
	}
	return append(out,
		Flag{"--" + configFlag, "FILE", "Read settings from FILE."},
		Flag{"--" + checkFlag, "", "Judge the configuration, print it and exit."},
		Flag{"--" + testFlag, "", "Judge the configuration, print it and exit."},
		Flag{"--help", "", "Explain all flags."},
		Flag{"-c", "FILE", "Read settings from FILE."},
		Flag{"-p", "PORT", "Listen on 127.0.0.1:PORT."},
		Flag{"-v", "", "Log everything."},
		Flag{"-q", "", "Log nothing."},
		Flag{"-h", "", "Explain all flags."},
	)
}
