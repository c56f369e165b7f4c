// Package newtool writes the skeleton of a JIT-aware tool: its file, its test
// against the kit of package jittest, and its description for the model. In a
// checkout of this module it also enters the tool into the analyst's list.
//
//	plan, err := newtool.New(newtool.Options{Name: "search_documents", ...})
//	err = plan.Write()
//
// Invariants:
//
//   - [New] reads and checks, and writes nothing. [Plan.Write] writes all of it or,
//     as far as the file system lets it, nothing.
//   - No file is replaced unless Options.Force says so, and then its old content
//     stays beside it.
//   - What is written is formatted, and compiles in a module that requires this one.
//
// It needs no network and does not run the go command.
package newtool
