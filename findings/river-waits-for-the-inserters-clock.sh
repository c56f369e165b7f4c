#!/usr/bin/env bash
# River v0.51.2, Go, over Postgres: a job without a time of its own, added where the clock is
# ahead of the database's. Postgres 16 is that of pgserver 0.1.4 (PyPI).
#
# Guess: it is worked on at once. No time was asked for, the job is "available", and the
# column's default is the database's now().
# Seen: the driver stamps it with the adding machine's time, and whoever works takes only what is
# due by the database's. The job looks ready and nobody takes it until the database's clock has
# caught up, while jobs that others add later are worked on.
#
# Here it is the database that is behind, by an hour: a now() of its own stands before
# Postgres's in the search path. River and both its clients are as they come.
set -euo pipefail
dir=$(mktemp -d)
bin=$dir/wheel/pgserver/pginstall/bin
as=()
if [ "$(id -u)" = 0 ]; then # Postgres does not run as root
	as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	chmod 755 "$dir"
fi
trap '"${as[@]}" "$bin/pg_ctl" -D "$dir/pg/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$dir"' EXIT
cd "$dir"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$dir/wheel" \
	--no-deps --only-binary=:all: --python-version 3.11 --platform manylinux2014_x86_64 pgserver==0.1.4
mkdir pg
if [ "$(id -u)" = 0 ]; then chown 65534:65534 pg; fi
cd pg
"${as[@]}" "$bin/initdb" --no-sync --auth=trust --username=river --encoding=UTF8 --locale=C -D "$dir/pg/data" >/dev/null
"${as[@]}" "$bin/pg_ctl" -D "$dir/pg/data" -w -l "$dir/pg/log" -o "-c listen_addresses='' -c unix_socket_directories=$dir/pg -c fsync=off" start >/dev/null
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
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
	where := fmt.Sprintf("host=%s user=river dbname=postgres", os.Args[1])
	plain := must(pgxpool.New(ctx, where))
	must(must(rivermigrate.New(riverpgxv5.New(plain), nil)).Migrate(ctx, rivermigrate.DirectionUp, nil))
	clock := func(behind string) {
		must(plain.Exec(ctx, "CREATE OR REPLACE FUNCTION behind.now() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT pg_catalog.now() - interval '"+behind+"' $$"))
	}
	must(plain.Exec(ctx, "CREATE SCHEMA behind"))
	clock("1 hour")

	pool := must(pgxpool.New(ctx, where+" search_path=public,behind,pg_catalog"))
	driver, log := riverpgxv5.New(pool), slog.New(slog.DiscardHandler)
	adds := must(river.NewClient(driver, &river.Config{Logger: log}))
	first := must(adds.Insert(ctx, job{1}, nil)).Job
	second := must(adds.Insert(ctx, job{2}, nil)).Job
	must(pool.Exec(ctx, "UPDATE river_job SET scheduled_at = now() WHERE id = $1", second.ID)) // as one whose clock is the database's adds it
	due := func() (state string, attempt int, in time.Duration) {
		var seconds float64
		if err := pool.QueryRow(ctx, "SELECT state::text, attempt, extract(epoch FROM scheduled_at - now())::float8 FROM river_job WHERE id = $1", first.ID).Scan(&state, &attempt, &seconds); err != nil {
			panic(err)
		}
		return state, attempt, time.Duration(seconds) * time.Second
	}

	worked := make(chan int, 2)
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(_ context.Context, j *river.Job[job]) error { worked <- j.Args.N; return nil }))
	works := must(river.NewClient(driver, &river.Config{
		Logger: log, Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 5}}, FetchPollInterval: 200 * time.Millisecond,
	}))
	if err := works.Start(ctx); err != nil {
		panic(err)
	}
	before := <-worked
	state, attempt, in := due()
	fmt.Printf("worked on first: job %d; job 1 is %s, after %d attempts, and due in %s\n", before, state, attempt, in.Round(time.Minute))
	if before != 2 || state != "available" || attempt != 0 || in < 50*time.Minute {
		fmt.Println("changed")
		os.Exit(1)
	}
	clock("0 hours")
	fmt.Printf("the database's clock is set right: job %d is worked on\n", <-worked)
}
GO
go mod init finding >/dev/null 2>&1
go get github.com/riverqueue/river@v0.51.2 github.com/riverqueue/river/riverdriver/riverpgxv5@v0.51.2 github.com/jackc/pgx/v5@v5.12.0 >/dev/null 2>&1
go mod tidy >/dev/null 2>&1
go build -o works . && ./works "$dir/pg"
