// Package cluster runs several processes of the program on one state, kills, stops and
// upgrades them while sessions run and wait, and counts what came of each. It is a test,
// TestCluster, that "make cluster" runs and all others skip.
//
// Of the three on Postgres the clock of one is 40 seconds behind, and that of another 40
// ahead. What strikes a process strikes it while an answer of its model is kept back by
// which a call is made, or one of the API that its effect happened: whoever is stopped gets
// the answer when it goes on, long after others took what it was at, and before its lease
// tells it. The API knows no keys of effects.
//
// It sleeps where others wait for an event: what passes are the leases of real processes,
// of which there is none.
//
// # What is counted
//
//   - suspended: sessions that waited for a person, holding nothing; then how many requests
//     were decided early (while the run was at it), late (after an upgrade), by two at once,
//     and never.
//   - lost: runs that began, whose effect neither happened nor is in doubt in the end.
//   - twice: effects beyond the one that was intended, by the reports on disk.
//   - in doubt: effects of which the journal says that nobody knows. Each of them happened
//     at most once.
//   - used twice: sessions that sent their effect again under another key, though the first
//     was not in doubt.
//   - orphans: tasks that nobody gave back, but for those that still wait; and tokens that
//     are alive at the authorization server when those were ended by "analyst kill ALL".
//   - mixed: sessions that have something of another.
//   - torn: conversations that no one run would have written: with a second answer, a call
//     with two results or, in the end, none.
//   - late: processes that wrote to the journal after others took them for dead, and sessions
//     that asked for anything after "analyst kill" had ended.
//   - takeover: from the moment at which a process was killed or stopped until another one
//     calls the model or the API for what it was at; the worst but one in a hundred.
//
// The journal must pass "analyst audit verify", and a kind of trouble that did not come
// fails the test.
package cluster
