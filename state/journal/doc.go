// Package journal says what a journal is: entries, the chain that they form, and the
// state of each task and grant that follows from them. It opens no file and speaks no
// SQL; package sqlite keeps such a journal, and is a [jit.Journal].
//
// # The chain
//
// The hash of an entry is an HMAC-SHA-256, under a key that is kept beside the
// journal, over the hash of the entry before it and the entry in canonical JSON (RFC
// 8785). [Chain] finds every change of an entry, every one taken out, put in or moved,
// and a cut at the end as far as a [Head] was kept elsewhere. It cannot find what was
// done by someone who has the key.
//
// # Invariants
//
//   - What [Decode] accepts is what [Record.JSON] writes, so no two texts mean one
//     entry.
//   - No token is in any entry. A token hash is accepted only if it looks like one.
//   - The state of a task is a fold of its entries ([Task.After]), and what became of
//     a grant follows from its task ([Grants]). Nobody else decides either.
package journal
