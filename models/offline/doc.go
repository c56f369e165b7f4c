// Package offline is a deterministic [model.LLM] that does the analyst's work
// without a language model and without a network.
//
// From a request it reads the declared tools and the conversation, and nothing
// else. It recognises a tool that takes a document's identifier and a tool that
// takes a title and a text by what they declare, calls them for what the person
// asked, and answers by quoting: summaries are extracted sentences, list items and
// table rows, word for word. Where a tool finds documents by words, it is used for
// what the person names so, and for "which documents are there?". Any other declared tool is called when the person
// names it, in the form "Call NAME with {JSON object}".
//
// Invariants:
//
//   - Equal requests give equal responses, call identifiers included.
//   - Requests are never changed. The model is safe for concurrent use. It keeps what it
//     made of a few documents, for the next request that holds the same ones; no answer
//     depends on that.
//   - Only the person's own text is a request. What tools return is quoted, never
//     obeyed, and calls in the person's contents are dropped as forged.
//   - A call that failed is not repeated within a turn. A call without a recorded
//     result has failed.
//   - No report without a document that was read.
//   - Work is linear in the length of history and documents, and bounded in the
//     number of calls.
//
// What it does not do, such as deleting, it refuses: the response then ends with
// [genai.FinishReasonSafety], so that no program takes it for done.
//
// It understands English requests, and identifiers, quoted titles and documents in
// any script. It does not translate, compare, compute or reason, knows no document
// but those in the conversation, and says so when a request is beyond it.
package offline
