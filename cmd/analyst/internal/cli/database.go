package cli

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/spf13/cobra"
	gormpostgres "gorm.io/driver/postgres"

	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/postgres"
	"github.com/jitagent/jitagent/state/session"
	"github.com/jitagent/jitagent/state/vault"
)

// The environment variables of a database that several machines share.
const (
	EnvDatabase       = "ANALYST_DATABASE"
	EnvDatabaseFile   = "ANALYST_DATABASE_FILE"
	EnvDatabaseTenant = "ANALYST_TENANT"
	EnvMigrate        = "ANALYST_MIGRATE"
)

// DatabaseHint is what to do about a database that cannot be used.
const DatabaseHint = "look after the database, or at what " + EnvDatabase + " and " + EnvDatabaseFile + " say"

// A Database are the flags that name the database in which a cluster keeps its state, in
// place of the state directory.
type Database struct{ url, file, tenant, key, migrate string }

// AddFlags adds them to the root command, for all others.
func (d *Database) AddFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&d.url, "database", "", "`URL` postgres://HOST/NAME of the database that keeps the state, in place of a directory ("+EnvDatabase+")")
	f.StringVar(&d.file, "database-file", "", "`FILE` that holds it, for one with a password ("+EnvDatabaseFile+")")
	f.StringVar(&d.tenant, "tenant", "", "`NAME` of whose rows in the database these are ("+EnvDatabaseTenant+")")
	f.StringVar(&d.key, "vault-key", "", "private `FILE` of at least 32 bytes that every process has; the database's keys come from it ("+EnvVaultKey+")")
	f.StringVar(&d.migrate, "migrate", "", "`WHAT` becomes of tables of an earlier version: apply, the default, carries them forward; verify says what is missing ("+EnvMigrate+")")
	for _, name := range []string{"database", "database-file", "tenant", "vault-key", "migrate"} {
		_ = f.MarkHidden(name) // they are there, and docs/postgres.md has them: few commands are about a cluster
	}
	for _, name := range []string{"database-file", "vault-key"} {
		_ = root.RegisterFlagCompletionFunc(name, Files)
	}
	Configurable(f)
}

// database returns what flags and environment say; nil when no database is named.
func (p *Program) database() (*postgres.Options, error) {
	d := p.Database
	address, file := p.pick(d.url, EnvDatabase), p.pick(d.file, EnvDatabaseFile)
	tenant, key, migrate := p.pick(d.tenant, EnvDatabaseTenant), p.pick(d.key, EnvVaultKey), p.pick(d.migrate, EnvMigrate)
	var wrong Problems
	if address == "" && file == "" {
		wrong.If(d.tenant != "" || d.migrate != "", "--tenant and --migrate are for a database: set also --database or --database-file")
		return nil, wrong.Err()
	}
	u, err := url.Parse(d.url)
	wrong.If(address != "" && file != "", "%s (--database) and %s (--database-file) are set: unset one of them", EnvDatabase, EnvDatabaseFile)
	wrong.If(err != nil || hasPassword(u), "--database may hold a password, and every user of this machine sees it there: write the address into a file, and name that by --database-file")
	wrong.If(tenant == "", "a database needs a tenant, whose rows they are: --tenant or %s", EnvDatabaseTenant)
	wrong.If(key == "", "a database needs a key that every process has: --vault-key or %s names its private file, of at least 32 bytes", EnvVaultKey)
	wrong.If(!slices.Contains([]string{"", "apply", "verify"}, migrate), "--migrate is apply or verify")
	opts := &postgres.Options{URL: secret.New(address), Tenant: tenant, Existing: !p.Founds, VerifyOnly: migrate == "verify"}
	if file != "" {
		opts.URL, err = secretFrom("--database-file", file, true)
		wrong.Add(err)
	}
	if key != "" {
		if opts.Key, err = vault.ReadKey(key); err != nil {
			wrong.Addf("--vault-key: %w", err)
		}
	}
	if tenant != "" {
		wrong.Add(postgres.CheckTenant(tenant))
	}
	if !opts.URL.IsZero() {
		wrong.Add(postgres.CheckURL(opts.URL))
	}
	return opts, wrong.Err()
}

// CheckState finds what is wrong with where the state is to be kept.
func (p *Program) CheckState(s Settings) error {
	var wrong Problems
	opts, err := p.database()
	wrong.Add(err)
	if key := p.Database.key; key != "" && opts == nil && err == nil {
		wrong.If(s.OAuth == nil, "--vault-key is for a database, or for a standard OAuth server: without either nothing is sealed by it")
		if _, err := vault.ReadKey(key); err != nil {
			wrong.Addf("--vault-key: %w", err)
		}
	}
	_, err = p.Keep()
	wrong.Add(err)
	return wrong.Err()
}

func hasPassword(u *url.URL) bool {
	_, in := u.User.Password()
	return in || u.Query().Has("password") || u.Query().Has("sslpassword")
}

// openDatabase opens the journal of a database.
func (p *Program) openDatabase(ctx context.Context, opts postgres.Options, readOnly bool, logger *slog.Logger) (*State, error) {
	db, err := postgres.Connect(ctx, opts)
	if err != nil {
		return nil, err
	}
	j, err := forward(readOnly, !opts.VerifyOnly, func(readOnly bool) (*postgres.Journal, error) {
		return postgres.OpenJournal(ctx, db, postgres.JournalOptions{ReadOnly: readOnly, Logger: logger})
	})
	if err != nil {
		db.Close()
		return nil, err
	}
	return &State{Store: j, where: db.Where(), dir: p.StateDir(), db: db, verifies: opts.VerifyOnly}, nil
}

// Database returns the database; nil where a directory keeps the state.
func (s *State) Database() *postgres.DB { return s.db }

// Close implements [journal.Store]. It closes the conversations as well.
func (s *State) Close() error {
	err := s.Store.Close()
	for _, store := range s.sessions {
		err = errors.Join(err, store.Close())
	}
	if s.db != nil {
		s.db.Close()
	}
	return err
}

// Within returns a context that ends when another process has the tasks of this one, with
// [journal.ErrLost] as its cause.
func (s *State) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.Lost() == nil {
		return context.WithCancel(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-s.Lost():
			cancel(journal.ErrLost)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// databaseSessions opens the conversations of a database.
func (s *State) databaseSessions(ctx context.Context) (*session.Store, error) {
	dialect := gormpostgres.New(gormpostgres.Config{Conn: session.Patient(stdlib.OpenDBFromPool(s.db.Pool()))})
	return session.New(dialect, func(migrate func() error) error {
		return s.db.Upgrade(ctx, "sessions", func(context.Context, postgres.Tx) error { return migrate() })
	})
}
