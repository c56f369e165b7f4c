package bench

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/internal/pgtest"
)

var (
	table     = flag.Bool("table", false, "measure, and print the table")
	asJSON    = flag.String("json", "", "write the table as JSON to `FILE`, too")
	only      = flag.String("only", "", "measure only what `REGEXP` matches")
	budget    = flag.Duration("time", 5*time.Second, "for each measure, opening and closing not counted")
	suspended = flag.Int("suspended", 10_000, "how many runs wait in a cluster")
	flows     = flag.Int("flows", 20_000, "how many a long-lived server sees")
	profiles  = flag.String("profile", "", "leave processor profiles of each measure and its floor in `DIR`")
)

func TestMain(m *testing.M) {
	if job := os.Getenv(appendsEnv); job != "" {
		if err := appendEntries(job); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(pgtest.Main(m))
}

func TestTable(t *testing.T) {
	if !*table {
		t.Skip(`"make bench" measures`)
	}
	wanted, err := regexp.Compile(*only)
	if err != nil || flag.NArg() > 0 || *budget <= 0 {
		t.Fatalf("-only takes a regular expression, -time more than nothing, and there are no other arguments: %v", err)
	}
	all := report{Machine: thisMachine()}
	measures := []measure{
		coveredCall(),
		proofMade(),
		firstEscalation(),
		nextDocument(),
		parallelCalls(),
		runnerTurn(0),
		runnerTurn(100),
		runnerTurn(1000),
		longSession(),
		toolCall(),
		openAIAnswer(false),
		openAIAnswer(true),
		tokenIssued(),
		tokenVerified(),
		wholeSession(1),
		wholeSession(100),
		programStart(),
		journalEntry(),
		coveredCallRecorded(),
		coveredCallTraced(),
		effectRecorded(),
		tasksRecovered(),
		explainInLarge(),
		suspendedSessions(),
		decisions(),
		processesAppend(),
		longLived(max(*flows, 2*warm)),
		programSize(),
	}
	for _, onPostgres := range []bool{false, true} {
		measures = append(append(measures, atRest(onPostgres)...), decisionToStep(onPostgres, true), decisionToStep(onPostgres, false), suspendAndResume(onPostgres))
	}
	for _, m := range measures {
		if wanted.MatchString(m.name) && (!m.asked || *only != "") {
			fmt.Fprintln(os.Stderr, m.name)
			t.Run(m.name, func(t *testing.T) { all.Rows = append(all.Rows, m.take(t)) }) // the others are still worth having
		}
	}
	all.write(os.Stdout)
	t.Run("rooms", func(t *testing.T) { writeRooms(t, os.Stdout, wanted) })
	if *asJSON != "" {
		text, err := json.MarshalIndent(all, "", "  ")
		if err == nil {
			err = os.WriteFile(*asJSON, append(text, '\n'), 0o600)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// report is the whole outcome.
type report struct {
	Machine machine `json:"machine"`
	Rows    []row   `json:"rows"`
}

// machine says where the numbers come from. It names no host.
type machine struct {
	Date  string `json:"date"`
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"`
	Go    string `json:"go"`
	OS    string `json:"os"`
}

func thisMachine() machine {
	cpu := "not known"
	text, _ := os.ReadFile("/proc/cpuinfo") // where there is one
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			cpu = strings.TrimSpace(value)
		}
	}
	return machine{time.Now().UTC().Format(time.DateOnly), cpu, runtime.NumCPU(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
}

// write writes Markdown, so that docs/performance.md can hold it as it is.
func (r report) write(w io.Writer) {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "%s, %s, %d cores, %s, %s\n\n", m.Date, m.CPU, m.Cores, m.Go, m.OS)
	b.WriteString("| measure | floor | time | floor | ratio (quartiles) | CPU | allocs | floor | goal | |\n")
	b.WriteString("| --- | --- | ---: | ---: | --- | ---: | ---: | ---: | --- | --- |\n")
	for _, row := range r.Rows {
		verdict, cpu := "met", "–"
		switch {
		case row.Goal == "none":
			verdict = ""
		case !row.Met:
			verdict = "**missed**"
		}
		if row.CPURatio > 0 {
			cpu = fmt.Sprintf("%.2f", row.CPURatio)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %.2f (%.2f–%.2f) | %s | %.0f | %.0f | %s | %s |\n",
			row.Measure, row.Floor, row.amount(row.Nanos), row.amount(row.FloorNanos),
			row.Ratio, row.RatioLow, row.RatioHigh, cpu, row.Allocs, row.FloorAllocs, row.Goal, verdict)
	}
	b.WriteString("\n")
	for _, row := range r.Rows {
		for _, note := range row.Notes {
			fmt.Fprintf(&b, "- %s: %s\n", row.Measure, note)
		}
	}
	_, _ = io.WriteString(w, b.String()) // nobody to tell
}

func (r row) amount(v float64) string {
	if r.Unit != "" {
		return fmt.Sprintf("%.1f %s", v, r.Unit)
	}
	return duration(v)
}

// duration writes nanoseconds with three digits.
func duration(nanos float64) string {
	switch {
	case nanos < 1e3:
		return fmt.Sprintf("%.0f ns", nanos)
	case nanos < 1e6:
		return fmt.Sprintf("%.3g µs", nanos/1e3)
	}
	return fmt.Sprintf("%.3g ms", nanos/1e6)
}
