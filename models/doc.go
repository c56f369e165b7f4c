// Package models opens language models by name: "offline", "gemini",
// "openai/NAME" or "azure/DEPLOYMENT".
//
// Invariants:
//
//   - A model runs only because somebody named it. A key that happens to be in
//     the environment selects nothing.
//   - A missing or malformed key, half a configuration, an unknown provider or
//     setting and a bad address are one error each from [Open], before any call to a
//     provider.
//   - A key goes to one origin, which [Destination] names. Redirects are not
//     followed: net/http would carry the key header to the new host.
//   - Errors are [provider.Error]: they name the provider, the model and what to do.
//     They never hold a key, a prompt, a document or a body that the provider sent.
//   - Bodies are capped, and temporary failures are tried again only before an answer
//     begins.
//
// Providers are one table. Adding one is adding an entry to it, and a package that
// starts from [github.com/jitagent/jitagent/models/provider].
//
// The package sets no timeout: the caller's context bounds a call. It offers no live
// (bidirectional) sessions.
package models
