package docapi

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/jitagent/jitagent/internal/sqldb"
)

var (
	errInFlight     = errors.New("idempotency key in flight")
	errOtherPayload = errors.New("idempotency key used with another payload")
)

var validKey = regexp.MustCompile(`^[\x21-\x7e]{1,128}$`)

// idempotencyKey returns the request's key, "" when it has none.
func idempotencyKey(h http.Header) (string, bool) {
	values := h.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", true
	}
	return values[0], len(values) == 1 && validKey.MatchString(values[0])
}

// A keyStore remembers which request an idempotency key belongs to and how it was
// answered.
//
// An entry is durable before the report is written, and says which id the report
// will have. A try that ends early, however it ends, is so continued by the next
// one instead of repeated.
type keyStore struct {
	db     *sql.DB
	limits Limits
	now    func() time.Time

	flying sync.Map // the keys in use
}

// An entry is what the store knows of a key.
type entry struct {
	reportID  string
	createdAt time.Time
	response  []byte // nil until the report was made
}

const keySchema = `
CREATE TABLE IF NOT EXISTS idempotency (
	key        TEXT PRIMARY KEY, -- hash of client and key
	client     TEXT NOT NULL,    -- hash of the client
	digest     TEXT NOT NULL,    -- hash of the payload
	report_id  TEXT NOT NULL,
	created_at INTEGER NOT NULL, -- Unix seconds
	response   BLOB
) STRICT;
CREATE INDEX IF NOT EXISTS idempotency_age ON idempotency (created_at);
CREATE INDEX IF NOT EXISTS idempotency_client ON idempotency (client, created_at);`

// openKeys opens the store in dir, or in memory for "".
func openKeys(dir string, limits Limits, now func() time.Time) (*keyStore, error) {
	// One connection: a database in memory lives and dies with it, and writers
	// would wait for each other anyway.
	open := sqldb.Memory
	if dir != "" {
		path := filepath.Join(dir, "docapi.db")
		open = func() (*sql.DB, error) { return sqldb.Open(path, 1) }
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		// An older version made it for all to read.
		if err := os.Chmod(path, 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	db, err := open()
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(context.Background(), keySchema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &keyStore{db: db, limits: limits, now: now}, nil
}

func (k *keyStore) close() error { return k.db.Close() }

// A keyUse is one request's use of a key.
type keyUse struct {
	store  *keyStore
	client string
	key    string
}

// use prepares to use key for the client that goes by name, a name of the given
// kind. Keys of different clients never meet.
func (k *keyStore) use(kind, name, key string) *keyUse {
	return &keyUse{store: k, client: hash(kind, name), key: hash(kind, name, key)}
}

// hash is injective in its parts: none of them reaches into the next.
func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		sum := sha256.Sum256([]byte(p))
		_, _ = h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// begin takes the key. When it succeeds, end gives it back. The entry is that of
// the first request with the key; for a new key it has the id and time given.
func (u *keyUse) begin(ctx context.Context, digest, reportID string, at time.Time) (_ *entry, err error) {
	if _, taken := u.store.flying.LoadOrStore(u.key, true); taken {
		return nil, errInFlight
	}
	defer func() {
		if err != nil {
			u.end()
		}
	}()
	db := u.store.db
	if err := u.store.dropOld(ctx); err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, `INSERT OR IGNORE INTO idempotency (key, client, digest, report_id, created_at)
		VALUES (?, ?, ?, ?, ?)`, u.key, u.client, digest, reportID, at.Unix()); err != nil {
		return nil, err
	}
	var e entry
	var have string
	var created int64
	err = db.QueryRowContext(ctx, `SELECT digest, report_id, created_at, response FROM idempotency WHERE key = ?`, u.key).
		Scan(&have, &e.reportID, &created, &e.response)
	if err != nil {
		return nil, err
	}
	if have != digest {
		return nil, errOtherPayload
	}
	if err := u.dropOverflow(ctx); err != nil {
		return nil, err
	}
	e.createdAt = time.Unix(created, 0).UTC()
	return &e, nil
}

// done records the answer.
func (u *keyUse) done(ctx context.Context, response []byte) error {
	_, err := u.store.db.ExecContext(ctx, `UPDATE idempotency SET response = ? WHERE key = ?`, response, u.key)
	return err
}

// end lets the next request use the key.
func (u *keyUse) end() { u.store.flying.Delete(u.key) }

// dropOld forgets entries over their age.
func (k *keyStore) dropOld(ctx context.Context) error {
	_, err := k.db.ExecContext(ctx, `DELETE FROM idempotency WHERE created_at < ?`, k.now().Add(-k.limits.KeyAge).Unix())
	return err
}

// dropOverflow forgets the client's oldest entries when it has too many, never
// the one in use. One client cannot make the server forget another's.
func (u *keyUse) dropOverflow(ctx context.Context) error {
	_, err := u.store.db.ExecContext(ctx, `DELETE FROM idempotency WHERE key IN (
		SELECT key FROM idempotency WHERE client = ? AND key != ?
		ORDER BY created_at DESC, rowid DESC LIMIT -1 OFFSET ?)`,
		u.client, u.key, u.store.limits.Keys-1)
	return err
}

// storeFull reports whether err says that the state's disk is full.
func storeFull(err error) bool {
	return sqldb.Code(err) == sqldb.Full
}
