package lumodev

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/secret"
)

// Files in a state directory.
const (
	databaseFile = "lumodev.db"
	keyFile      = "signing-key.json"
	lockFile     = "lock"
)

// ErrInUse reports a state directory that another server holds.
var ErrInUse = errors.New("in use by another lumodev: stop that one or use another directory")

// schemaVersion is the version of the tables below. A database of a later one is
// refused: this program cannot know what it would lose.
const schemaVersion = 1

const schema = `
CREATE TABLE records (kind TEXT NOT NULL, id TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TABLE secrets (client_id TEXT PRIMARY KEY, secret TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;`

// store is the state directory of one process: the database to which every
// change is written before it is answered, the signing key, and the lock that
// keeps other processes out. Memory is the truth; the store is read once.
type store struct {
	dir  string
	db   *sqldb.Conn
	lock *os.File
}

// openStore opens or makes a state directory.
func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("lumodev: state directory: %w", err)
	}
	if err := checkPrivate(dir); err != nil {
		return nil, err
	}
	lock, err := disk.Open(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("lumodev: state directory %s: %w", dir, err)
	}
	if ok, err := disk.TryLock(lock); !ok {
		if err == nil {
			err = ErrInUse
		}
		return nil, errors.Join(fmt.Errorf("lumodev: state directory %s: %w", dir, err), lock.Close())
	}
	s := &store{dir: dir, lock: lock}
	if err := s.openDatabase(); err != nil {
		return nil, errors.Join(fmt.Errorf("lumodev: state directory %s: %w", dir, err), s.close())
	}
	return s, nil
}

// checkPrivate refuses a file or directory that others may read: it holds keys.
func checkPrivate(path string) error {
	info, err := os.Stat(path)
	if err == nil {
		err = disk.Private(path, info)
	}
	if err != nil {
		return fmt.Errorf("lumodev: %w", err)
	}
	return nil
}

func (s *store) openDatabase() (err error) {
	if s.db, err = sqldb.Connect(filepath.Join(s.dir, databaseFile), true); err != nil {
		return err
	}
	var version int64
	err = s.db.Query(func(r sqldb.Row) error { version = r.Int(0); return nil }, "PRAGMA user_version")
	switch {
	case err != nil:
		return err
	case version > schemaVersion:
		return fmt.Errorf("%s was written by a later version (schema %d, this program knows %d): use that version or another directory",
			databaseFile, version, schemaVersion)
	case version == 0:
		return s.transact(func() error { return s.db.Do(schema) })
	}
	return nil
}

// transact has all of f happen or nothing: synchronous=FULL has SQLite wait for the
// disk.
func (s *store) transact(f func() error) error {
	err := s.db.Exec("BEGIN IMMEDIATE")
	if err != nil {
		return err
	}
	if err = f(); err == nil {
		err = s.db.Exec("COMMIT")
	}
	if err != nil {
		_ = s.db.Exec("ROLLBACK") // fails where SQLite has done so itself
	}
	return err
}

// close releases everything. It may be called on a store that is half open.
func (s *store) close() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	errs = append(errs, s.lock.Close()) // and with it the lock
	return errors.Join(errs...)
}

// write makes a change durable.
func (s *store) write(c *change) error {
	err := s.transact(func() error {
		for _, r := range c.put {
			data, err := json.Marshal(r)
			if err == nil {
				err = s.db.Exec("INSERT INTO records (kind, id, data) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET data = excluded.data",
					r.key().kind, r.key().id, string(data))
			}
			if err != nil {
				return err
			}
		}
		for _, key := range c.forget {
			if err := s.db.Exec("DELETE FROM records WHERE kind = ? AND id = ?", key.kind, key.id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("lumodev: write state: %w", err)
	}
	return nil
}

// load reads everything.
func (s *store) load() (*state, error) {
	st := newState()
	err := s.db.Query(func(row sqldb.Row) error {
		kind, id := row.Text(0), row.Text(1)
		of := st.tables[kind]
		if of == nil {
			return fmt.Errorf("%s is of unknown kind %s", id, kind)
		}
		r, err := of.decode([]byte(row.Text(2)))
		if err != nil {
			return fmt.Errorf("%s %s is damaged: %w", kind, id, err)
		}
		st.apply(&change{put: []record{r}})
		return nil
	}, "SELECT kind, id, data FROM records")
	if err != nil {
		return nil, fmt.Errorf("lumodev: read state: %w", err)
	}
	for _, ids := range st.ofTask { // rows come by id
		slices.SortFunc(ids, func(a, b string) int { return st.requests[a].CreatedAt.Compare(st.requests[b].CreatedAt) })
	}
	st.totals = Totals{} // of this process
	return st, nil
}

// clientSecret returns the generated secret of a client, and keeps a new one the
// first time.
func (s *store) clientSecret(clientID string) (v secret.String, err error) {
	err = s.db.Exec("INSERT INTO secrets (client_id, secret) VALUES (?, ?) ON CONFLICT DO NOTHING",
		clientID, newSecret().Reveal()) // to the 0600 database, beside the signing key
	if err == nil {
		err = s.db.Query(func(r sqldb.Row) error { v = secret.New(r.Text(0)); return nil },
			"SELECT secret FROM secrets WHERE client_id = ?", clientID)
	}
	if err != nil {
		return secret.String{}, fmt.Errorf("lumodev: keep a client secret: %w", err)
	}
	return v, nil
}

// signingKey returns the directory's key, and makes one the first time.
func (s *store) signingKey() (jose.JSONWebKey, error) {
	path := filepath.Join(s.dir, keyFile)
	var key jose.JSONWebKey
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return s.makeKey(path)
	case err != nil:
		return key, fmt.Errorf("lumodev: signing key: %w", err)
	}
	if err := checkPrivate(path); err != nil {
		return key, err
	}
	// The cause may quote the file, which is a secret.
	if err := key.UnmarshalJSON(data); err != nil || key.IsPublic() || key.Algorithm != string(jose.ES256) {
		return key, fmt.Errorf("lumodev: signing key: %s does not hold an ES256 private key", path)
	}
	return withKeyID(key)
}

func (s *store) makeKey(path string) (jose.JSONWebKey, error) {
	key, err := newKey()
	if err != nil {
		return key, fmt.Errorf("lumodev: make a signing key: %w", err)
	}
	data, err := key.MarshalJSON()
	if err != nil {
		return key, fmt.Errorf("lumodev: make a signing key: %w", err)
	}
	if err := disk.Replace(path, data, 0o600); err != nil {
		return key, fmt.Errorf("lumodev: keep the signing key: %w", err)
	}
	return key, nil
}
