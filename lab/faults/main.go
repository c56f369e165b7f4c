package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	if !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "faults:", err)
	}
	stop()
	os.Exit(1) //nolint:forbidigo // this is main
}

// options are what the command line says.
type options struct {
	trials  int
	seed    uint64
	workers int
	only    *regexp.Regexp
	json    bool
	keep    bool
	verbose bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.trials, "trials", 200, "how many processes to kill; the other faults are scaled with it")
	flags.Uint64Var(&o.seed, "seed", 0, "of all that is random (default: the time)")
	flags.IntVar(&o.workers, "workers", 2, "how many processes are killed at a time")
	only := flags.String("only", "", "only the faults whose name `REGEXP` matches")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	flags.BoolVar(&o.keep, "keep", false, "keep the directory with what the processes left and said")
	flags.BoolVar(&o.verbose, "v", false, "say each trial")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, fmt.Errorf("-only: %w", err)
	}
	if flags.NArg() > 0 || o.trials < 1 || o.workers < 1 {
		return o, errors.New("no arguments, and positive -trials and -workers")
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1_000_000 //nolint:gosec // positive
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	b, err := newBench(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer func() { _ = b.close() }()
	report := report{Commit: b.commit, Seed: o.seed, Go: b.goVersion, Machine: machine()}
	var failed error
	for _, f := range faults() {
		if !o.only.MatchString(f.name) {
			continue
		}
		start := time.Now()
		b.say("%s", f.name)
		rows, err := f.play(ctx, b)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", f.name, err)) // the others are still worth having
		}
		report.Rows = append(report.Rows, rows...)
		b.say("%s: %s", f.name, time.Since(start).Round(time.Second/10))
	}
	show := report.table
	if o.json {
		show = report.json
	}
	return errors.Join(failed, show(stdout), report.verdict())
}

// A fault is one way to break things, and gives the rows that tell what came of it.
type fault struct {
	name string
	play func(context.Context, *bench) ([]*row, error)
}

func faults() []fault {
	return []fault{
		{"kills", inWorld(kills)},
		{"suspensions", suspensions},
		{"servers", inWorld(serverKills)},
		{"together", inWorld(together)},
		{"network", network},
		{"full", inWorld(fullDisk)},
		{"damage", inWorld(damage)},
		{"deleted", inWorld(deleted)},
		{"ends", taskEnds},
	}
}

// inWorld gives a fault a world of its own, and checks afterwards that the history of
// its authorization server is one that the model allows.
func inWorld(play func(context.Context, *world) ([]*row, error)) func(context.Context, *bench) ([]*row, error) {
	return func(ctx context.Context, b *bench) (rows []*row, err error) {
		w, err := newWorld(ctx, b)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, w.stop()) }()
		if rows, err = play(ctx, w); len(rows) > 0 {
			last := rows[len(rows)-1]
			for _, bad := range check(w.history.all()) {
				last.wrong(&last.Other, "%s", bad)
			}
		}
		return rows, err
	}
}
