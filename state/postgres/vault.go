package postgres

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"

	"github.com/jitagent/jitagent/state/vault"
)

// Vault returns the vault of the tenant, whose records all processes share. Its tables are
// the journal's: open that first. What is sealed there opens with the key only.
func (d *DB) Vault() (*vault.Vault, error) {
	return vault.New(d.opts.Key, d.opts.Tenant, records{d})
}

type records struct{ *DB }

// Put implements [vault.Records].
func (d records) Put(ctx context.Context, task, name string, sealed []byte) error {
	_, err := d.pool.Exec(ctx, "WITH t AS (INSERT INTO vault_tasks VALUES ($1) ON CONFLICT (task) DO UPDATE SET updated = now()) "+
		"INSERT INTO vault VALUES ($1, $2, $3) ON CONFLICT (task, name) DO UPDATE SET sealed = excluded.sealed", task, name, sealed)
	return fault(err)
}

// Load implements [vault.Records].
func (d records) Load(ctx context.Context, task string) (map[string][]byte, error) {
	found, err := d.pool.Query(ctx, "SELECT name, sealed FROM vault_tasks LEFT JOIN vault USING (task) WHERE task = $1", task)
	if err != nil {
		return nil, failed(err)
	}
	var name *string
	var sealed []byte
	kept, known := map[string][]byte{}, false
	_, err = pgx.ForEachRow(found, []any{&name, &sealed}, func() error {
		if known = true; name != nil { // else all of it was dropped
			kept[*name] = sealed
			sealed = nil
		}
		return nil
	})
	if err == nil && !known {
		return nil, fmt.Errorf("vault: task %s: %w", task, fs.ErrNotExist)
	}
	return kept, failed(err)
}

// Drop implements [vault.Records]. What was dropped long ago is forgotten.
func (d records) Drop(ctx context.Context, task string) error {
	var batch pgx.Batch
	batch.Queue("DELETE FROM vault WHERE task = $1", task)
	batch.Queue("UPDATE vault_tasks SET updated = now() WHERE task = $1", task)
	batch.Queue("DELETE FROM vault_tasks t WHERE updated < now() - interval '90 days' AND NOT EXISTS (SELECT 1 FROM vault v WHERE v.task = t.task)")
	return fault(d.pool.SendBatch(ctx, &batch).Close())
}
