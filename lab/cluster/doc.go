// Package cluster runs several processes of the program on one state, kills, stops and
// upgrades them while sessions run and wait, and counts what came of each. It is a test,
// TestCluster, that "make cluster" runs and all others skip.
//
// It sleeps where others wait for an event: what passes are the leases of real processes,
// and the times at which somebody does them harm, of which there is no event.
//
// # What is counted
//
//   - lost: runs that began, whose effect neither happened nor is in doubt in the end.
//   - twice: effects beyond the one that was intended, by the reports on disk.
//   - in doubt: effects of which the journal says that nobody knows. Each of them happened
//     at most once.
//   - used twice: sessions that sent their effect again under another key, though the first
//     was not in doubt.
//   - orphans: tasks that nobody gave back, but for those that still wait.
//   - mixed: sessions that have something of another.
//   - takeover: from the moment at which a process was killed or stopped until another has
//     its run, the worst but one in a hundred.
package cluster
