// Package session keeps conversations, and what suspended ones are gone on with, in a
// database: [Store] is ADK's session service and the runner's [runner.Suspensions].
//
// # Invariants
//
//   - The files are private to their owner, and what is deleted does not come back: not
//     under the same name either.
//   - A suspension is durable before Save returns. Of a conversation the last events may
//     be lost with the power, and never out of their middle.
//   - Nothing here decides what runs: package jit's journal knows which suspension is to
//     be gone on with, and its digest.
//
// ADK's own service stores the events (google.golang.org/adk/v2/session/database). It
// reads numbers back as float64 and puts events in order by their time alone: the runner
// writes what survives that.
package session

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/glebarez/sqlite"
	"google.golang.org/adk/v2/platform"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/session/database"
	"google.golang.org/genai"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/journal"
)

// File is the name of the database in a state directory.
const File = "sessions.db"

// version is that of the tables.
const version = 1

// A Store keeps sessions. It is safe for concurrent use, and so is one database by
// several stores, in one process or many. It must be closed.
type Store struct {
	events session.Service
	db     *gorm.DB
	writes *gorm.DB // of events
	fence  Fence    // may be nil
	close  []func() error
}

// A Tx is a transaction, as a fence sees it.
type Tx interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// A Fence keeps those from writing to a session who are not at it any more. ADK's own
// service compares times, and takes the events of two writers that read the same.
type Fence interface {
	// Fence is asked in the transaction of each event that is appended, and of what a session
	// is suspended with when that is saved or dropped: an error keeps it from being written.
	Fence(ctx context.Context, tx Tx, app, user, session string) error
	// Away is told when the database goes away while an event is appended, so that it is not
	// known if that was written.
	Away(ctx context.Context, app, user, session string)
}

// Fence has writes pass a fence. Call it once, before the first use.
func (s *Store) Fence(f Fence) error {
	s.fence = f
	return s.writes.Callback().Create().Before("gorm:create").Register("jitagent:fence", func(tx *gorm.DB) {
		ctx := tx.Statement.Context
		if at, ok := ctx.Value(placeKey{}).([3]string); ok && tx.Statement.Table == "events" {
			_ = tx.AddError(f.Fence(ctx, tx.Statement.ConnPool, at[0], at[1], at[2])) // which is what Create returns
		}
	})
}

// placeKey is the context key of where an event is appended.
type placeKey struct{}

// fenced runs do, which may be done twice, in a transaction that the fence lets through.
func (s *Store) fenced(ctx context.Context, app, user, id string, do func(*gorm.DB) error) error {
	_, err := again(ctx, func() (struct{}, error) {
		return struct{}{}, s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if s.fence != nil {
				if err := s.fence.Fence(ctx, tx.Statement.ConnPool, app, user, id); err != nil {
					return err
				}
			}
			return do(tx)
		})
	})
	return err
}

var (
	_ session.Service    = (*Store)(nil)
	_ runner.Suspensions = (*Store)(nil)
)

// suspended is a row: what a session is gone on with.
type suspended struct {
	AppName   string `gorm:"primaryKey;index:suspended_by_age,priority:1"`
	UserID    string `gorm:"primaryKey"`
	SessionID string `gorm:"primaryKey"`
	SavedAt   int64  `gorm:"index:suspended_by_age,priority:2"` // microseconds of Unix time
	Until     int64
	Data      string // a runner.Suspension as JSON, kept as text so that no number changes
}

// TableName implements gorm's Tabler.
func (suspended) TableName() string { return "suspended" }

// New returns a store in a database that dialect opens. Its tables are made where upgrade
// calls the function that it is given; nil has them made each time. Closing the store
// closes the database.
func New(dialect gorm.Dialector, upgrade func(migrate func() error) error) (*Store, error) {
	opened := &opens{Config: quiet()}
	events, err := database.NewSessionService(dialect, opened)
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	pool, err := opened.db.DB()
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	s := &Store{events: events, db: opened.db, writes: opened.db, close: []func() error{pool.Close}}
	if upgrade == nil {
		upgrade = func(migrate func() error) error { return migrate() }
	}
	if err := upgrade(s.migrate); err != nil {
		return nil, errors.Join(fmt.Errorf("sessions: %w", err), s.Close())
	}
	return s, nil
}

