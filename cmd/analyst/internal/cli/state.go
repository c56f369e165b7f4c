package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/postgres"
	"github.com/jitagent/jitagent/state/recovery"
	"github.com/jitagent/jitagent/state/session"
	"github.com/jitagent/jitagent/state/sqlite"
	"github.com/jitagent/jitagent/state/vault"
)

// EnvState names the directory of the journal, which sqlite.Dir reads.
const EnvState = "ANALYST_STATE_DIR"

// EnvKeep says for how long the journal keeps what is over.
const EnvKeep = "ANALYST_KEEP"

// StateHelp says in help texts where the journal is.
const StateHelp = `The journal is in ` + EnvState + `, else in $XDG_STATE_HOME/analyst, else in
~/.local/state/analyst.`

// StateDir returns the state directory; "" when there is none to be had.
func (p *Program) StateDir() string {
	dir, err := sqlite.Dir(p.Getenv)
	if err != nil {
		return ""
	}
	return dir
}

// A State is what survives the program: a journal, and what is kept beside it.
type State struct {
	journal.Store
	where string
	dir   string       // of files of this machine; empty when nothing is kept
	db    *postgres.DB // nil where all is there

	verifies bool // tables are not changed

	sessions []*session.Store // to be closed
}

// Dir returns the directory of what this machine keeps; "" when that is nothing.
func (s *State) Dir() string { return s.dir }

// Where says where the journal is; "" when that is in memory.
func (s *State) Where() string { return s.where }

// Vault opens the vault that keyFile has the key to; "" is the directory's own.
func (s *State) Vault(keyFile string) (*vault.Vault, error) {
	if s.db != nil {
		return s.db.Vault()
	}
	return vault.Open(s.dir, keyFile)
}

// Ephemeral returns a state that ends with the program; the caller closes it.
func Ephemeral(ctx context.Context, logger *slog.Logger) (*State, error) {
	j, err := sqlite.Memory(ctx, sqlite.Options{Logger: logger})
	if err != nil {
		return nil, StateError(err, "")
	}
	return &State{Store: j}, nil
}

// OpenState opens the journal of the state directory; the caller closes it. To read
// it nothing is created or changed, but that a journal of an earlier version is carried
// forward first, and a directory without a journal is an error that wraps
// [journal.ErrNotFound]. To write to it, what is older than [EnvKeep] is removed. Every
// error says what to do.
func (p *Program) OpenState(ctx context.Context, readOnly bool, logger *slog.Logger) (*State, error) {
	if readOnly {
		return p.openState(ctx, true, logger)
	}
	age, err := p.Keep()
	if err != nil {
		return nil, err
	}
	j, _, err := p.OpenPruned(ctx, age, logger)
	return j, err
}

// OpenPruned opens the journal for writing without what is older than age, and returns
// how many entries that was. An age of 0 keeps everything.
func (p *Program) OpenPruned(ctx context.Context, age time.Duration, logger *slog.Logger) (s *State, removed int64, err error) {
	if s, err = p.openState(ctx, false, logger); err != nil || age == 0 {
		return s, 0, err
	}
	if removed, err = s.Prune(ctx, time.Now().Add(-age)); err != nil {
		return nil, 0, errors.Join(StateError(err, ""), s.Close())
	}
	return s, removed, nil
}

// App and User name the program's sessions in the store.
const (
	App  = "analyst"
	User = "user"
)

// TaskName names a task for people, by the beginning of what it is for.
func TaskName(what string) string {
	return strings.TrimSuffix(App+": "+plain.Line(what, 80), ": ")
}

// HasSessions reports whether there are conversations beside the journal.
func (s *State) HasSessions(ctx context.Context) (bool, error) {
	if s.db != nil {
		there, err := s.db.Has(ctx, "sessions")
		return there, StateError(err, "")
	}
	_, err := os.Stat(filepath.Join(s.dir, session.File))
	return err == nil, nil
}

// OpenSessions is OpenState for writing, and opens the conversations as well, without those
// that are older than [EnvKeep].
func (p *Program) OpenSessions(ctx context.Context, logger *slog.Logger) (*State, *session.Store, error) {
	age, err := p.Keep()
	if err != nil {
		return nil, nil, err
	}
	s, _, err := p.OpenPruned(ctx, age, logger)
	if err != nil {
		return nil, nil, err
	}
	store, _, err := s.Sessions(ctx, age)
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return s, store, nil
}

// Sessions opens the conversations beside the journal, without those that were not
// changed since age and wait for nobody, and returns how many that were. They are closed
// with the journal.
func (s *State) Sessions(ctx context.Context, age time.Duration) (*session.Store, int, error) {
	open := func() (*session.Store, error) { return session.Open(ctx, s.dir) }
	if s.db != nil {
		open = func() (*session.Store, error) { return s.databaseSessions(ctx) }
	}
	store, err := open()
	if err != nil {
		return nil, 0, s.failed(err)
	}
	s.sessions = append(s.sessions, store)
	if age == 0 {
		return store, 0, nil
	}
	removed, err := store.Prune(ctx, time.Now().Add(-age))
	return store, removed, s.failed(err)
}

// failed is [StateError] of what is kept beside the journal.
func (s *State) failed(err error) error {
	if s.db != nil {
		return StateError(err, DatabaseHint)
	}
	return StateError(err, "")
}

