#!/usr/bin/env bash
# @modelcontextprotocol/sdk 1.29.0 (npm), Node.
#
# Guess: a request without a token is refused with 401 and a bare `Bearer`, or with `scope`:
# RFC 6750, section 3.1, has no error code for it, and invalid_token says that there was one.
# Seen: the SDK's servers say error="invalid_token" to it, and name the scopes beside. A client
# that reads scopes only where there is no error, or insufficient_scope, asks for none.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --silent --no-audit --no-fund --prefix "$dir" @modelcontextprotocol/sdk@1.29.0 express@5.1.0 >/dev/null
cat >"$dir/ask.mjs" <<'JS'
import assert from 'node:assert/strict';
import { once } from 'node:events';
import express from 'express';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';

const app = express();
app.use(requireBearerAuth({ verifier: { verifyAccessToken: async () => { throw new Error('no token came'); } }, requiredScopes: ['mcp:basic'] }));
const server = app.listen(0, '127.0.0.1');
await once(server, 'listening');
const answer = await fetch(`http://127.0.0.1:${server.address().port}/`);
const said = answer.headers.get('www-authenticate');
console.log(answer.status, said);
assert.equal(answer.status, 401);
assert.match(said, /error="invalid_token"/, 'a request without a token has no invalid one now');
assert.match(said, /scope="mcp:basic"/);
console.log('as seen before: no token is called an invalid one, with the scopes beside');
server.close();
server.closeAllConnections();
JS
node "$dir/ask.mjs"
