package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/journal"
)

// Options say which database, and whose part of it.
type Options struct {
	// URL is postgres://[USER[:PASSWORD]@]HOST[:PORT]/NAME[?sslmode=...]. What it leaves out
	// is taken from PGUSER, PGPASSWORD, PGPASSFILE and so on, as libpq does. A host that is
	// not this machine needs an sslmode. Required.
	URL secret.String

	// Tenant names whose rows these are: lower case letters, digits and _. Required.
	Tenant string

	// Key is what the keys of chains, token hashes and the vault are derived from, at least
	// 32 bytes. All processes have the same. Required.
	Key secret.String

	// Existing has a tenant that is not there be an error that wraps [ErrNoTenant], and not
	// made by whoever writes.
	Existing bool

	// VerifyOnly has an older schema be an error that wraps [journal.ErrOlder], and not
	// carried forward.
	VerifyOnly bool
}

// A DB is a tenant's part of a database. It is safe for concurrent use, and must be closed.
type DB struct {
	pool   *pgxpool.Pool
	opts   Options
	schema string
	keys   journal.Keys
}

var tenants = lazy.Regexp(`^[a-z0-9_]{1,48}$`)

// Connect opens a tenant's part of a database; ctx bounds the first connection. What it
// needs is made by [OpenJournal] and others, see [DB.Upgrade].
func Connect(ctx context.Context, opts Options) (*DB, error) {
	cfg, err := parse(opts.URL)
	if err = errors.Join(CheckTenant(opts.Tenant), err); err != nil {
		return nil, err
	}
	if len(opts.Key.Reveal()) < 32 {
		return nil, errors.New("postgres: the key has less than 32 bytes")
	}
	d := &DB{opts: opts, schema: "analyst_" + opts.Tenant}
	if d.keys, err = journal.DeriveKeys([]byte(opts.Key.Reveal()), opts.Tenant); err != nil {
		return nil, err
	}
	asked := map[string]string{
		"search_path": d.schema, "application_name": "analyst", "default_transaction_isolation": "read committed",
		"synchronous_commit": "on", "idle_in_transaction_session_timeout": "5s", "lock_timeout": "10s",
	}
	maps.Copy(cfg.ConnConfig.RuntimeParams, asked)
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	if d.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, errors.New("postgres: the database's settings do not go together")
	}
	if err = d.keeps(ctx, asked); err != nil {
		err = fmt.Errorf("journal: connect to %w at %s: %w", errDatabase, cfg.ConnConfig.Host, reason(err))
	} else if opts.Existing {
		err = d.exists(ctx)
	}
	if err != nil {
		d.pool.Close()
		return nil, err
	}
	return d, nil
}

// keeps fails where a connection does not have the settings that it was asked for: what is
// between drops them, and statements would find whichever tables are there.
func (d *DB) keeps(ctx context.Context, asked map[string]string) error {
	var lost *string
	text, err := json.Marshal(asked)
	if err == nil { // in one message: the next may go elsewhere
		err = d.pool.QueryRow(ctx, "SELECT string_agg(key, ', ' ORDER BY key) FROM json_each_text($1::text::json) WHERE current_setting(key) <> value",
			pgx.QueryExecModeExec, string(text)).Scan(&lost)
	}
	if err == nil && lost != nil {
		err = fmt.Errorf("its connections do not keep the settings that they are opened with (%s), as those of PgBouncer: address Postgres itself", *lost)
	}
	return err
}

