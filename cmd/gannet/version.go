package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is the version that the linker stamps in (-X main.release=v1.2.3).
// Without a stamp the module's version and revision are used.
var release string

// version prints one line: version, Go version, platform.
func (p *process) version() int {
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
