package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

// A measure is something that this project does, and the floor below it.
type measure struct {
	name  string
	floor string // what the floor is
	goal  goal
	open  func(ctx context.Context) (*pair, error)
	once  func(ctx context.Context) (figure, error) // in place of open
	unit  string                                    // of once; "" for nanoseconds
}

// A goal bounds what a measure may cost. Zero fields bound nothing.
type goal struct {
	ratio  float64       // of the times
	extra  time.Duration // over the floor's time
	allocs float64       // over the floor's allocations
}

// A pair is an opened measure.
type pair struct {
	ours, floor side
	// each is how many of the measure's operations one run of a side is: calls at
	// once, or turns of a session. 0 means 1.
	each int
	// most bounds the runs of one batch. 0 bounds by time alone.
	most int
	// elsewhere says that the work is done in other processes.
	elsewhere bool
	// notes are what is to be said besides the ratio, asked for at the end.
	notes func(*Row) ([]string, error)
	close func() error
}

// A side is one of the two things that are compared.
type side struct {
	// prepare makes what n runs need, off the clock. nil prepares nothing.
	prepare func(n int) error
	run     func() error
}

// A Row is one line of the table. Times are for one operation.
type Row struct {
	Measure     string   `json:"measure"`
	Floor       string   `json:"floor"`
	Unit        string   `json:"unit,omitempty"` // of what is no time, in place of nanoseconds
	Nanos       float64  `json:"ns"`             // lower decile of the batches
	FloorNanos  float64  `json:"floor_ns"`
	Ratio       float64  `json:"ratio"`                // of the lower deciles
	RatioLow    float64  `json:"ratio_lower_quartile"` // over the pairs of batches
	RatioHigh   float64  `json:"ratio_upper_quartile"`
	CPURatio    float64  `json:"cpu_ratio"` // of the processor time of this process; 0 where it is not known
	Pairs       int      `json:"pairs"`
	Allocs      float64  `json:"allocs"` // servers in this process included, on both sides
	FloorAllocs float64  `json:"floor_allocs"`
	Goal        string   `json:"goal"`
	Met         bool     `json:"met"`
	Notes       []string `json:"notes,omitempty"`
}

const (
	batchTime = 5 * time.Millisecond // of one batch, about
	minPairs  = 9
	maxPairs  = 1001

	// undisturbed is the quantile of the batches that counts. What else the machine
	// does makes batches slower, never faster.
	undisturbed = .1
)

// take opens, measures and closes m, and profiles it afterwards if there is a directory
// for that.
func (m measure) take(ctx context.Context, budget time.Duration, profiles string) (row Row, err error) {
	if m.once != nil {
		f, err := m.once(ctx)
		r := f.ours / f.floor
		row := Row{Measure: m.name, Floor: m.floor, Unit: m.unit, Nanos: f.ours, FloorNanos: f.floor, Ratio: r, RatioLow: r, RatioHigh: r, Pairs: 1, Goal: m.goal.String()}
		row.Met = m.goal.met(row)
		return row, err
	}
	p, err := m.open(ctx)
	if err != nil {
		return Row{}, err
	}
	defer func() {
		if p.close != nil {
			err = errors.Join(err, p.close())
		}
	}()
	n, err := p.calibrate()
	if err != nil {
		return Row{}, err
	}
	var ours, floor, ratios []float64
	var cpu [2]time.Duration
	for start := time.Now(); len(ratios) < maxPairs && (len(ratios) < minPairs || time.Since(start) < budget); {
		if err := ctx.Err(); err != nil {
			return Row{}, err
		}
		a, b, err := p.both(n, len(ratios)%2 == 0)
		if err != nil {
			return Row{}, err
		}
		ours, floor, ratios = append(ours, a.nanos), append(floor, b.nanos), append(ratios, a.nanos/b.nanos)
		cpu[0], cpu[1] = cpu[0]+a.cpu, cpu[1]+b.cpu
	}
	each := float64(max(p.each, 1))
	row = Row{
		Measure: m.name, Floor: m.floor, Goal: m.goal.String(), Pairs: len(ratios),
		Nanos: quantile(ours, undisturbed) / each, FloorNanos: quantile(floor, undisturbed) / each,
		RatioLow: quantile(ratios, .25), RatioHigh: quantile(ratios, .75),
	}
	row.Ratio = row.Nanos / row.FloorNanos
	if cpu[1] > 0 && !p.elsewhere {
		row.CPURatio = float64(cpu[0]) / float64(cpu[1])
	}
	if row.Allocs, err = p.ours.allocs(n); err != nil {
		return Row{}, err
	}
	if row.FloorAllocs, err = p.floor.allocs(n); err != nil {
		return Row{}, err
	}
	row.Allocs, row.FloorAllocs = row.Allocs/each, row.FloorAllocs/each
	row.Met = m.goal.met(row)
	if p.notes != nil {
		row.Notes, err = p.notes(&row)
	}
	if profiles != "" && err == nil {
		name := filepath.Join(profiles, strings.ReplaceAll(m.name, " ", "-"))
		err = errors.Join(os.MkdirAll(profiles, 0o700), p.ours.profile(name+".ours.pprof", n, budget), p.floor.profile(name+".floor.pprof", n, budget))
	}
	return row, err
}

