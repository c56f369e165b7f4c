// Package models opens language models by name: "offline", "gemini" or
// "gemini/NAME".
//
// Invariants:
//
//   - A model runs only because somebody named it. A key that happens to be in
//     the environment selects nothing.
//   - A missing or malformed key, an unknown provider and a bad address are one
//     error each from [Open], before any network I/O.
//   - A key goes to one origin, the provider's or [Options].BaseURL. Redirects are
//     not followed: net/http would carry the key header to the new host.
//   - Errors name the provider, the model and what to do. They never hold a key, a
//     prompt, a document or a body that the provider sent.
//   - Bodies are capped.
//
// Providers are one table. Adding one is adding an entry to it.
//
// The package does not retry and sets no timeout: the caller's context bounds a
// call. It offers no live (bidirectional) sessions.
package models
