package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// report is the whole outcome.
type report struct {
	Machine machine `json:"machine"`
	Rows    []Row   `json:"rows"`
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
	return machine{
		Date: time.Now().UTC().Format(time.DateOnly), CPU: cpuName(), Cores: runtime.NumCPU(),
		Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// cpuName returns the processor's own name where the system tells it.
func cpuName() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "not known"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "not known"
}

func (r report) json(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// table prints Markdown, so that docs/performance.md can hold it as it is.
func (r report) table(w io.Writer) error {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "%s, %s, %d cores, %s, %s\n\n", m.Date, m.CPU, m.Cores, m.Go, m.OS)
	b.WriteString("| measure | floor | time | floor | ratio (quartiles) | CPU | allocs | floor | goal | |\n")
	b.WriteString("| --- | --- | ---: | ---: | --- | ---: | ---: | ---: | --- | --- |\n")
	for _, row := range r.Rows {
		verdict := "met"
		switch {
		case row.Goal == "none":
			verdict = ""
		case !row.Met:
			verdict = "**missed**"
		}
		cpu := "–"
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
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Row) amount(v float64) string {
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
