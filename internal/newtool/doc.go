// Package newtool writes the skeleton of a JIT-aware tool: its file, its test
// against the kit of package jittest, and its description for the model. In a
// checkout of this module it also enters the tool into the analyst's list.
//
//	plan, err := newtool.New(newtool.Options{Name: "search_documents", ...})
//	err = plan.Write()
//
// Invariants:
//
//   - [New] reads and checks, and writes nothing.
//   - No file that is there is replaced or removed.
//   - What is written is formatted, and compiles in a module that requires this one,
//     unless the package has the names already, which the compiler says.
//
// It needs no network and does not run the go command.
package newtool
