package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/pgtest"
)

// clustered gives a world a database in place of a state directory, whose address has a
// password, and returns a way to change what is there.
func (w *world) clustered(password string) (exec func(sql string)) {
	w.t.Helper()
	address := pgtest.Shared(w.t).URL(w.t)
	dir := w.t.TempDir()
	for name, text := range map[string]string{"key": strings.Repeat("k", 40), "address": address + "&password=" + password} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	maps.Copy(w.env, pgtest.Env(w.t, address))
	w.env[cli.EnvState] = filepath.Join(dir, "state")
	w.env[cli.EnvDatabaseFile], w.env[cli.EnvVaultKey], w.env[cli.EnvDatabaseTenant] = filepath.Join(dir, "address"), filepath.Join(dir, "key"), "acme"
	return func(sql string) {
		w.t.Helper()
		c, err := pgx.Connect(w.t.Context(), address)
		if err == nil {
			_, err = c.Exec(w.t.Context(), sql)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		_ = c.Close(w.t.Context())
	}
}

// Every command that works on the journal works on that of a database; nobody needs the
// state directory, and no password is shown.
func TestDatabase(t *testing.T) {
	t.Parallel()
	const password = "password-canary"
	w := newWorld(t, nil)
	exec := w.clustered(password)
	ok := func(want string, args ...string) {
		t.Helper()
		got := w.run(args...)
		if said := got.stdout + got.stderr; got.code != cli.ExitDone || !strings.Contains(said, want) || strings.Contains(said, password) {
			t.Errorf("%v: exit %d, want %q:\n%s", args, got.code, want, said)
		}
	}
	if got := w.run("run", "--migrate=verify", "Hello"); got.code != cli.ExitFailed || !strings.Contains(got.stderr, "tables of journal of tenant acme are missing") {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
	ok("Q4 2024 Business Review", "run", "--debug", "Summarize doc_9982")
	ok("completed", "tasks", "--all")
	ok("fetch_document", "explain")
	ok("whole: ", "audit", "verify")
	ok(`"kind":"grant"`, "audit", "export")
	ok("Summarize doc_9982", "sessions", "list")
	ok("tenant acme in Postgres database", "doctor")

	// What waits is gone on with by another process.
	w.suspended(report)
	decide(t, w.auth, "approve")
	ok("was created", "resume")

	// What a dead process holds is given back when its lease has passed.
	p := w.start("run", "--wait", "5m", job)
	p.until(t, "granted ", "a person must decide")
	p.kill()
	exec("UPDATE analyst_acme.owners SET until = 'infinity'") // however long it takes
	ok("nothing to give back", "sweep")
	exec("UPDATE analyst_acme.owners SET until = '-infinity'")
	ok("1 task of dead processes given back", "sweep")
	if got := w.auth.Snapshot().LiveTokens; got != 0 {
		t.Errorf("%d live tokens", got)
	}
	ok("whole: ", "audit", "verify")
	ok("removed 0 entries", "prune")
	if _, err := os.Stat(w.env[cli.EnvState]); err == nil {
		t.Error("there is a state directory as well")
	}
}

// A tenant that is not there is made by whoever begins something, and by nobody else. Those
// are named that the database's user may use.
func TestTenantThatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	exec := w.clustered("")
	if got := w.run("run", "Summarize doc_9982"); got.code != cli.ExitDone {
		t.Fatal(got.stderr)
	}
	exec("CREATE SCHEMA analyst_beta")
	w.env[cli.EnvDatabaseTenant] = "acmee"
	refused := func(want string, args ...string) {
		t.Helper()
		if got := w.run(args...); got.code != cli.ExitUsage || !strings.Contains(got.stderr, want) || !strings.Contains(got.stderr, "hint: --") {
			t.Errorf("%v: exit %d: %s, want %q", args, got.code, got.stderr, want)
		}
	}
	for _, args := range []string{
		"kill ALL", "sweep", "audit verify", "audit export", "tasks", "tasks complete last", "explain", "prune", "sessions list", "sessions delete x", "resume",
	} {
		refused("; there are: acme, beta\n", strings.Fields(args)...)
	}
	refused("no such tenant: acmee in Postgres database", "tasks")
	if got := w.run("doctor"); got.code != cli.ExitDone || !strings.Contains(got.stdout, "no such tenant") {
		t.Errorf("exit %d: %s", got.code, got.stdout)
	}
	exec("DO $$ BEGIN IF to_regnamespace('analyst_acmee') IS NOT NULL THEN RAISE 'it was made'; END IF; END $$")

	// A user who may see one of them, and one who has another key.
	exec("CREATE ROLE clerk LOGIN; GRANT USAGE ON SCHEMA analyst_beta TO clerk")
	address, err := os.ReadFile(w.env[cli.EnvDatabaseFile])
	if err == nil {
		err = os.WriteFile(w.env[cli.EnvDatabaseFile], []byte(strings.Replace(string(address), "user=tests", "user=clerk", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	refused("; there are: beta\n", "tasks")
	w.env[cli.EnvDatabaseTenant] = "acme" // which is not for that user
	refused("no such tenant: acme in Postgres database", "tasks")
	if err := errors.Join(os.WriteFile(w.env[cli.EnvDatabaseFile], address, 0o600), os.WriteFile(w.env[cli.EnvVaultKey], []byte(strings.Repeat("x", 40)), 0o600)); err != nil {
		t.Fatal(err)
	}
	refused("the key is not the one that tenant acme", "tasks")
	if got := w.run("doctor"); got.code != cli.ExitFailed || !strings.Contains(got.stdout, "fix: --vault-key or ANALYST_VAULT_KEY_FILE") {
		t.Errorf("exit %d: %s", got.code, got.stdout)
	}
}

// --migrate=verify names the first part whose tables are missing or old, and makes none.
func TestMigrateVerifies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	exec := w.clustered("")
	verifies := func(what string) {
		t.Helper()
		exec("CREATE OR REPLACE FUNCTION tables() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM pg_tables $$; CREATE TABLE IF NOT EXISTS were (n bigint); TRUNCATE were; INSERT INTO were SELECT tables()")
		got := w.run("serve", "--listen", "127.0.0.1:0", "--migrate=verify")
		if got.code != cli.ExitFailed || !strings.Contains(got.stderr, "missing") || !strings.Contains(got.stderr, what) || !strings.Contains(got.stderr, cli.DatabaseHint) {
			t.Errorf("without %s: exit %d: %s", what, got.code, got.stderr)
		}
		exec("DO $$ BEGIN IF tables() <> (SELECT n FROM were) THEN RAISE 'tables were made'; END IF; END $$")
	}
	verifies("journal")
	if got := w.run("run", "Summarize doc_9982"); got.code != cli.ExitDone {
		t.Fatal(got.stderr)
	}
	verifies("runs")
	exec("DELETE FROM analyst_acme.versions WHERE part = 'sessions'")
	verifies("sessions")

	// Those of a later version are nobody's to use.
	if got := w.run("run", "Summarize doc_9982"); got.code != cli.ExitDone {
		t.Fatal(got.stderr)
	}
	exec("CREATE TABLE IF NOT EXISTS analyst_acme.runs_version (version BIGINT NOT NULL); INSERT INTO analyst_acme.runs_version SELECT generate_series(1, 99)")
	if got := w.run("serve", "--listen", "127.0.0.1:0"); got.code != cli.ExitUsage || !strings.Contains(got.stderr, "written by a later version") || !strings.Contains(got.stderr, cli.DatabaseHint) {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
}

// A database that is named by half, or with a password where others see it, is refused
// before anything is done.
func TestDatabaseSettings(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	const at = "postgres://127.0.0.1:1/db"
	for _, row := range []struct {
		args []string
		env  map[string]string
		code int
		want string
	}{
		{[]string{"--database", at}, nil, cli.ExitUsage, "a database needs a tenant"},
		{[]string{"--database", at, "--tenant", "a"}, nil, cli.ExitUsage, "a database needs a key"},
		{[]string{"--tenant", "a"}, nil, cli.ExitUsage, "set also --database"},
		{[]string{"--database", "postgres://u:canary@h/db", "--tenant", "a", "--vault-key", key}, nil, cli.ExitUsage, "--database-file"},
		{[]string{"--database", "postgres://h/db?password=canary", "--tenant", "a", "--vault-key", key}, nil, cli.ExitUsage, "--database-file"},
		{[]string{"--database", at, "--database-file", key}, nil, cli.ExitUsage, "unset one of them"},
		{[]string{"--database", at, "--tenant", "a", "--vault-key", key + "x"}, nil, cli.ExitUsage, "--vault-key"},
		{[]string{"--database", at, "--tenant", "a", "--vault-key", key, "--migrate", "down"}, nil, cli.ExitUsage, "apply or verify"},
		{[]string{"--database", "127.0.0.1", "--tenant", "a", "--vault-key", key}, nil, cli.ExitUsage, "postgres://HOST/NAME"},
		{[]string{"--database", at, "--tenant", "A", "--vault-key", key}, nil, cli.ExitUsage, "lower case letters"},
		{[]string{"--tenant", "a", "--vault-key", key}, map[string]string{cli.EnvDatabase: "postgres://u:canary@127.0.0.1:1/db"}, cli.ExitFailed, "connect to the database at 127.0.0.1"},
	} {
		w := &world{t: t, env: row.env}
		got := w.run(append([]string{"tasks"}, row.args...)...)
		if got.code != row.code || !strings.Contains(got.stderr, row.want) || strings.Contains(got.stderr, "canary") {
			t.Errorf("%v: exit %d: %s, want %d and %q", row.args, got.code, got.stderr, row.code, row.want)
		}
	}
}
