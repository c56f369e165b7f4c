// Command bench prints what this project costs: one table of ratios, each measure
// beside its floor, which is the same work without this project, done in the same
// process, against the same servers, over the same connections.
//
//	go run ./lab/bench [-json] [-only REGEXP] [-time 5s] [-profile DIR]
//
// Measure and floor take turns in small batches, so that what else the machine does
// hits both alike. The ratio is that of the fastest tenths, which were disturbed
// least; the table also gives the quartiles over the pairs, and the ratio of the
// processor time of all batches. A goal that is missed is printed as missed and is
// no failure: the exit code is 0 unless something could not be measured.
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
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if job := os.Getenv(appendsEnv); job != "" {
		if err := appendEntries(ctx, job); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1) //nolint:forbidigo // this is main
		}
		return
	}
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		stop()
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	asJSON := flags.Bool("json", false, "print JSON")
	only := flags.String("only", "", "measure only what `REGEXP` matches")
	budget := flags.Duration("time", 5*time.Second, "for each measure, opening and closing not counted")
	flows := flags.Int("flows", 20_000, "how many a long-lived server sees")
	profiles := flags.String("profile", "", "leave processor profiles of each measure and its floor in `DIR`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if flags.NArg() > 0 || *budget <= 0 {
		return errors.New("no arguments, and a positive -time")
	}
	report := report{Machine: thisMachine()}
	var failed []error
	for _, m := range measures(*flows) {
		if !wanted.MatchString(m.name) {
			continue
		}
		_, _ = fmt.Fprintln(stderr, m.name)
		row, err := m.take(ctx, *budget, *profiles)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", m.name, err)) // the others are still worth having
			continue
		}
		report.Rows = append(report.Rows, row)
	}
	write := report.table
	if *asJSON {
		write = report.json
	}
	return errors.Join(append(failed, write(stdout))...)
}

// measures lists all of them, in the order of the table.
func measures(flows int) []measure {
	return []measure{
		coveredCall(),
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
		effectRecorded(),
		tasksRecovered(),
		explainInLarge(),
		suspendedSessions(),
		decisions(),
		processesAppend(),
		longLived(flows),
		programSize(),
	}
}
