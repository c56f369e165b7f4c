// Package recovery gives back what processes left behind that are gone: it completes
// their tasks at the authorization server, which revokes every token under them.
//
// [Pass] makes one round and returns soon; [Sweep] goes on until nothing is left
// that can be done. Both find the tasks in the journal, and keep there what came of
// each: when the process dies in the middle, the next one goes on from there.
//
// # Invariants
//
//   - The tasks of a living process are never touched, and no two sweepers work on
//     the same task: each owner's tasks are claimed first ([Journal]), and the
//     kernel decides who is alive.
//   - A task is completed at the authorization server and as the agent that it was
//     opened with ([Config.Authority]). Others are left, and reported.
//   - A task is called completed only when the server said so, and expired only when
//     whatever was asked for under it, and the task itself, have ended by the clock.
//   - Nothing is given up before that: whatever the server answers, the task is tried
//     again, after growing pauses that are kept on disk, and not before the moment
//     that the server named.
//   - A server that does not answer is asked by one call at a time, not once for each
//     task. Calls at the same time, claims and time are bounded.
//
// Completing is idempotent, so doing it twice after a crash changes nothing.
//
// # What it does not do
//
// It reads no clock but this machine's: if that runs ahead, a task is called expired
// too early. It does not find tasks that are not in the journal.
package recovery
