// Package oauthz is a [jit.Authority] on any standard OAuth authorization server.
//
// A standard server knows no tasks, no risk and no justification, and most issue a
// token to whoever may have one, without a person. What it does know is used in one of
// these modes:
//
//   - [ClientCredentials] (RFC 6749, section 4.4): each demand is a token request of its
//     own, which the server grants or refuses at once;
//   - [CIBA] (OpenID Connect Client-Initiated Backchannel Authentication, poll mode):
//     the user on whose behalf the agent acts is asked on a device of theirs. The poll
//     that is answered is the redemption as well, so its answer is in the [Vault] before
//     the request counts as approved, and a poll whose answer was lost is not made again;
//   - [UMA] (Keycloak's form of UMA 2.0, without a ticket): the policies of the server
//     decide, at once, on permissions for single resources, which are in the token;
//   - [TokenExchange] (RFC 8693): as with client credentials, and what the agent or the
//     user has a token for already is given in exchange;
//   - [AuthorizationCode] (RFC 6749, section 4.1, with PKCE; RFC 8252): the user logs in and
//     agrees in a browser on this machine, which comes back with a code. Who answers is
//     checked (RFC 9207) before the code is redeemed, once. The API may name the server
//     (RFC 9728), and the server make the client (RFC 7591).
//
// A demand is asked for as an authorization detail (RFC 9396), or as scopes where
// [Type] says so. A token counts only where the answer proves how narrow it is: by the
// details that it echoes, by exactly the scopes that were asked for, or by exactly the
// permissions. There is no other way, and no answer is consent: the rest is revoked at once.
//
// Tasks are this package's own. What is granted under one is in the vault, so that
// [Client.CompleteTask] can revoke it after a crash as well. What the server cannot
// revoke is said to expire by itself ([jit.ExpiringError]), never to be revoked.
// [Client.Capabilities] says beforehand what cannot be promised.
package oauthz
