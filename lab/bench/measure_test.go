package bench

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"
)

// A measure is something that this project does, and the floor below it.
type measure struct {
	name  string
	floor string // what the floor is
	goal  goal
	open  func(t *testing.T) pair
	once  func(t *testing.T) (ours, floor float64) // in place of open, for what takes too long for batches, or is no time
	unit  string                                   // of once; "" for nanoseconds
	said  func() []string                          // what is to be said besides what once measured; nil is nothing
	asked bool                                     // it takes minutes, so that it is measured only where -only names it
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
	notes func(row) []string
}

// A side is one of the two things that are compared.
type side struct {
	prepare func(n int)  // makes what n runs need, off the clock; nil prepares nothing
	run     func() error // what is measured
}

// does is a side that needs no preparation.
func does(run func() error) side { return side{run: run} }

// A row is one line of the table. Times are for one operation.
type row struct {
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

// take measures m, and profiles it afterwards if there is a directory for that.
func (m measure) take(t *testing.T) (r row) {
	r = row{Measure: m.name, Floor: m.floor, Unit: m.unit, Goal: m.goal.String()}
	if m.once != nil {
		ours, floor := m.once(t)
		r.measured(1, []float64{ours}, []float64{floor})
		r.Met = m.goal.met(r)
		if m.said != nil {
			r.Notes = m.said()
		}
		return r
	}
	p := m.open(t)
	n := p.calibrate(t)
	var ours, floor []float64
	var cpu, floorCPU time.Duration
	for start := time.Now(); len(ours) < maxPairs && (len(ours) < minPairs || time.Since(start) < *budget); {
		a, b := p.both(t, n, len(ours)%2 == 0)
		ours, floor = append(ours, a.nanos), append(floor, b.nanos)
		cpu, floorCPU = cpu+a.cpu, floorCPU+b.cpu
	}
	each := float64(max(p.each, 1))
	r.measured(each, ours, floor)
	if floorCPU > 0 && !p.elsewhere {
		r.CPURatio = float64(cpu) / float64(floorCPU)
	}
	r.Allocs, r.FloorAllocs = p.ours.allocs(t, n)/each, p.floor.allocs(t, n)/each
	r.Met = m.goal.met(r)
	if p.notes != nil {
		r.Notes = p.notes(r)
	}
	if *profiles != "" {
		check(t, os.MkdirAll(*profiles, 0o700))
		name := filepath.Join(*profiles, strings.ReplaceAll(m.name, " ", "-"))
		p.ours.profile(t, name+".ours.pprof", n)
		p.floor.profile(t, name+".floor.pprof", n)
	}
	return r
}

// measured fills in what follows from the times of pairs of batches.
func (r *row) measured(each float64, ours, floor []float64) {
	ratios := make([]float64, len(ours))
	for i := range ratios {
		ratios[i] = ours[i] / floor[i]
	}
	r.Pairs, r.Nanos, r.FloorNanos = len(ours), quantile(ours, undisturbed)/each, quantile(floor, undisturbed)/each
	r.Ratio, r.RatioLow, r.RatioHigh = r.Nanos/r.FloorNanos, quantile(ratios, .25), quantile(ratios, .75)
}

// profile runs a side alone, and leaves in a file where the processor's time went.
func (s side) profile(t *testing.T, name string, n int) {
	file := must(os.Create(name))(t)
	check(t, pprof.StartCPUProfile(file))
	for start := time.Now(); time.Since(start) < *budget; {
		s.time(t, n)
	}
	pprof.StopCPUProfile()
	check(t, file.Close())
}

// calibrate warms both sides up and returns how many runs make a batch.
func (p *pair) calibrate(t *testing.T) int {
	for n := 1; ; n *= 2 {
		ours, floor := p.both(t, n, true)
		if p.most > 0 && n >= p.most {
			return p.most
		}
		if took := time.Duration(min(ours.nanos, floor.nanos) * float64(n)); took >= batchTime/2 {
			return n
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
func (p *pair) both(t *testing.T, n int, first bool) (ours, floor cost) {
	if first {
		ours = p.ours.time(t, n)
	}
	floor = p.floor.time(t, n)
	if !first {
		ours = p.ours.time(t, n)
	}
	return ours, floor
}

func (s side) time(t *testing.T, n int) cost {
	run := s.prepared(n)
	start, used := time.Now(), processorTime()
	err := run()
	c := cost{float64(time.Since(start)) / float64(n), processorTime() - used}
	check(t, err)
	return c
}

// prepared prepares n runs and returns what makes them.
func (s side) prepared(n int) func() error {
	if s.prepare != nil {
		s.prepare(n)
	}
	return func() error {
		for range n {
			if err := s.run(); err != nil {
				return err
			}
		}
		return nil
	}
}

// allocs counts the allocations of one run, all goroutines of the process
// included. The least of a few batches is the one with the least besides.
func (s side) allocs(t *testing.T, n int) float64 {
	least := math.Inf(1)
	for range 3 {
		run := s.prepared(n)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := run()
		runtime.ReadMemStats(&after)
		check(t, err)
		least = min(least, float64(after.Mallocs-before.Mallocs)/float64(n))
	}
	return math.Round(least)
}

func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Round(q*float64(len(sorted)-1)))]
}

func (g goal) met(r row) bool {
	return (g.ratio == 0 || math.Round(r.Ratio*100)/100 <= g.ratio) &&
		(g.extra == 0 || r.Nanos-r.FloorNanos < float64(g.extra)) &&
		(g.allocs == 0 || r.Allocs-r.FloorAllocs <= g.allocs)
}

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

// must ends the row where there is an error: must(os.Open(name))(t).
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		check(t, err)
		return v
	}
}

// check ends the row where there is an error.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