// profile runs a side alone, and leaves in a file where the processor's time went.
func (s side) profile(name string, n int, budget time.Duration) error {
	file, err := os.Create(name) //nolint:gosec // the caller's directory
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return errors.Join(err, file.Close())
	}
	for start := time.Now(); err == nil && time.Since(start) < budget; {
		_, err = s.time(n)
	}
	pprof.StopCPUProfile()
	return errors.Join(err, file.Close())
}

// calibrate warms both sides up and returns how many runs make a batch.
func (p *pair) calibrate() (int, error) {
	for n := 1; ; n *= 2 {
		ours, floor, err := p.both(n, true)
		if err != nil {
			return 0, err
		}
		if p.most > 0 && n >= p.most {
			return p.most, nil
		}
		if took := time.Duration(min(ours.nanos, floor.nanos) * float64(n)); took >= batchTime/2 {
			return n, nil
		}
	}
}

// A cost is that of one run, but for cpu, which is that of the batch.
type cost struct {
	nanos float64
	cpu   time.Duration
}

// both times a batch of each side. Which side goes first changes, since the first
// may pay for what the other left behind.
func (p *pair) both(n int, first bool) (ours, floor cost, err error) {
	if first {
		ours, err = p.ours.time(n)
	}
	if err == nil {
		floor, err = p.floor.time(n)
	}
	if err == nil && !first {
		ours, err = p.ours.time(n)
	}
	return ours, floor, err
}

func (s side) time(n int) (cost, error) {
	if s.prepare != nil {
		if err := s.prepare(n); err != nil {
			return cost{}, err
		}
	}
	start, used := time.Now(), processorTime()
	for range n {
		if err := s.run(); err != nil {
			return cost{}, err
		}
	}
	return cost{float64(time.Since(start)) / float64(n), processorTime() - used}, nil
}

// allocs counts the allocations of one run, all goroutines of the process
// included. The least of a few batches is the one with the least besides.
func (s side) allocs(n int) (float64, error) {
	least := math.Inf(1)
	for range 3 {
		if s.prepare != nil {
			if err := s.prepare(n); err != nil {
				return 0, err
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range n {
			if err := s.run(); err != nil {
				return 0, err
			}
		}
		runtime.ReadMemStats(&after)
		least = min(least, float64(after.Mallocs-before.Mallocs)/float64(n))
	}
	return math.Round(least), nil
}

func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Round(q*float64(len(sorted)-1)))]
}

func (g goal) met(r Row) bool {
	return (g.ratio == 0 || round2(r.Ratio) <= g.ratio) &&
		(g.extra == 0 || r.Nanos-r.FloorNanos < float64(g.extra)) &&
		(g.allocs == 0 || r.Allocs-r.FloorAllocs <= g.allocs)
}

func round2(v float64) float64 { return math.Round(v*100) / 100 }

func (g goal) String() string {
	text := "none"
	switch {
	case g.ratio > 0:
		text = fmt.Sprintf("≤ %.2f", g.ratio)
	case g.extra > 0:
		text = fmt.Sprintf("< %v more", g.extra)
	}
	if g.allocs > 0 {
		text += fmt.Sprintf(", ≤ %.0f allocs more", g.allocs)
	}
	return text
}
