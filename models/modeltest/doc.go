// Package modeltest is a test kit for code that talks to language models:
//
//   - [Script], a model with prepared answers that records what it was asked;
//   - [Start], a provider on a loopback socket, over the wires of OpenAI and Gemini,
//     which can be told to fail in many ways ([Fault]);
//   - [RunSuite] and [RunInProcess], one contract that every model of this module
//     keeps. A provider for another wire starts from it.
//
// The test of a provider is one call:
//
//	func TestContract(t *testing.T) {
//		modeltest.RunSuite(t, func(t *testing.T, up *modeltest.Upstream) model.LLM {
//			return open(t, up.OpenAIURL(), "a key of 16 characters or more")
//		})
//	}
//
// Invariants:
//
//   - Nothing leaves the machine, and no key is needed.
//   - Scripts and upstreams give the same answers in each run. No test waits for
//     luck: what takes time ends on an event, and clocks only bound what hangs.
//   - Each subtest of the suite is seen to fail for a mistake that adapters make.
//
// It imports testing: link it into tests alone. What a program may link is package
// modelserver, which does the serving here.
package modeltest
