// Package explain tells from the journal what happened, so that a person who has
// not seen the code can follow it: for each call in order what the model asked,
// what the API demanded, what was asked for and who allowed it, for how long, every
// use of it, the outcome, and when it was given back.
//
// Build makes a [Story] of records; the story is written as text, as JSON, or as
// one self-contained HTML page with a timeline.
//
// Invariants:
//
//   - Every record is in the story exactly once, as a step or a gap. What is not
//     understood is listed as such, never left out.
//   - A story says no more than the records do. Where they stop because a process
//     died, it says so; an effect that was sent and has no outcome is
//     "in doubt".
//   - No text of a record reaches a terminal or a page as anything but text: without
//     control characters, escaped, and never over more lines than it was given.
//
// The package checks no hash chain (that is for the journal's Verify), opens no
// file, and knows of tokens only the keyed hashes that the journal has.
package explain