// exists fails where the tenant is not there, or not for its user, and names those that are.
func (d *DB) exists(ctx context.Context) error {
	rows, err := d.pool.Query(ctx, `SELECT substr(nspname, 9) FROM pg_namespace
WHERE starts_with(nspname, 'analyst_') AND has_schema_privilege(oid, 'USAGE') ORDER BY nspname <> $1, nspname LIMIT 20`, d.schema)
	if err != nil {
		return failed(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	switch {
	case err != nil:
		return failed(err)
	case len(names) > 0 && names[0] == d.opts.Tenant:
		return nil
	}
	others := ""
	if len(names) > 0 {
		others = "; there are: " + strings.Join(names, ", ")
	}
	return fmt.Errorf("postgres: %w: %s for user %s%s", ErrNoTenant, strings.TrimPrefix(d.Where(), "tenant "), d.pool.Config().ConnConfig.User, others)
}

// CheckTenant fails where no tenant can have a name.
func CheckTenant(name string) error {
	if !tenants().MatchString(name) {
		return fmt.Errorf("postgres: tenant %q: one is named by 48 lower case letters, digits and _ at most", name)
	}
	return nil
}

// CheckURL fails where an address cannot be that of any database; see [Options]. It quotes
// nothing of it.
func CheckURL(address secret.String) error {
	_, err := parse(address)
	return err
}

func parse(from secret.String) (*pgxpool.Config, error) {
	address := from.Reveal()
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("postgres: the database's address does not read postgres://HOST/NAME")
	}
	cfg, err := pgxpool.ParseConfig(address)
	if err != nil { // which may quote a part of it
		return nil, errors.New("postgres: the database's address cannot be used: look at its port, its sslmode and the files that it names")
	}
	if u.Query().Get("sslmode") == "" && os.Getenv("PGSSLMODE") == "" && !local(cfg.ConnConfig.Host) {
		return nil, errors.New("postgres: the database is on another machine: add sslmode=verify-full to its address, or what else is meant")
	}
	if m := cfg.ConnConfig.DefaultQueryExecMode; m == pgx.QueryExecModeExec || m == pgx.QueryExecModeSimpleProtocol {
		return nil, errors.New("postgres: default_query_exec_mode in the database's address is one that knows no types: leave it out")
	}
	if cfg.MaxConns < 2 { // tables are made on one beside the one that keeps others from it
		return nil, errors.New("postgres: pool_max_conns in the database's address is less than 2")
	}
	return cfg, nil
}

func local(host string) bool {
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback()
}

// Pool returns the connections, whose statements see the tenant's tables alone.
func (d *DB) Pool() *pgxpool.Pool { return d.pool }

// Close closes the connections.
func (d *DB) Close() { d.pool.Close() }

// Where says which database it is, without what is secret.
func (d *DB) Where() string {
	c := d.pool.Config().ConnConfig
	return fmt.Sprintf("tenant %s in Postgres database %s at %s", d.opts.Tenant, c.Database, c.Host)
}

// passed is when a row of owners, of that name, may be claimed.
func passed(o string) string {
	return "(" + o + ".until = '-infinity' OR clock_timestamp() > greatest(" + o + ".until, pg_postmaster_start_time() + interval '10 s'))"
}

// renewed is how a lease is renewed. What it was not for a while is noted: see [Journal.Claim].
const renewed = "until = clock_timestamp() + interval '10 s', since = CASE WHEN until < clock_timestamp() THEN clock_timestamp() ELSE since END"

// reason returns why there is no connection: the server's words, or the network's.
func reason(err error) error {
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		return said
	}
	if broke, ok := errors.AsType[*net.OpError](err); ok {
		return broke
	}
	return err
}

// ErrNoTenant says that a database has no tenant of that name, and ErrKey that its tenant
// was begun with another key.
var (
	ErrNoTenant = errors.New("no such tenant")
	ErrKey      = errors.New("the key is not the one")
)

var errDatabase = errors.New("the database")

// Concerns reports whether an error is about a database: one of this package, or of its
// driver, which those pass on who keep something beside the journal.
func Concerns(err error) bool {
	_, said := errors.AsType[*pgconn.PgError](err)
	_, away := errors.AsType[*pgconn.ConnectError](err)
	return said || away || errors.Is(err, errDatabase)
}

// An awayError says that the database is not there now; the same may work later.
type awayError struct{ error }

func (e *awayError) Unwrap() error { return e.error }

// fault says what an error of the database means for a change.
func fault(err error) error {
	if err == nil {
		return nil
	}
	said, ok := errors.AsType[*pgconn.PgError](err)
	code := "08000"
	if ok {
		code = said.Code
	}
	remedy, again := "the database does not take it", false
	switch {
	case code == "42501":
		remedy = "its user may not: grant it the schema"
	case code == "53100":
		remedy = "its disk is full: free some space"
	case code == "57014": // cancelled
	case slices.Contains([]string{"08", "40", "57"}, code[:2]), // connection, deadlock, shutdown
		code == "53300", code == "55P03", code == "25006", code == "25P03": // too many connections, a lock, a standby, slept too long
		remedy, again = "the database does not answer: look after it, then try again", true
	}
	err = fmt.Errorf("journal: cannot write to %w: %s: %w (%w)", errDatabase, remedy, journal.ErrUnwritable, err)
	if again {
		err = &awayError{err}
	}
	return err
}

// failed says what an error of the database means for whoever reads.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("journal: read %w: %w", errDatabase, err)
}
