//go:build unix

// Package measure has sessions run, and prints what they cost, for the Go programs that
// peers.py compares. It does no part of a session's work.
package measure

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// Prompt is the published example's.
const Prompt = "Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'."

// Run has n sessions run, at most atOnce at once, after some that warm up, and prints what
// one cost. Both are numbers as they were given to the program.
func Run(ctx context.Context, n, atOnce string, session func(context.Context) error) error {
	all, err1 := strconv.Atoi(n)
	most, err2 := strconv.Atoi(atOnce)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	run := func(n int) error {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(most)
		for range n {
			group.Go(func() error { return session(ctx) })
		}
		return group.Wait()
	}
	if err := run(max(5, most)); err != nil {
		return err
	}
	before, start := usage(), time.Now()
	if err := run(all); err != nil {
		return err
	}
	after := usage()
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	return json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"cpu_ms": cpu.Seconds() * 1000 / float64(all), "wall_ms": time.Since(start).Seconds() * 1000 / float64(all), "rss_mb": float64(after.Maxrss) / 1024,
	})
}

func usage() (u syscall.Rusage) {
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // zeros show
	return u
}
