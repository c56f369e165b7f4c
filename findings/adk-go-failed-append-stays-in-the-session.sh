#!/usr/bin/env bash
# An event that a session's database does not take, appended again, in Google's Agent
# Development Kit for Go.
#
# google.golang.org/adk/v2 v2.2.0, session/database over SQLite.
#
# One would guess that an append that fails leaves the session as it was, so that it can
# be tried again when the database is back.
# Seen: the session in memory has the event all the same, and after the second try it has
# it twice, while the database has it once: the model's next turn sees one answer, or one
# result of a call, two times.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > go.mod <<'M'
module finding

go 1.26

require (
	github.com/glebarez/sqlite v1.11.0
	google.golang.org/adk/v2 v2.2.0
	google.golang.org/genai v1.66.0
	gorm.io/gorm v1.31.2
)
M
cat > main.go <<'M'
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/glebarez/sqlite"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/session/database"
	"google.golang.org/genai"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

const where = "file::memory:?cache=shared"

func main() {
	ctx := context.Background()
	service, err := database.NewSessionService(sqlite.Open(where), &gorm.Config{Logger: logger.Discard})
	check(err)
	check(database.AutoMigrate(service))
	other, err := gorm.Open(sqlite.Open(where), &gorm.Config{Logger: logger.Discard})
	check(err)
	created, err := service.Create(ctx, &session.CreateRequest{AppName: "a", UserID: "u", SessionID: "s"})
	check(err)
	event := session.NewEvent(ctx, "call")
	event.Author = "model"
	event.Content = genai.NewContentFromText("an answer", genai.RoleModel)

	check(other.Exec("CREATE TRIGGER away BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'away'); END").Error)
	first := service.AppendEvent(ctx, created.Session, event)
	check(other.Exec("DROP TRIGGER away").Error)
	inMemory := created.Session.Events().Len()
	second := service.AppendEvent(ctx, created.Session, event)
	got, err := service.Get(ctx, &session.GetRequest{AppName: "a", UserID: "u", SessionID: "s"})
	check(err)
	again, stored := created.Session.Events().Len(), got.Session.Events().Len()
	fmt.Printf("first: %v, the session has %d; second: %v, the session has %d, the database %d\n", first, inMemory, second, again, stored)
	if first == nil || second != nil || inMemory != 1 || again != 2 || stored != 1 {
		fmt.Println("changed")
		os.Exit(1)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
M
go mod tidy >/dev/null 2>&1
go run .
