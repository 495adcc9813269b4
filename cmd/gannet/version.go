package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is the version that the linker stamps in (-X main.release=v1.2.3).
// Without a stamp the module's version and revision are used.
var release string

const versionHelp = `gannet version prints one line: the version of this build, that of Go, the system and the processor.
`

// version is the subcommand `gannet version`.
func (p *process) version(_ context.Context, args []string) int {
	switch {
	case len(args) == 1 && isHelp(args[0]):
		fmt.Fprint(p.stdout, versionHelp)
		return statusSuccess
	case len(args) > 0:
		fmt.Fprintln(p.stderr, "gannet: version takes no arguments")
		return statusConfiguration
	}
	fmt.Fprintf(p.stdout, "gannet %s, %s, %s/%s\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return statusSuccess
}

func versionText() string {
	if release != "" {
		return release
	}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return describeBuild(build)
}

// describeBuild is the module's version, and for a build from a working tree
// the revision it was made from.
func describeBuild(build *debug.BuildInfo) string {
	if v := build.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	var revision, modified string
	for _, s := range build.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "+changes"
		}
	}
	return "devel " + cmp.Or(revision, "without revision") + modified
}
