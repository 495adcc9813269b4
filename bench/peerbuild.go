package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// buildLimit is for one program, with what has to be fetched for it.
const buildLimit = 20 * time.Minute

// build makes the program of a peer that is a Go module, unless dir has that version of
// it already, and returns its file.
func (p *peer) build(ctx context.Context, dir string, log io.Writer) (string, error) {
	dir, err := filepath.Abs(dir) // for GOBIN
	if err != nil {
		return "", fmt.Errorf("build %s: %w", p.Build, err)
	}
	_, version, _ := strings.Cut(p.Build, "@")
	file := filepath.Join(dir, filepath.Base(p.Program)+"-"+version)
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	fmt.Fprintf(log, "%s: building %s\n", p.Name, p.Build)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("build %s: %w", p.Build, err)
	}
	scratch, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", fmt.Errorf("build %s: %w", p.Build, err)
	}
	defer os.RemoveAll(scratch)
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	c := exec.CommandContext(ctx, "go", "install", p.Build)
	c.Dir, c.Env = scratch, append(os.Environ(), "GOBIN="+scratch)
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w: %s", p.Build, err, lastLine(out))
	}
	// The program has the name of its package, which may be no more than "docker".
	made, err := os.ReadDir(scratch)
	if err != nil || len(made) != 1 {
		return "", errors.Join(fmt.Errorf("go install %s made %d files instead of a program", p.Build, len(made)), err)
	}
	return file, os.Rename(filepath.Join(scratch, made[0].Name()), file)
}

// lastLine is where a tool says what stopped it.
func lastLine(out []byte) string {
	text := strings.TrimSpace(string(out))
	return text[strings.LastIndexByte(text, '\n')+1:]
}
