#!/usr/bin/env bash
# oidc-provider 9.13.3 (npm), Node.
#
# Guess: an answer to a token request without `scope` grants what was asked for: RFC 6749,
# section 5.1, lets a server leave it out only then. A scope that the server does not know
# is invalid_scope, or missing from the `scope` of the answer.
# Seen: with client credentials a scope that the resource does not have is dropped, and where
# none is left the answer has no `scope` at all. Introspection of the token names none either.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --silent --no-audit --no-fund --prefix "$dir" oidc-provider@9.13.3 >/dev/null
cat >"$dir/ask.mjs" <<'JS'
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const server = createServer().listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;
const resource = 'https://api.example.com';
const provider = new Provider(issuer, {
  clients: [{ client_id: 'agent', client_secret: 'a secret of the agent', grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }],
  features: {
    clientCredentials: { enabled: true }, introspection: { enabled: true }, devInteractions: { enabled: false },
    resourceIndicators: { enabled: true, getResourceServerInfo: () => ({ scope: 'documents:read', accessTokenFormat: 'opaque' }) },
  },
});
server.on('request', provider.callback());

const ask = async (path, form) => {
  const answer = await fetch(issuer + path, {
    method: 'POST', body: new URLSearchParams(form),
    headers: { authorization: 'Basic ' + Buffer.from('agent:' + encodeURIComponent('a secret of the agent')).toString('base64') },
  });
  return { status: answer.status, ...await answer.json() };
};
const token = (scope) => ask('/token', { grant_type: 'client_credentials', resource, scope });
const known = await token('documents:read');
const both = await token('documents:read reports:write');
const unknown = await token('reports:write');
const inside = await ask('/token/introspection', { token: unknown.access_token });
console.log('known:', known.scope, '| with an unknown one:', both.scope, '| the unknown one:', unknown.status, unknown.scope, unknown.error, '| introspection:', inside.active, inside.scope);
assert.equal(known.scope, 'documents:read');
assert.equal(both.scope, 'documents:read');
assert.ok(unknown.status === 200 && unknown.access_token && !('scope' in unknown), 'the scope that was not granted is said now');
assert.ok(inside.active && !inside.scope);
console.log('as seen before: a token without the scope, and no word of it');
server.close();
server.closeAllConnections();
JS
node "$dir/ask.mjs"
