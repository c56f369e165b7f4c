package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// newWorld returns a world and a database that asks its authorization server about
// tokens.
func newWorld(t *testing.T, options ...jittest.Option) (*jittest.World, *gate) {
	t.Helper()
	database := lumodev.Client{ClientID: "sales-database", ClientSecret: secret.New("database-secret-7d0c55e1")}
	options = append(options, jittest.AuthServer(func(c *lumodev.Config) { c.ResourceServers = []lumodev.Client{database} }))
	w := jittest.Start(t, options...)
	login := w.Login()
	login.ClientID, login.ClientSecret = database.ClientID, database.ClientSecret
	auth, err := lumoauth.New(login)
	if err != nil {
		t.Fatal(err)
	}
	db, err := newDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return w, &gate{db: db, auth: auth}
}

func TestDeniedToolQueriesNothing(t *testing.T) {
	w, g := newWorld(t, jittest.Denying())
	text, err := ordersOf(w.Call(mayQueryOrders()...), g, "japan")
	if !errors.Is(err, jit.ErrDenied) || text != "" {
		t.Errorf("ordersOf() = %q, %v; want %v", text, err, jit.ErrDenied)
	}
	w.NothingLeft()
}

func TestToolWorksWithinItsCallsCeilingOnly(t *testing.T) {
	for name, ceiling := range map[string][]rar.Detail{
		"no ceiling": nil, "another table": {querying("salaries")},
	} {
		w, g := newWorld(t)
		if _, err := ordersOf(w.Call(ceiling...), g, "japan"); !errors.Is(err, jit.ErrOutsideCeiling) {
			t.Errorf("%s: ordersOf() = %v, want %v", name, err, jit.ErrOutsideCeiling)
		}
		w.AskedNothing()
	}
}

func TestToolAsksForItsTableOnce(t *testing.T) {
	w, g := newWorld(t)
	for range 3 {
		text, err := ordersOf(w.Call(mayQueryOrders()...), g, "japan")
		if err != nil || text != "2 orders, 1330 in all" {
			t.Errorf("ordersOf() = %q, %v", text, err)
		}
	}
	w.AskedExactly(querying("orders"))
	w.NothingLeft()
}

func TestGateRefuses(t *testing.T) {
	w, g := newWorld(t)
	grant, err := jit.Acquire(w.Call(mayQueryOrders()...), querying("orders"))
	if err != nil {
		t.Fatal(err)
	}
	base, err := w.Authority.AgentToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		token secret.String
		table string
	}{
		{"no token", secret.String{}, "orders"},
		{"a token of its own making", secret.New("eyJhbGciOiJub25lIn0.e30."), "orders"},
		{"the agent's own token", base.Token, "orders"},
		{"a token for another table", grant.Token, "salaries"},
	} {
		_, _, err := g.totals(t.Context(), test.token, test.table, "japan")
		if !errors.Is(err, errRefused) {
			t.Errorf("%s: totals() = %v, want %v", test.name, err, errRefused)
		}
		w.NothingLeaked(err)
	}
	if _, _, err := g.totals(t.Context(), grant.Token, "sqlite_master", "japan"); err == nil || errors.Is(err, errRefused) {
		t.Errorf("an unknown table: %v, want an error of its own", err)
	}
	if count, _, err := g.totals(t.Context(), grant.Token, "orders", "japan' OR '1'='1"); count != 0 || err != nil {
		t.Errorf("a parameter that looks like SQL: %d rows, %v; want 0 rows", count, err)
	}
	if _, _, err := g.totals(t.Context(), grant.Token, "orders", "japan"); err != nil {
		t.Errorf("the token that was granted: %v", err)
	}
	w.Complete()
	_, _, err = g.totals(t.Context(), grant.Token, "orders", "japan")
	if !errors.Is(err, errRefused) || !strings.HasSuffix(err.Error(), "not active") {
		t.Errorf("after the task: %v, want that the token is not active", err)
	}
}

func TestReportGivesEverythingBack(t *testing.T) {
	w, g := newWorld(t)
	var out bytes.Buffer
	if err := report(t.Context(), &out, w.Engine, g); err != nil {
		t.Errorf("report() = %v", err)
	}
	w.AskedExactly(querying("orders"))
	w.NothingLeft()
	w.NothingLeaked(out.String())

	w, g = newWorld(t, jittest.Denying())
	if err := report(t.Context(), io.Discard, w.Engine, g); !errors.Is(err, jit.ErrDenied) {
		t.Errorf("report() = %v, want %v", err, jit.ErrDenied)
	}
	w.NothingLeft()
}

// The authorization server's word counts at each query: without it nothing runs.
func TestGateWithoutItsAuthorizationServer(t *testing.T) {
	w, g := newWorld(t)
	grant, err := jit.Acquire(w.Call(mayQueryOrders()...), querying("orders"))
	if err != nil {
		t.Fatal(err)
	}
	login := w.Login()
	login.ClientSecret = secret.New("wrong")
	if g.auth, err = lumoauth.New(login); err != nil {
		t.Fatal(err)
	}
	_, _, err = g.totals(t.Context(), grant.Token, "orders", "japan")
	if err == nil || !strings.Contains(err.Error(), "check the token") {
		t.Errorf("totals() = %v, want that the token could not be checked", err)
	}
}
