package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
)

// configSource is the process as the configuration sees it. Warnings go to the standard error stream.
func (p *process) configSource(args []string) config.Source {
	return config.Source{
		Args: args, Environ: p.environ, ReadFile: readConfigFile, ListFiles: listConfigFiles,
		Warn: func(line string) { fmt.Fprintf(p.stderr, "gannet: warning: %s\n", line) },
	}
}

// readConfigFile reads no more than shows that a file is too large.
func readConfigFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, config.MaxFileBytes+1))
}

// listConfigFiles names the files of a folder that include_dir may read. Whoever may write into the folder decides what is read with
// this process's rights, but no more than that: a name that ends in .conf and is a device, a pipe or a folder is an error, and so is a
// link out of the folder, unless root or this process's own user has made it.
func listConfigFiles(dir string) ([]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".conf") {
			continue
		}
		path := filepath.Join(dir, name)
		info, err := root.Stat(name) // does not leave the folder
		if err != nil {
			if info, err = followTrusted(path); err != nil {
				return nil, err
			}
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a file: give it another name than .conf, or remove it", path)
		}
		names = append(names, name)
	}
	return names, nil
}

// followTrusted looks at what a link out of the folder leads to.
func followTrusted(path string) (os.FileInfo, error) {
	link, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if stat, ok := link.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("%s is a link out of its folder, made by user %d: replace it by a file", path, stat.Uid)
	}
	return os.Stat(path)
}
