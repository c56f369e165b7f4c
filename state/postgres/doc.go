// Package postgres keeps what a cluster of processes shares in a Postgres database: a
// journal, which is a [journal.Store], and the sealed records of a vault. [Connect] opens
// a tenant's part of a database; conversations and runs are kept there by others.
//
// # Tenants
//
// Each tenant has a schema of its own, and each connection sees that one alone; its keys
// are derived from the key file and its name. So no statement can name rows of another.
//
// # Chains
//
// Each process that writes has a chain of its own: one number after the other from a
// sequence that all share, each entry naming the number before it in its chain. The first
// entries of a process name the last entry of each chain that it saw and that nobody had
// named ([journal.EntryJoined]), so that what a process leaves is held by those after it.
// The row of a process names its last entry, under the journal's key.
//
// # Who may write
//
// A process owns what it began as long as nobody took it over. It renews a lease by the
// database's clock; when the lease has passed, another may claim it, under the lock of its
// row. Each append holds that lock until it is committed and is refused when the process
// was claimed, however long it slept. A lease that passed and was not claimed is renewed:
// an outage of the database ends nothing, and no lease passes sooner than its length
// after the database was started.
//
// # Invariants
//
//   - Every entry is committed with synchronous_commit on, a note as well: a database that
//     crashes would take it, and the owner that had written it could not go on.
//   - An append whose answer was lost is looked up, and repeated only if it was not
//     committed: no entry is lost or doubled when the database restarts.
//   - No password is in an error, and the key is in no row.
//
// # What Verify finds
//
// What a [journal.Chain] finds; a cut at the end of a chain, unless the row of the process
// was put back too; a chain that is gone, if another names it. Against the rest, keep the
// heads that it returns somewhere else.
package postgres
