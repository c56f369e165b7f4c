// Package sqlite keeps a journal in a SQLite database, which several processes share:
// a durable, hash-chained record of what was asked for, granted, sent and given back,
// and the state of each task that follows from it. It implements [jit.Journal]; what
// an entry is and how the chain is made, package journal says.
//
// # Files
//
// A state directory ([Dir], mode 0700) holds, each with mode 0600:
//
//	journal.db      SQLite in WAL mode, with journal.db-wal and journal.db-shm
//	journal.key     the key of this directory: of the chain, and of token hashes
//	journal.head    number and hash of the last entry known to be on disk; locked while
//	                a process writes
//	journal.lock    held while a process opens the journal
//	owners/ID.lock  held by the process ID as long as it lives
//
// SQLite's locks and flock do not work on every network file system: the directory
// belongs on a local disk.
//
// # Invariants
//
//   - Append returns only when the entry is on disk: it survives the loss of
//     power.
//   - Entries form one chain, whichever processes write them: numbers without gaps,
//     each hash over the one before it. Nothing but [Journal.Prune] removes any.
//   - A task is written to by its owner only: the process that began it or, once the
//     kernel dropped that one's lock, the process that took it over with
//     [Journal.Claim].
//   - When the disk is full or read-only, or the files were deleted, replaced or cut,
//     Append fails; when acknowledged entries are gone, so does Open. Nothing goes on
//     unrecorded, and nothing that is damaged is written to.
//   - No token is in any entry. A token hash is accepted only if it looks like one.
//
// # What waits for the disk
//
// An Append costs one fsync, of the WAL, shared by all that append at the same time;
// now and then (each thousand pages) one commit pays a checkpoint with two or three
// more. Notes and Mark cost none. They are written in order, marks before the
// method returns, and are on disk with the next Append or Close: the death
// of the process takes nothing but the notes of the last moments. What a power cut can
// take is knowledge only, in the harmless direction: a task is completed once more,
// which is idempotent, or an attempt is counted once less.
//
// # How entries lie
//
// The last entries lie one by one, those before them compressed in packs of some
// hundreds: a run then takes about 2 kB, in place of 16. An entry is found through the
// task that it is about, which knows its first and its last. Its text is the same in
// every version and in a pack, since the chain is over it.
//
// # What Verify finds
//
// [Journal.Verify] finds what a [journal.Chain] finds, and every change of a column or
// a task's state, and a cut at the end: journal.head names the last synced entry. It
// cannot find what was done by who can read the directory, and with it the key, nor
// that the whole directory was put back to an earlier state or deleted. Against those,
// keep [Journal.Head] somewhere else from time to time, and pass it to Verify.
//
// # What it does not do
//
// It does not talk to an authorization server: which task to complete, when, and what
// an answer means is for the code above. It encrypts nothing: justifications, document
// identifiers and URLs are readable for whoever reads the directory.
package sqlite
