// Package lumodev is an authorization server for development and tests. It
// speaks LumoAuth's agent and JIT API, so that clients of LumoAuth run against
// it unchanged: OAuth (client credentials, token exchange, introspection,
// revocation, userinfo, metadata), agents, JIT tasks, requests, tokens, and the
// decisions of human reviewers.
//
// It is for development only. It has no user interface, no user logins and no
// TLS, and whoever holds its configuration holds every credential. Each
// response says so in its Server header, and [Listen] refuses addresses that are
// not loopback unless told otherwise.
//
// Invariants:
//
//   - What a mutating call answered is true afterwards: with a StateDir, it is on
//     disk before the answer leaves, and survives kill -9.
//   - A request is decided once. The first answer wins.
//   - When a task ends in any way, its tokens are inactive and its open requests
//     can no longer be redeemed, from the same instant on.
//   - A JIT token mints nothing, and is a credential for nothing but its own
//     task's status and completion.
//   - Logs hold no token, no secret, no body and no query string.
//
// What the API leaves open is decided in docs/lumodev.md. CIBA, shared signals
// (SSF), MCP, AAuth, API keys and the authorization code flow
// are left out, and say so.
package lumodev
