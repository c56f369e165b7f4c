package session

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/jitagent/jitagent/internal/pause"
	"github.com/jitagent/jitagent/runner"
)

// patience is how long a database that is away is waited for.
const patience = 20 * time.Second

// Patient returns what gorm takes connections from, that waits for a database which is
// away, such as one that restarts: where a transaction cannot begin, nothing was done, so
// it is begun again, and a run goes on that would have failed. What breaks later fails; of
// events with [runner.ErrAway].
func Patient(db *sql.DB) gorm.ConnPool { return patient{db} }

type patient struct{ *sql.DB }

// BeginTx implements [gorm.ConnPoolBeginner].
func (p patient) BeginTx(ctx context.Context, opts *sql.TxOptions) (gorm.ConnPool, error) {
	return again(ctx, func() (gorm.ConnPool, error) { return p.DB.BeginTx(ctx, opts) })
}

// QueryContext implements [gorm.ConnPool]. Outside of a transaction gorm only reads by it.
func (p patient) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return again(ctx, func() (*sql.Rows, error) { return p.DB.QueryContext(ctx, query, args...) })
}

// away reports whether an error is that of a database that takes nothing now: it is not
// there, it ends, it begins, it has no connection left, or another has taken its place.
func away(err error) bool {
	said, ok := errors.AsType[*pgconn.PgError](err)
	_, broken := errors.AsType[net.Error](err)
	return ok && (strings.HasPrefix(said.Code, "57P") || said.Code == "53300" || said.Code == "25006") || broken || pgconn.SafeToRetry(err) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn)
}

// Unavailable returns an error of a database as it is told: with [runner.ErrUnavailable]
// where that is away, and ctx has not ended.
func Unavailable(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil && away(err) {
		return fmt.Errorf("%w: %w", runner.ErrUnavailable, err)
	}
	return err
}

// again does something until the database is there. What a database that is says stands.
func again[T any](ctx context.Context, do func() (T, error)) (v T, err error) {
	err = pause.Retry(ctx, patience, away, func() error { v, err = do(); return err })
	return v, err
}

// GetDBConn implements [gorm.GetDBConnector].
func (p patient) GetDBConn() (*sql.DB, error) { return p.DB, nil }