// opens is a configuration that keeps what was opened with it, which ADK does not give
// out.
type opens struct {
	*gorm.Config
	db *gorm.DB
}

// AfterInitialize implements [gorm.Option].
func (o *opens) AfterInitialize(db *gorm.DB) error {
	o.db = db
	return o.Config.AfterInitialize(db)
}

// quiet has gorm print nothing: it would print what is stored.
func quiet() *gorm.Config { return &gorm.Config{Logger: logger.Discard} }

// connect opens the conversations and, through a connection that may wait for the disk
// longer, the suspensions.
func connect(conversations, suspensions gorm.Dialector) (*Store, error) {
	opened := &opens{Config: quiet()}
	events, err := database.NewSessionService(conversations, opened)
	if err != nil {
		return nil, err
	}
	db, err := gorm.Open(suspensions, quiet())
	return &Store{events: events, db: db, writes: opened.db}, err
}

func (s *Store) migrate() error {
	if err := database.AutoMigrate(s.events); err != nil {
		return err
	}
	if err := s.db.AutoMigrate(&suspended{}); err != nil {
		return err
	}
	for _, index := range []string{
		"CREATE INDEX IF NOT EXISTS events_of_session ON events (app_name, user_id, session_id, timestamp)",
		"CREATE INDEX IF NOT EXISTS sessions_by_age ON sessions (app_name, update_time)",
	} {
		if err := s.db.Exec(index).Error; err != nil {
			return err
		}
	}
	return nil
}

// Open opens the database of a state directory, which exists and is private, and makes
// it if need be. It fails with [journal.ErrNewer] for one of a later version.
func Open(ctx context.Context, dir string) (_ *Store, err error) {
	path := filepath.Join(dir, File)
	defer func() {
		if err != nil {
			err = fmt.Errorf("sessions: %s: %w", path, err)
		}
	}()
	if err := private(path, path+"-wal", path+"-shm"); err != nil {
		return nil, err
	}
	// What it costs to wait for the disk at each event is not worth what it saves: a
	// conversation that a power cut shortens is repaired.
	relaxed, err := open(ctx, path, "PRAGMA synchronous = NORMAL")
	if err != nil {
		return nil, err
	}
	durable, err := open(ctx, path)
	if err != nil {
		return nil, errors.Join(err, relaxed.Close())
	}
	s, err := connect(&sqlite.Dialector{Conn: relaxed}, &sqlite.Dialector{Conn: durable})
	if err == nil {
		s.close = []func() error{relaxed.Close, durable.Close}
		err = s.upgrade(ctx, path+".lock")
	}
	if err != nil {
		return nil, errors.Join(err, relaxed.Close(), durable.Close())
	}
	return s, nil
}

