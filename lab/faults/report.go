package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// A row is what came of one fault.
type row struct {
	Fault      string        `json:"fault"`
	Trials     int           `json:"trials"`
	Alive      int           `json:"alive"` // grants that were alive when the fault struck: without any, nothing was shown
	Orphans    int           `json:"orphans"`
	Duplicates int           `json:"duplicates"`
	Lost       int           `json:"lost"`
	Unknown    int           `json:"unknown"`
	Foreign    int           `json:"foreign"`
	Other      int           `json:"other"`
	Clean      time.Duration `json:"worst_clean_ns"` // from the restart until the last grant of the dead process was inactive
	Note       string        `json:"note,omitempty"`
	Wrong      []string      `json:"wrong,omitempty"` // each number that must be zero, explained

	mu sync.Mutex
}

// wrong counts something that must not happen and keeps what it was.
func (r *row) wrong(count *int, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*count++
	r.Wrong = append(r.Wrong, fmt.Sprintf(format, args...))
}

// add counts something that may happen.
func (r *row) add(count *int, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*count += n
}

// clean keeps the longest time.
func (r *row) clean(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Clean = max(r.Clean, d)
}

func (r *row) bad() int { return r.Orphans + r.Duplicates + r.Lost + r.Foreign + r.Other }

// A report is the table.
type report struct {
	Commit  string `json:"commit"`
	Seed    uint64 `json:"seed"`
	Go      string `json:"go"`
	Machine string `json:"machine"`
	Rows    []*row `json:"rows"`
}

func machine() string {
	return fmt.Sprintf("%s/%s, %d CPUs", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}

func (r *report) table(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "commit %s, seed %d, %s, %s\n\n", r.Commit, r.Seed, r.Go, r.Machine); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(cells ...any) {
		text := fmt.Sprintln(cells...)
		_, _ = io.WriteString(t, text) // Flush has the error
	}
	line("fault\ttrials\talive\torphans\tduplicates\tlost\tunknown\tforeign\tother\tworst to clean\t")
	for _, row := range r.Rows {
		clean := "-"
		if row.Clean > 0 {
			clean = row.Clean.Round(time.Millisecond).String()
		}
		line(fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s", row.Fault, row.Trials, row.Alive, row.Orphans,
			row.Duplicates, row.Lost, row.Unknown, row.Foreign, row.Other, clean, row.Note))
	}
	return t.Flush()
}

func (r *report) json(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// verdict is an error that names all that must not have happened.
func (r *report) verdict() error {
	var wrong []string
	for _, row := range r.Rows {
		if n := row.bad(); n != len(row.Wrong) {
			wrong = append(wrong, fmt.Sprintf("%s: %d were counted and %d explained", row.Fault, n, len(row.Wrong)))
		}
		for _, text := range row.Wrong {
			wrong = append(wrong, row.Fault+": "+text)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	const most = 40
	if more := len(wrong) - most; more > 0 {
		wrong = append(wrong[:most], fmt.Sprintf("and %d more", more))
	}
	return errors.New("what must not happen did:\n  " + strings.Join(wrong, "\n  "))
}
