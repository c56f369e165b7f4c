package faults

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"
)

var (
	play    = flag.Bool("play", false, "play the faults, and print the table")
	trials  = flag.Int("trials", 200, "how many processes to kill; the other faults are scaled with it")
	seed    = flag.Uint64("seed", 0, "of all that is random (default: the time)")
	only    = flag.String("only", "", "only the faults whose name `REGEXP` matches")
	asJSON  = flag.String("json", "", "write the table as JSON to `FILE`, too")
	verbose = flag.Bool("v", false, "say each trial")
)

func TestFaults(t *testing.T) {
	if !*play {
		t.Skip(`"make faults" plays them`)
	}
	wanted, err := regexp.Compile(*only)
	if err != nil || flag.NArg() > 0 || *trials < 1 {
		t.Fatalf("-only takes a regular expression, -trials at least 1, and there are no other arguments: %v", err)
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	l := newLab(t)
	for _, f := range []struct {
		name string
		play func(*testing.T, *lab)
	}{
		{"kills", inWorld(kills)},
		{"suspensions", suspensions},
		{"servers", inWorld(serverKills)},
		{"together", inWorld(together)},
		{"network", network},
		{"full", inWorld(fullDisk)},
		{"damage", inWorld(damage)},
		{"deleted", inWorld(deleted)},
		{"ends", taskEnds},
	} {
		if wanted.MatchString(f.name) && l.ctx.Err() == nil {
			start := time.Now()
			t.Run(f.name, func(t *testing.T) { f.play(t, l) }) // the others are still worth having
			l.say("%s: %s", f.name, time.Since(start).Round(time.Second/10))
		}
	}
	check(t, l.ctx.Err())
	l.report.write(os.Stdout)
	if *asJSON != "" {
		check(t, os.WriteFile(*asJSON, append(must(json.MarshalIndent(l.report, "", "  "))(t), '\n'), 0o600))
	}
}

// A lab is what all faults share.
type lab struct {
	ctx    context.Context // ends with the tests, and when somebody interrupts them
	bin    string          // the analyst, with failpoints
	dir    string
	report report
}

func newLab(t *testing.T) *lab {
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	t.Cleanup(stop)
	l := &lab{ctx: ctx, dir: t.ArtifactDir()}
	l.bin = filepath.Join(l.dir, "analyst")
	source := must(l.output(".", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/jitagent/jitagent"))(t)
	must(l.output(source, "go", "build", "-tags", "failpoints", "-o", l.bin, "./cmd/analyst"))(t)
	l.report = report{Commit: "unknown", Seed: *seed, Go: runtime.Version(), Machine: fmt.Sprintf("%s/%s, %d CPUs", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())}
	if commit, err := l.output(source, "git", "rev-parse", "--short=12", "HEAD"); err == nil {
		l.report.Commit = commit
		if changes, err := l.output(source, "git", "status", "--porcelain"); err == nil && changes != "" {
			l.report.Commit += " with changes"
		}
	}
	return l
}

// output runs a command to its end.
func (l *lab) output(dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(l.ctx, name, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// say tells a person how far it is.
func (*lab) say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "faults: "+format+"\n", args...) // nobody to tell
}

func (l *lab) detail(format string, args ...any) {
	if *verbose {
		l.say(format, args...)
	}
}

// random returns a source of its own for each use, all from one seed.
func (*lab) random(use int) *rand.Rand { return rand.New(rand.NewPCG(*seed, uint64(use))) }

// each plays trials 0 to n-1, as many at a time as -test.parallel says.
func (l *lab) each(t *testing.T, n int, play func(t *testing.T, i int)) {
	t.Run("each", func(t *testing.T) {
		for i := range n {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				check(t, l.ctx.Err())
				play(t, i)
			})
		}
	})
}

// within waits until a condition holds, and reports whether it did in time.
func (l *lab) within(limit time.Duration, holds func() bool) bool {
	ctx, cancel := context.WithTimeout(l.ctx, limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

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

	mu sync.Mutex
}

// row adds a row to the table.
func (l *lab) row(fault string) *row {
	r := &row{Fault: fault}
	l.report.Rows = append(l.report.Rows, r)
	return r
}

// wrong counts something that must not happen, and says what it was.
func (r *row) wrong(t *testing.T, count *int, format string, args ...any) {
	t.Helper()
	r.add(count, 1)
	t.Errorf(format, args...)
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

// A report is the table.
type report struct {
	Commit  string `json:"commit"`
	Seed    uint64 `json:"seed"`
	Go      string `json:"go"`
	Machine string `json:"machine"`
	Rows    []*row `json:"rows"`
}

func (r *report) write(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) } // nobody to tell
	line("commit %s, seed %d, %s, %s\n", r.Commit, r.Seed, r.Go, r.Machine)
	line("fault\ttrials\talive\torphans\tduplicates\tlost\tunknown\tforeign\tother\tworst to clean\t")
	for _, row := range r.Rows {
		clean := "-"
		if row.Clean > 0 {
			clean = row.Clean.Round(time.Millisecond).String()
		}
		line("%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s", row.Fault, row.Trials, row.Alive, row.Orphans,
			row.Duplicates, row.Lost, row.Unknown, row.Foreign, row.Other, clean, row.Note)
	}
	_ = t.Flush()
}

// must ends the trial where there is an error: must(os.Open(name))(t).
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		check(t, err)
		return v
	}
}

// check ends the trial where there is an error.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
