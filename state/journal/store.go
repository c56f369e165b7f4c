package journal

import (
	"context"
	"iter"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/secret"
)

// A Store is an open journal, wherever it is kept; the packages sqlite and postgres have
// one each. It is safe for concurrent use, several may share one journal, in one process
// or many, and each must be closed.
type Store interface {
	jit.Rereader
	jit.Killer

	// Kill has the task of a run end, whichever process works on it: that sees it at its
	// next step, by [jit.Killer], and nobody takes the task up. An [jit.EntryTaskKilled]
	// says so, and why. What was granted is for others to revoke.
	Kill(ctx context.Context, run, reason string) error

	// Owner returns the id under which the store owns the tasks that it begins; empty
	// when it was opened for reading.
	Owner() string

	// TokenHashKey returns the key for the hashes by which entries name tokens. It is the
	// same for all who share the journal, so that a token's entries can be joined, and of
	// no use elsewhere.
	TokenHashKey() secret.String

	// Query returns the entries that a filter chooses, in order. The loop may write to the
	// journal; it sees entries that are added meanwhile. After an error, which may be an
	// [*EntryError] for an entry that was changed, it ends. The chain is not checked: see
	// Verify.
	Query(ctx context.Context, f Filter) iter.Seq2[Record, error]

	// Tasks returns the tasks that a filter chooses, the oldest first.
	Tasks(ctx context.Context, f TaskFilter) ([]Task, error)

	// Task returns the task of a run, or else the one that the authorization server calls
	// so. It fails with [ErrNotFound] if there is neither.
	Task(ctx context.Context, id string) (Task, error)

	// Mark notes what became of a task that this store owns or has claimed. One that is in
	// that finished state stays as it is, without an error; one that is completed cannot
	// become anything else ([ErrFinished]), and none can be called expired before its
	// Until ([ErrStillValid]).
	Mark(ctx context.Context, run string, m Mark) error

	// Orphans returns the unfinished tasks whose owner is gone, the oldest first, and among
	// them those that somebody is about to claim. Suspended ones are left out that wait
	// beyond due, unless that is zero. It changes nothing.
	Orphans(ctx context.Context, due time.Time) ([]Task, error)

	// Claim takes over the tasks of an owner that is gone, so that no two processes work on
	// them: until release is called, or this process ends, this store may change them. It
	// fails with [ErrOwned] if the owner is alive, or claimed by somebody else (or by this
	// store). After release, which may be called more than once, what is not finished can
	// be claimed again.
	Claim(ctx context.Context, owner string) (release func() error, err error)

	// CleanOwners forgets owners that are gone, and returns how many. Their tasks stay as
	// they are.
	CleanOwners(ctx context.Context) (removed int, err error)

	// Lost is closed when the store's own tasks were claimed by somebody who took its
	// process for dead: nothing that it appends is kept any more. It is nil where the
	// kernel says who is alive.
	Lost() <-chan struct{}

	// Prune removes the oldest entries, up to the first that is about a task which is not
	// finished or was changed since before, and returns how many. What is removed is gone
	// from queries and exports: export first. That a task was killed goes with it.
	Prune(ctx context.Context, before time.Time) (int64, error)

	// Verify reads the whole journal and returns an [*EntryError] for the first entry that
	// does not fit: changed, missing, added or moved. known are heads that were kept
	// elsewhere; the chain must go through them, unless it was pruned beyond. It also
	// checks that the states of the tasks follow from their entries.
	Verify(ctx context.Context, known ...Head) (Report, error)

	// Close puts on disk what waits for it, and gives up the ownership of unfinished
	// tasks: others may claim them at once. It may be called more than once.
	Close() error
}
