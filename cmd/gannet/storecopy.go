package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/gannetmq/gannet/cmd/gannet/internal/control"
	"github.com/gannetmq/gannet/persist"
)

// storeExport is `gannet store export`.
func storeExport(_ context.Context, j *storeJob) (int, error) {
	if j.output == "" {
		return statusSuccess, j.export(j.stdout)
	}
	file, err := os.OpenFile(j.output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	if err := cmp.Or(j.export(file), file.Sync(), file.Close()); err != nil {
		_ = os.Remove(j.output) // half of it is of no use
		return 0, err
	}
	return statusSuccess, nil
}

func (j *storeJob) export(w io.Writer) error {
	b := bufio.NewWriterSize(w, 64<<10)
	return cmp.Or(persist.Export(j.dir, b, j.progress.show), b.Flush())
}

// storeBackup is `gannet store backup`. Of a store in use the broker makes the copy.
func storeBackup(ctx context.Context, j *storeJob) (int, error) {
	to, err := filepath.Abs(j.to)
	if err != nil {
		return 0, err
	}
	if within(j.dir, to) {
		return 0, fmt.Errorf("backup to %s: inside the store: name a folder outside of %s", j.to, j.dir)
	}
	err = persist.Backup(j.dir, to, j.progress.show)
	by := ""
	if errors.Is(err, persist.ErrInUse) {
		inUse := err
		err, by = control.Backup(ctx, j.dir, to, j.progress.show), ", by the running broker"
		if errors.Is(err, control.ErrNoBroker) {
			err = fmt.Errorf("%w: %w", inUse, err)
		}
	}
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(j.stdout, "store %s: copied to %s%s\n", j.dir, j.to, by)
	return statusSuccess, nil
}

// within reports whether path is dir or below it.
func within(dir, path string) bool {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	inner, err := filepath.Rel(dir, path)
	return err == nil && inner != ".." && !strings.HasPrefix(inner, "../")
}
