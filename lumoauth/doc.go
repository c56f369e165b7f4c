// Package lumoauth is a client of LumoAuth's agent and JIT API: agent login,
// tasks, requests for authority, their status and tokens, and around them
// introspection, revocation, delegation, and the decisions of people. A [Client]
// is a [jit.Authority].
//
//	client, err := lumoauth.New(lumoauth.Config{
//		URL:          "https://app.lumoauth.dev",
//		Org:          "acme-corp",
//		ClientID:     id,
//		ClientSecret: secret.New(value),
//	})
//	engine, err := jit.New(jit.Config{Authority: client})
//
// Invariants:
//
//   - Credentials go to the configured instance only. Every URL is built from the
//     [Config]; those in responses (status_url, token_url) are never called, and no
//     redirect is followed, to whatever host and with whatever status.
//   - Credentials travel in the Authorization header or in a form, never in a URL,
//     over https, or over http on loopback.
//   - No error, log line or decision text holds a credential, also when the server
//     sends one back.
//   - Answers are decoded strictly (one value, exact names, no duplicates) and only
//     up to a size. What is not understood grants nothing.
//   - A call that creates something (a task, a request, a decision) is sent again
//     only when the server certainly did not act on it. All others are repeated a
//     bounded number of times.
//
// The package keeps nothing on disk, does not wait for decisions (the jit engine
// polls), and does not read the tokens it is given: they are opaque to a client.
// It speaks bearer tokens, or with [Config.DPoP] such as are bound to a key; the other kind is refused by name.
package lumoauth
