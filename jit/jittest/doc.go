// Package jittest is a test kit for tools and programs that use package jit. One
// call gives a world: an authorization server and a protected API on real sockets,
// the client of the one, an engine, a task, and a record of all that happens.
//
//	func TestFetch(t *testing.T) {
//		w := jittest.Start(t)
//		status, body, err := w.Get("/documents/doc_1", jittest.Read("doc_1"))
//		...
//		w.AskedExactly(jittest.Read("doc_1"))
//		w.NothingLeft()
//		w.NothingLeaked(body, err)
//	}
//
// How servers and people behave is said by options: [Denying], [PersonDecides], the
// hostile ones of [Hostile], and more. What
// the API serves is said by [Route]; without routes it serves every path. For ADK
// tools and agents see package adktest.
//
// Invariants:
//
//   - Nothing sleeps and no assertion looks at a clock. What waits, waits for an
//     event, or until its test gives up.
//   - An expiry is what it is in life: news that the API breaks to the client. The
//     authorization server's clock is the real one, or the test's (see [AuthServer]).
//   - What is asserted about authority is what the authorization server saw, not
//     what the client says of itself.
//   - No failure message and no record shows a credential: tokens are named by
//     number.
//   - When the test ends, the task is completed and every server closed.
//
// The package links neither an agent framework nor a model library. It is for tests
// only, does not measure speed, and cannot run under testing/synctest, which knows no
// sockets: for that, and for faults that a real server does not have, see package
// fake.
package jittest
