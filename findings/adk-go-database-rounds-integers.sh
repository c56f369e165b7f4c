#!/usr/bin/env bash
# A whole number of 19 digits in a function call, kept in a session by Google's Agent
# Development Kit for Go.
#
# google.golang.org/adk/v2 v2.2.0, session/database over SQLite.
#
# One would guess that a session holds what was appended: the call's arguments hold a
# json.Number, which is written with every digit.
# Seen: the event that is read back holds a float64, which is another number: the next
# turn of the model sees 1234567890123456800 where it had said 1234567890123456789. The
# session service in memory keeps the number.
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
	"encoding/json"
	"fmt"
	"os"

	"github.com/glebarez/sqlite"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/session/database"
	"google.golang.org/genai"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

const said = "1234567890123456789"

// kept is what a service gives back for the number that was said.
func kept(s session.Service) any {
	ctx := context.Background()
	created, err := s.Create(ctx, &session.CreateRequest{AppName: "a", UserID: "u", SessionID: "s"})
	if err != nil {
		panic(err)
	}
	event := session.NewEvent(ctx, "call")
	event.Author = "model"
	event.Content = genai.NewContentFromFunctionCall("pay", map[string]any{"account": json.Number(said)}, genai.RoleModel)
	if err := s.AppendEvent(ctx, created.Session, event); err != nil {
		panic(err)
	}
	got, err := s.Get(ctx, &session.GetRequest{AppName: "a", UserID: "u", SessionID: "s"})
	if err != nil {
		panic(err)
	}
	return got.Session.Events().At(0).Content.Parts[0].FunctionCall.Args["account"]
}

func main() {
	stored, err := database.NewSessionService(sqlite.Open("file::memory:?cache=shared"), &gorm.Config{Logger: logger.Discard})
	if err == nil {
		err = database.AutoMigrate(stored)
	}
	if err != nil {
		panic(err)
	}
	memory, db := kept(session.InMemoryService()), kept(stored)
	fmt.Printf("said %s, in memory %T %v, in the database %T %.0f\n", said, memory, memory, db, db)
	if n, ok := db.(float64); !ok || fmt.Sprintf("%.0f", n) == said || fmt.Sprint(memory) != said {
		fmt.Println("changed")
		os.Exit(1)
	}
}
M
go mod tidy >/dev/null 2>&1
go run .
