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
// change is written before it is answered, with the secrets and the signing key, and
// the lock that keeps other processes out. Memory is the truth; the store is read once.
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
		return nil, fmt.Errorf("lumodev: %w", err)
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
	return err
}

func (s *store) openDatabase() (err error) {
	path := filepath.Join(s.dir, databaseFile)
	if s.db, err = sqldb.Connect(path, true); err != nil {
		return err
	}
	if err := checkPrivate(path); err != nil {
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

// kept returns the secret of this name, a client's or [keyName], and keeps what make
// gives the first time.
func (s *store) kept(name string, made secret.String) (v secret.String, err error) {
	err = s.db.Exec("INSERT INTO secrets (client_id, secret) VALUES (?, ?) ON CONFLICT DO NOTHING",
		name, made.Reveal()) // to the 0600 database
	if err == nil {
		err = s.db.Query(func(r sqldb.Row) error { v = secret.New(r.Text(0)); return nil },
			"SELECT secret FROM secrets WHERE client_id = ?", name)
	}
	if err != nil {
		return secret.String{}, fmt.Errorf("lumodev: keep a secret: %w", err)
	}
	return v, nil
}

// keyName is the name of the signing key among the secrets: no client has it.
const keyName = "(signing key)"

// signingKey returns the directory's key: fresh the first time.
func (s *store) signingKey(fresh jose.JSONWebKey) (key jose.JSONWebKey, err error) {
	text, err := fresh.MarshalJSON()
	if err != nil {
		return key, fmt.Errorf("lumodev: signing key: %w", err)
	}
	found, err := s.kept(keyName, secret.New(string(text)))
	if err != nil {
		return key, err
	}
	// The cause may quote the key, which is a secret.
	if err := key.UnmarshalJSON([]byte(found.Reveal())); err != nil || key.IsPublic() || key.Algorithm != string(jose.ES256) {
		return key, errors.New("lumodev: signing key: the state directory does not hold an ES256 private key")
	}
	return key, nil
}
