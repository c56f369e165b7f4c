// Package resource guards an HTTP API: it verifies the access token of a call,
// decides whether the token covers what the call needs, and answers with the
// challenge that tells a client what to ask for.
//
// A [Verifier] trusts a token only when two independent checks agree, on every
// call:
//
//   - the signature: a JWT (RFC 9068) signed with ES256, RS256 or PS256 by a key
//     that the authorization server publishes, from the expected issuer, within
//     its time;
//   - introspection (RFC 7662): the authorization server says, now, that this
//     very token is active.
//
// Nothing about a token is cached, so one that was revoked, or whose task ended,
// stops at the next call. The price is one round trip to the authorization
// server a call. When the server cannot be asked, the answer is 503 and never
// "let it pass".
//
// A call is covered when one of the token's authorization details contains what
// the call needs, as [rar.Within] decides. Details are not added together: two
// that contain half each cover nothing.
//
// [Config.Trust] makes do with one of the two: servers issue opaque tokens, which have no
// signature, and many introspect no JWTs. The choice is the API owner's, and the second
// gives up that a revoked token stops.
//
// A token that is bound to a key (cnf) is never taken as a bearer token, which is what the
// binding is there to prevent (RFC 9449, section 7.2). With [Config.DPoP] it is taken with
// a proof of that key for this very request; bound in another way, it is refused.
//
// No error, log line or answer of this package holds a token or a secret.
package resource
