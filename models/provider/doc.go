// Package provider holds what every provider of language models shares, so that a
// new one starts from it: the [Error] that a call fails with, the rules for base
// URLs, an HTTP client that caps bodies and follows no redirect, [Settings], and
// [Retry].
//
// Invariants:
//
//   - An error holds nothing that the provider wrote but a status and a code from
//     a fixed alphabet: providers echo keys and prompts in their messages. What
//     [Error.Unwrap] gives is a copy without those texts.
//   - A key travels to one origin. Redirects are not followed, because net/http
//     would carry the key's header to the new host; plain http is for loopback.
//   - Every body is capped, those of errors more tightly.
//   - A call is tried again only while its caller has seen nothing of an answer.
//
// It knows no provider by name, opens no model and reads no environment variable.
package provider
