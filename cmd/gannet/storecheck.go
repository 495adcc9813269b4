package main

import (
	"context"
	"fmt"
	"io"

	"github.com/gannetmq/gannet/persist"
)

// storeVerify is `gannet store verify`.
func storeVerify(_ context.Context, j *storeJob) (int, error) {
	report, err := persist.Verify(j.dir, j.progress.show)
	if err != nil {
		return 0, err
	}
	j.progress.end()
	writeProblems(j.stdout, report.Problems)
	if n := len(report.Problems); n > 0 {
		fmt.Fprintf(j.stdout, "store %s: damaged: %s in %s: mend it with gannet store repair %s\n",
			j.dir, count(n, "problem"), count(int(report.Checked), "key"), j.dir)
		return statusDamaged, nil
	}
	fmt.Fprintf(j.stdout, "store %s: sound: %s\n", j.dir, count(int(report.Checked), "key"))
	return statusSuccess, nil
}

// storeRepair is `gannet store repair`.
func storeRepair(_ context.Context, j *storeJob) (int, error) {
	report, err := persist.Repair(j.dir, j.progress.show)
	if err != nil {
		return 0, err
	}
	j.progress.end()
	if len(report.Problems) == 0 {
		fmt.Fprintf(j.stdout, "store %s: sound, and left as it is: %s\n", j.dir, count(int(report.Kept), "key"))
		return statusSuccess, nil
	}
	writeProblems(j.stdout, report.Problems)
	fmt.Fprintf(j.stdout, "store %s: repaired: %s, %s kept\n", j.dir, count(len(report.Problems), "problem"), count(int(report.Kept), "key"))
	fmt.Fprintf(j.stdout, "store %s: the damaged original is %s: remove it when nothing is missing\n", j.dir, report.Original)
	return statusSuccess, nil
}

// writeProblems prints a line for each.
func writeProblems(w io.Writer, problems []persist.Problem) {
	for _, p := range problems {
		line := p.What
		if p.File != "" {
			line = p.File + ": " + line
		}
		if p.Lost != "" {
			line += ": lost: " + p.Lost
		}
		fmt.Fprintln(w, line)
	}
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
