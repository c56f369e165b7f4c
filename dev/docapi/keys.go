package docapi

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/internal/sqldb"
)

var (
	errInFlight     = errors.New("idempotency key in flight")
	errOtherPayload = errors.New("idempotency key used with another payload")
)

var validKey = lazy.Regexp(`^[\x21-\x7e]{1,128}$`)

// idempotencyKey returns the request's key, "" when it has none.
func idempotencyKey(h http.Header) (string, bool) {
	values := h.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", true
	}
	return values[0], len(values) == 1 && validKey().MatchString(values[0])
}

// A keyStore remembers which request an idempotency key belongs to and how it was
// answered.
//
// An entry is durable before the report is written, and says which id the report
// will have. A try that ends early, however it ends, is so continued by the next
// one instead of repeated.
type keyStore struct {
	limits Limits
	now    func() time.Time

	mu     sync.Mutex // guards all below
	db     *sqldb.Conn
	flying map[string]bool // the keys in use
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
	open := sqldb.ConnectMemory
	if dir != "" {
		path := filepath.Join(dir, "docapi.db")
		open = func() (*sqldb.Conn, error) { return sqldb.Connect(path, true) }
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
	if err := db.Do(keySchema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &keyStore{db: db, limits: limits, now: now, flying: make(map[string]bool)}, nil
}

func (k *keyStore) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.db.Close()
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

// begin takes the key that the client of this hash uses. When it succeeds, end gives it
// back. The entry is that of the first request with the key; for a new key it has the id
// and time given. Entries
// over their age are forgotten, and the client's oldest when it has too many, never
// the one in use: one client cannot make the server forget another's.
func (k *keyStore) begin(client, key, digest, reportID string, at time.Time) (*entry, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.flying[key] {
		return nil, errInFlight
	}
	if err := k.db.Exec(`DELETE FROM idempotency WHERE created_at < ?`, k.now().Add(-k.limits.KeyAge).Unix()); err != nil {
		return nil, err
	}
	if err := k.db.Exec(`INSERT OR IGNORE INTO idempotency (key, client, digest, report_id, created_at)
		VALUES (?, ?, ?, ?, ?)`, key, client, digest, reportID, at.Unix()); err != nil {
		return nil, err
	}
	var e entry
	var have string
	if err := k.db.Query(func(r sqldb.Row) error {
		have, e = r.Text(0), entry{reportID: r.Text(1), createdAt: time.Unix(r.Int(2), 0).UTC(), response: r.Bytes(3)}
		return nil
	}, `SELECT digest, report_id, created_at, response FROM idempotency WHERE key = ?`, key); err != nil {
		return nil, err
	}
	if have != digest {
		return nil, errOtherPayload
	}
	if err := k.db.Exec(`DELETE FROM idempotency WHERE key IN (
		SELECT key FROM idempotency WHERE client = ? AND key != ?
		ORDER BY created_at DESC, rowid DESC LIMIT -1 OFFSET ?)`, client, key, k.limits.Keys-1); err != nil {
		return nil, err
	}
	k.flying[key] = true
	return &e, nil
}

// done records the answer.
func (k *keyStore) done(key string, response []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.db.Exec(`UPDATE idempotency SET response = ? WHERE key = ?`, response, key)
}

// end lets the next request use the key.
func (k *keyStore) end(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.flying, key)
}

// storeFull reports whether err says that the state's disk is full.
func storeFull(err error) bool {
	return sqldb.Code(err) == sqldb.Full
}
