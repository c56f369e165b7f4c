// Package faults kills, cuts and fills things for real, and shows what is left: real
// processes, sockets and files, and kill -9. It is a test, TestFaults, that "make faults"
// runs and all others skip; its flags are in faults_test.go.
//
// It builds the analyst with the build tag failpoints, starts analyst dev, and plays
// one fault after the other against it. Then it prints one table: how often, and what
// came of it. A number that must be zero and is not fails the test, which says what
// happened. With -test.artifacts it keeps what the processes left.
//
// # What is counted
//
//   - orphans: grants of dead processes that the authorization server still calls
//     active when a restart and five seconds are over.
//   - duplicates: reports beyond the one that was intended.
//   - lost: reports that were said to exist and do not, or that could be repeated
//     without risk and were not there in the end.
//   - unknown: reports of which the journal or the exit code says that nobody knows.
//     They may be any number; each of them exists at most once.
//   - foreign: tasks of a living process that somebody else touched.
//   - other: every other promise that did not hold, such as an error that says
//     nothing, a panic, a grant without a record, a history that the model of tasks
//     and grants does not allow, or a fault that never happened.
//
// # Whose word counts
//
// Grants are judged by introspection, as any API would ask; reports by the files in
// the reports directory; what was known at the death of a process by its journal, as
// it lies on disk. Every call that goes to the authorization server passes a proxy
// that writes down when it began, when it ended and what it said; that history is
// checked with porcupine against a model of what tasks and grants may do.
//
// It is a module of its own, because toxiproxy brings a dozen modules that nobody
// should have to look at who uses the library.
package faults
