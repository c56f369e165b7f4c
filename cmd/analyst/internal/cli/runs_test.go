package cli

import (
	"io"
	"path/filepath"
	"testing"

	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/session"
)

// TestSpareAfterAnUpgrade: what workers will go on with is left to them also by a command
// that comes before the first worker of its version.
func TestSpareAfterAnUpgrade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	p := &Program{Getenv: func(name string) string { return map[string]string{EnvState: dir}[name] }, Stderr: io.Discard}
	s, _, err := p.OpenSessions(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	const gone = "AAAAAAAAAAAAAAAAAAAAAAAAAA"
	tasks := []journal.Task{{Owner: gone, Session: runner.SessionName("app", "ada", "s")}}
	if left, err := s.Spare(t.Context(), tasks); err != nil || len(left) != 1 {
		t.Errorf("without workers: %v, %v", left, err)
	}
	store, err := s.OpenRuns(t.Context(), "", nil)
	if err == nil {
		err = store.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqldb.Open(filepath.Join(dir, session.File), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		"DROP INDEX runs_due", "ALTER TABLE runs DROP COLUMN authority", "ALTER TABLE runs DROP COLUMN until", "DELETE FROM runs_version WHERE version > 2",
		"CREATE INDEX runs_due ON runs (state, check_at)", // as an earlier version made them
		"INSERT INTO runs (app, person, session, state, epoch, owner, since) VALUES ('app', 'ada', 's', 'running', 1, '" + gone + "', 0)",
	} {
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := s.Spare(t.Context(), tasks); err != nil || len(left) != 0 {
		t.Errorf("what a worker will go on with is given back: %v, %v", left, err)
	}
}
