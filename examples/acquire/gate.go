package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	_ "github.com/glebarez/go-sqlite" // the driver "sqlite"

	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// location names the database in authorization details.
const location = "sqlite:sales"

// querying is the authority that a query of one table takes. Both sides use it:
// one to ask, the other to check.
func querying(table string) rar.Detail {
	return rar.Detail{Type: "database_query", Actions: []string{"select"}, Identifier: table, Locations: []string{location}}
}

// A gate stands before a database. It believes the authorization server, and
// nothing that a caller says of its token.
type gate struct {
	db   *sql.DB
	auth *lumoauth.Client // with the database's own credentials
}

// errRefused says that a token does not cover the query.
var errRefused = errors.New("the database refuses the token")

// statements is all the SQL that runs: a caller names a table, and gives
// parameters.
var statements = map[string]string{
	"orders":   `SELECT count(*), coalesce(sum(amount), 0) FROM orders WHERE region = ?`,
	"salaries": `SELECT count(*), coalesce(sum(amount), 0) FROM salaries WHERE region = ?`,
}

// totals counts and sums what a table holds for a region.
func (g *gate) totals(ctx context.Context, token secret.String, table, region string) (count, sum int, err error) {
	statement, ok := statements[table]
	if !ok {
		return 0, 0, fmt.Errorf("there is no table %q", table)
	}
	if err := g.check(ctx, token, querying(table)); err != nil {
		return 0, 0, err
	}
	err = g.db.QueryRowContext(ctx, statement, region).Scan(&count, &sum)
	return count, sum, err
}

// check asks the authorization server about the token at each query, so that one
// of a task that has ended stops at once (RFC 7662).
func (g *gate) check(ctx context.Context, token secret.String, need rar.Detail) error {
	about, err := g.auth.Introspect(ctx, token)
	if err != nil {
		return fmt.Errorf("check the token: %w", err)
	}
	if !about.Active {
		return fmt.Errorf("%w: not active", errRefused)
	}
	if _, err := rar.WithinAny(need, about.Details); err != nil {
		return fmt.Errorf("%w: it does not cover %s", errRefused, need)
	}
	return nil
}

// newDatabase returns a small database in memory.
func newDatabase(ctx context.Context) (*sql.DB, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // each connection would have a memory of its own
	_, err = db.ExecContext(ctx, `
		CREATE TABLE orders (region TEXT NOT NULL, amount INTEGER NOT NULL);
		CREATE TABLE salaries (region TEXT NOT NULL, amount INTEGER NOT NULL);
		INSERT INTO orders VALUES ('japan', 920), ('japan', 410), ('emea', 700);
		INSERT INTO salaries VALUES ('japan', 88);`)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}