// private refuses files that others may use.
func private(paths ...string) error {
	for _, path := range paths {
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil && !info.Mode().IsRegular():
			return fmt.Errorf("%s is %w: it is not a regular file: remove it", path, disk.ErrShared)
		case err == nil:
			err = disk.Private(path, info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// open opens one connection, which stays.
func open(ctx context.Context, path string, pragmas ...string) (*sql.DB, error) {
	db, err := sqldb.Open(path, 1)
	if err != nil {
		return nil, err
	}
	// Without foreign keys the events of a deleted session would be those of the next
	// one of its name.
	for _, pragma := range append(pragmas, "PRAGMA foreign_keys = ON") {
		if _, err := db.ExecContext(ctx, pragma); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

// upgrade makes the tables unless they are there. Of several processes one makes them:
// gorm asks whether a table is there, and then makes it.
func (s *Store) upgrade(ctx context.Context, lock string) (err error) {
	if done, err := s.upgraded(); done || err != nil {
		return err
	}
	f, err := disk.Open(lock, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }() // which unlocks
	if err := disk.Lock(ctx, f, sqldb.Patience); err != nil {
		return err
	}
	if done, err := s.upgraded(); done || err != nil {
		return err
	}
	if err := s.migrate(); err != nil {
		return err
	}
	return s.db.Exec(fmt.Sprintf("PRAGMA user_version = %d", version)).Error
}

// upgraded reports whether the tables are those of this version.
func (s *Store) upgraded() (bool, error) {
	var v int
	if err := s.db.Raw("PRAGMA user_version").Scan(&v).Error; err != nil {
		return false, err
	}
	if v > version {
		return false, fmt.Errorf("it was %w (%d, this one knows %d): use that version or another directory", journal.ErrNewer, v, version)
	}
	return v == version, nil
}

// Close closes the database.
func (s *Store) Close() error {
	var errs []error
	for _, end := range s.close {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

// Create implements [session.Service].
func (s *Store) Create(ctx context.Context, req *session.CreateRequest) (*session.CreateResponse, error) {
	// SQLite compares times as text, so all are in one zone.
	v, err := s.events.Create(platform.WithTimeProvider(ctx, func() time.Time { return time.Now().UTC() }), req)
	return v, Unavailable(ctx, err)
}

// Get implements [session.Service].
func (s *Store) Get(ctx context.Context, req *session.GetRequest) (*session.GetResponse, error) {
	v, err := s.events.Get(ctx, req)
	return v, Unavailable(ctx, err)
}

// List implements [session.Service].
func (s *Store) List(ctx context.Context, req *session.ListRequest) (*session.ListResponse, error) {
	v, err := s.events.List(ctx, req)
	return v, Unavailable(ctx, err)
}

// AppendEvent implements [session.Service].
func (s *Store) AppendEvent(ctx context.Context, to session.Session, ev *session.Event) error {
	if ev != nil && ev.Timestamp.Location() != time.UTC {
		utc := *ev
		utc.Timestamp, ev = ev.Timestamp.UTC(), &utc
	}
	ctx = context.WithValue(ctx, placeKey{}, [3]string{to.AppName(), to.UserID(), to.ID()})
	err := s.events.AppendEvent(ctx, to, ev)
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "stale session"): // ADK has no error value for it
		return fmt.Errorf("sessions: another process goes on with session %s: %w", to.ID(), err)
	case ctx.Err() == nil && away(err):
		if s.fence != nil {
			s.fence.Away(ctx, to.AppName(), to.UserID(), to.ID())
		}
		return fmt.Errorf("sessions: %w: %w", runner.ErrAway, err)
	}
	return err
}

// Delete implements [session.Service]. What the session was suspended with goes first,
// so that a crash leaves nothing that could be gone on with.
func (s *Store) Delete(ctx context.Context, req *session.DeleteRequest) error {
	if err := s.Drop(ctx, req.AppName, req.UserID, req.SessionID, ""); err != nil {
		return err
	}
	return s.events.Delete(ctx, req)
}

// Save implements [runner.Suspensions].
func (s *Store) Save(ctx context.Context, v *runner.Suspension) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("sessions: %w", err)
	}
	row := suspended{v.App, v.User, v.Session, time.Now().UnixMicro(), v.Until.UnixMicro(), string(data)}
	if err := s.fenced(ctx, v.App, v.User, v.Session, func(tx *gorm.DB) error {
		return tx.Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error
	}); err != nil {
		return fmt.Errorf("sessions: suspend %s: %w", v.Session, err)
	}
	return nil
}

// Load implements [runner.Suspensions].
func (s *Store) Load(ctx context.Context, app, user, id string) (*runner.Suspension, error) {
	var rows []suspended
	if err := of(s.db.WithContext(ctx), app, user, id).Limit(1).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("sessions: %s: %w", id, Unavailable(ctx, err))
	}
	if len(rows) == 0 {
		return nil, nil
	}
	v := new(runner.Suspension)
	if err := json.Unmarshal([]byte(rows[0].Data), v); err != nil {
		return nil, fmt.Errorf("sessions: %s: what it was suspended with cannot be read: %w", id, err)
	}
	return v, nil
}

// Drop implements [runner.Suspensions].
func (s *Store) Drop(ctx context.Context, app, user, id, run string) error {
	if err := s.fenced(ctx, app, user, id, func(tx *gorm.DB) error {
		rows := of(tx, app, user, id)
		if run != "" {
			rows = rows.Where("data LIKE ?", fmt.Sprintf("%%%q:%q%%", "run", run))
		}
		return rows.Delete(&suspended{}).Error
	}); err != nil {
		return fmt.Errorf("sessions: %s: %w", id, err)
	}
	return nil
}

func of(db *gorm.DB, app, user, id string) *gorm.DB {
	return db.Where("app_name = ? AND user_id = ? AND session_id = ?", app, user, id)
}

// A Summary is what a list says of a session.
type Summary struct {
	User    string           `json:"user"`
	ID      string           `json:"id"`
	Updated time.Time        `json:"updated"`
	Title   string           `json:"title"`             // the beginning of what was said first
	Waiting []runner.Waiting `json:"waiting,omitempty"` // of a suspended session
}

// Recent returns the sessions of an application that were changed last, the newest
// first; most bounds how many, and how long their titles are is the caller's to bound.
// With onlySuspended those that are not suspended are left out.
func (s *Store) Recent(ctx context.Context, app string, most int, onlySuspended bool) ([]Summary, error) {
	var rows []struct {
		UserID, ID, Content, Data string
		UpdateTime                time.Time
	}
	query := "SELECT s.user_id, s.id, s.update_time, d.data, (SELECT e.content FROM events e WHERE e.app_name = s.app_name AND " +
		"e.user_id = s.user_id AND e.session_id = s.id ORDER BY e.timestamp LIMIT 1) AS content FROM "
	const same = " ON d.app_name = s.app_name AND d.user_id = s.user_id AND d.session_id = s.id WHERE "
	if onlySuspended {
		query += "(SELECT * FROM suspended WHERE app_name = ? ORDER BY saved_at DESC LIMIT ?) d JOIN sessions s" + same + "TRUE ORDER BY d.saved_at DESC"
	} else {
		query += "sessions s LEFT JOIN suspended d" + same + "s.app_name = ? ORDER BY s.update_time DESC LIMIT ?"
	}
	if err := s.db.WithContext(ctx).Raw(query, app, most).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	list := make([]Summary, len(rows))
	for i, r := range rows {
		list[i] = Summary{User: r.UserID, ID: r.ID, Updated: r.UpdateTime.UTC(), Title: title(r.Content)}
		var v runner.Suspension
		if r.Data != "" && json.Unmarshal([]byte(r.Data), &v) == nil {
			list[i].Waiting = v.Waiting()
		}
	}
	return list, nil
}

// title returns the text of a stored content.
func title(content string) string {
	var c genai.Content
	if json.Unmarshal([]byte(content), &c) != nil {
		return ""
	}
	for _, p := range c.Parts {
		if p != nil && p.Text != "" {
			return p.Text
		}
	}
	return ""
}

// Prune deletes the sessions of all applications that were not changed since a moment,
// but for suspended ones that still wait then, and returns how many.
func (s *Store) Prune(ctx context.Context, before time.Time) (int, error) {
	db := s.db.WithContext(ctx)
	if err := db.Exec("DELETE FROM suspended WHERE until < ?", before.UnixMicro()).Error; err != nil {
		return 0, fmt.Errorf("sessions: prune: %w", err)
	}
	done := db.Exec("DELETE FROM sessions WHERE update_time < ? AND NOT EXISTS (SELECT 1 FROM suspended d WHERE "+
		"d.app_name = sessions.app_name AND d.user_id = sessions.user_id AND d.session_id = sessions.id)", before.UTC())
	if done.Error != nil {
		return 0, fmt.Errorf("sessions: prune: %w", done.Error)
	}
	return int(done.RowsAffected), nil
}
