#!/usr/bin/env bash
# River v0.51.2, Go: a client adds two jobs, the second within FetchCooldown (100 ms) after
# the first, when that was worked on already; another client of the same database works.
#
# Guess: both are worked on at once, since whoever works is told of added jobs, and
# FetchCooldown only has it look for the second a little later.
# Seen: the client that adds tells nobody of the second, then or later. It is found at the next
# look that needs no news, after FetchPollInterval.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite"
)

type job struct {
	N int `json:"n"`
}

func (job) Kind() string { return "job" }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func main() {
	ctx := context.Background()
	db := must(sql.Open("sqlite", "file:river.db?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)"))
	db.SetMaxOpenConns(1)
	driver := riversqlite.New(db)
	must(must(rivermigrate.New(driver, nil)).Migrate(ctx, rivermigrate.DirectionUp, nil))
	worked := make(chan int, 2)
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(_ context.Context, j *river.Job[job]) error { worked <- j.Args.N; return nil }))
	log := slog.New(slog.DiscardHandler)
	works := must(river.NewClient(driver, &river.Config{
		Logger: log, Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2}}, FetchPollInterval: 4 * time.Second,
	}))
	if err := works.Start(ctx); err != nil {
		panic(err)
	}
	time.Sleep(time.Second)
	adds := must(river.NewClient(driver, &river.Config{Logger: log}))
	late := 0
	for range 5 {
		must(adds.Insert(ctx, job{1}, nil))
		start := time.Now()
		<-worked
		if time.Since(start) > 90*time.Millisecond { // it looked by itself, or was slow
			continue
		}
		must(adds.Insert(ctx, job{2}, nil))
		start = time.Now()
		<-worked
		took := time.Since(start)
		fmt.Println("the second was worked on after", took.Round(time.Millisecond))
		if took > time.Second {
			late++
		}
	}
	if late == 0 {
		fmt.Println("no surprise any more")
		os.Exit(1)
	}
}
GO
go mod init finding >/dev/null 2>&1
go get github.com/riverqueue/river@v0.51.2 github.com/riverqueue/river/riverdriver/riversqlite@v0.51.2 modernc.org/sqlite@v1.46.1 >/dev/null 2>&1
go mod tidy >/dev/null 2>&1
go run .