// Hint is what a run does about a journal that cannot be used.
func (s *State) Hint() string {
	if s.db != nil {
		return DatabaseHint
	}
	return RunHint
}

// Keep returns for how long what is over is kept, as [EnvKeep] says; 0 for ever.
func (p *Program) Keep() (time.Duration, error) {
	switch text := p.Getenv(EnvKeep); text {
	case "":
		return 90 * 24 * time.Hour, nil
	case "forever":
		return 0, nil
	default:
		return ParseAge(EnvKeep, text)
	}
}

// ParseAge reads an age that was given by a flag or variable: a length of time, or days.
func ParseAge(name, text string) (time.Duration, error) {
	age, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		age = time.Duration(min(n, maxDays)) * 24 * time.Hour
	}
	if err != nil || age <= 0 {
		return 0, Usagef("%s %q: write an age such as 30d or 12h", name, text)
	}
	return age, nil
}

// maxDays is more than anything is old.
const maxDays = 100_000

func (p *Program) openState(ctx context.Context, readOnly bool, logger *slog.Logger) (*State, error) {
	opts, err := p.database()
	if err != nil {
		return nil, err
	}
	if opts != nil {
		s, err := p.openDatabase(ctx, *opts, readOnly, logger)
		if errors.Is(err, journal.ErrNotFound) {
			return s, StateError(err, "no run has kept a journal there yet")
		}
		return s, StateError(err, DatabaseHint)
	}
	dir, err := sqlite.Dir(p.Getenv)
	if err != nil {
		return nil, StateError(err, "")
	}
	j, err := forward(readOnly, true, func(readOnly bool) (*sqlite.Journal, error) {
		return sqlite.Open(ctx, sqlite.Options{Dir: dir, ReadOnly: readOnly, Logger: logger})
	})
	if err != nil {
		return nil, StateError(err, "")
	}
	return &State{Store: j, where: j.Path(), dir: filepath.Dir(j.Path())}, nil
}

// forward opens a journal, and carries one of an earlier version forward if it may:
// opening it for writing does.
func forward[J io.Closer](readOnly, may bool, open func(readOnly bool) (J, error)) (J, error) {
	j, err := open(readOnly)
	if !may || !errors.Is(err, journal.ErrOlder) {
		return j, err
	}
	if j, err = open(false); err == nil {
		err = j.Close()
	}
	if err != nil {
		return j, err
	}
	return open(readOnly)
}

// What to do about a journal that cannot be used: by a command, by a run.
const (
	StateHint = "set " + EnvState + " to a directory of your own on a local disk"
	RunHint   = StateHint + ", or use --ephemeral to keep no journal, which gives up recovery after a crash"
)

// StateError words a journal that cannot be used, with a hint; "" means the usual. One
// of a later version, a tenant that is not there and another's key are mistakes of usage:
// nothing is wrong with the journal.
func StateError(err error, hint string) error {
	if _, unwritten := errors.AsType[*OutputError](err); err == nil || unwritten { // or the journal is fine
		return err
	}
	code := ExitFailed
	if errors.Is(err, journal.ErrNewer) || errors.Is(err, postgres.ErrNoTenant) || errors.Is(err, postgres.ErrKey) {
		code = ExitUsage
	}
	switch {
	case errors.Is(err, postgres.ErrNoTenant):
		hint = "--tenant or " + EnvDatabaseTenant + " names it; analyst run, chat, serve and worker make one that is new"
	case errors.Is(err, postgres.ErrKey):
		hint = "--vault-key or " + EnvVaultKey + " names the file that the other processes have"
	case hint != "":
	case errors.Is(err, journal.ErrNotFound):
		hint = "no run has kept a journal there yet; " + EnvState + " says where to look"
	case postgres.Concerns(err):
		hint = DatabaseHint
	default:
		hint = StateHint
	}
	return &ExitError{Code: code, Err: err, Hint: hint}
}

// Unrecorded reports whether err comes from a journal that takes no entries.
func Unrecorded(err error) bool {
	return errors.Is(err, journal.ErrUnwritable) || errors.Is(err, journal.ErrMoved) || errors.Is(err, journal.ErrLost) || errors.Is(err, journal.ErrDamaged)
}

// AuthorityName says which authorization server and agent a journal's tasks belong
// to. The older paths of LumoAuth lead to the same tasks.
func AuthorityName(s Settings) string {
	switch {
	case s.Embedded && s.Kept:
		return keptName
	case s.Embedded:
		return recovery.Embedded
	case s.OAuth != nil:
		return s.OAuth.Issuer + "/" + url.PathEscape(s.OAuth.ClientID)
	}
	return clientName(s.LumoAuth)
}

func clientName(cfg lumoauth.Config) string {
	origin := strings.TrimSuffix(cfg.URL, "/")
	if u, err := url.Parse(cfg.URL); err == nil {
		if o, err := jit.OriginOf(u); err == nil {
			origin = o.String()
		}
	}
	return origin + "/" + url.PathEscape(cfg.Org) + "/" + url.PathEscape(cfg.ClientID)
}

// VerifyHint is what to do about entries that cannot be read.
const VerifyHint = "analyst audit verify names the first entry that does not fit"
