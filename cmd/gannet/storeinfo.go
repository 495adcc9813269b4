package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/gannetmq/gannet/cmd/gannet/internal/control"
	"github.com/gannetmq/gannet/persist"
)

// storeInfo is `gannet store info`. Of a store in use it shows what the broker says of itself.
func storeInfo(ctx context.Context, j *storeJob) (int, error) {
	info, err := persist.ReadInfo(j.dir, j.progress.show)
	switch {
	case err == nil:
		return statusSuccess, j.show(storedInfo(info), func(w io.Writer) { writeStored(w, &info) })
	case !errors.Is(err, persist.ErrInUse):
		return 0, err
	}
	broker, noBroker := control.ReadInfo(ctx, j.dir)
	if noBroker != nil {
		return 0, fmt.Errorf("%w: %w", err, noBroker)
	}
	return statusSuccess, j.show(broker, func(w io.Writer) { writeRunning(w, &broker) })
}

// storedInfo is persist.Info with the names that --json prints.
type storedInfo struct {
	Format        uint64 `json:"format"`
	Dir           string `json:"store"`
	DiskBytes     int64  `json:"diskBytes"`
	Tables        int    `json:"tables"`
	Sessions      int    `json:"sessions"`
	Subscriptions int    `json:"subscriptions"`
	Queued        int    `json:"queued"`
	Received      int    `json:"received"`
	Wills         int    `json:"wills"`
	Retained      int    `json:"retained"`
	Groups        int    `json:"groups"`
	QueuedBytes   int64  `json:"queuedBytes"`
	RetainedBytes int64  `json:"retainedBytes"`
}

// show prints value as JSON, or has table print it for people.
func (j *storeJob) show(value any, table func(io.Writer)) error {
	if j.json {
		e := json.NewEncoder(j.stdout)
		e.SetIndent("", "  ")
		return e.Encode(value)
	}
	w := tabwriter.NewWriter(j.stdout, 0, 0, 2, ' ', 0)
	table(w)
	return w.Flush()
}

func writeStored(w io.Writer, i *persist.Info) {
	fmt.Fprintf(w, "store\t%s\n", i.Dir)
	fmt.Fprintf(w, "format\t%d\n", i.Format)
	fmt.Fprintf(w, "on the disk\t%s, %d tables\n", formatBytes(i.DiskBytes), i.Tables)
	fmt.Fprintf(w, "sessions\t%d\n", i.Sessions)
	fmt.Fprintf(w, "subscriptions\t%d\n", i.Subscriptions)
	fmt.Fprintf(w, "queued messages\t%d, %s\n", i.Queued, formatBytes(i.QueuedBytes))
	fmt.Fprintf(w, "retained messages\t%d, %s\n", i.Retained, formatBytes(i.RetainedBytes))
	fmt.Fprintf(w, "shared groups\t%d\n", i.Groups)
	fmt.Fprintf(w, "wills\t%d\n", i.Wills)
	fmt.Fprintf(w, "QoS 2 in progress\t%d\n", i.Received)
}

func writeRunning(w io.Writer, i *control.Info) {
	fmt.Fprintf(w, "store\t%s\n", i.Store)
	fmt.Fprintf(w, "in use by\tgannet %s, process %d, since %s\n", i.Version, i.PID, i.Since.Format(time.RFC3339))
	fmt.Fprintf(w, "durability\t%s\n", i.Durability)
	fmt.Fprintf(w, "connections\t%d\n", i.Connections)
	fmt.Fprintf(w, "sessions\t%d\n", i.Sessions)
	fmt.Fprintf(w, "retained messages\t%d\n", i.Retained)
	fmt.Fprintf(w, "waiting for the disk\t%s\n", formatBytes(i.PendingBytes))
	if i.Fault != "" {
		fmt.Fprintf(w, "fault\t%s\n", i.Fault)
	}
}

// formatBytes writes n for people.
func formatBytes(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/(1<<10), 0
	for value >= 1<<10 {
		value /= 1 << 10
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[unit])
}
