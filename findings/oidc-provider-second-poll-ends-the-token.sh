#!/usr/bin/env bash
# oidc-provider 9.13.3 (npm), Node: a client that asks again for the token of a request
# that was approved (OpenID Connect CIBA, section 10.1), since the first answer was lost.
#
# Guess: the second answer is invalid_grant, or the same token once more, and nothing else
# happens: the client waits, or gives up.
# Seen: it is invalid_grant, and the token of the first answer is revoked with it. Whoever
# asks again because of a connection that broke, as one does for any other poll, has
# ended the only token that the person's approval gives.
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
const provider = new Provider(issuer, {
  clients: [{
    client_id: 'agent', client_secret: 'a secret of the agent', redirect_uris: [], response_types: [],
    grant_types: ['urn:openid:params:grant-type:ciba'], backchannel_token_delivery_mode: 'poll',
  }],
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  features: {
    introspection: { enabled: true }, devInteractions: { enabled: false },
    ciba: {
      enabled: true, deliveryModes: ['poll'],
      processLoginHint: (ctx, hint) => hint, processLoginHintToken: () => undefined,
      validateBindingMessage: () => undefined, validateRequestContext: () => undefined, verifyUserCode: () => undefined,
      triggerAuthenticationDevice: async (ctx, request, account, client) => { // the person says yes at once
        const grant = new provider.Grant({ clientId: client.clientId, accountId: account.accountId });
        grant.addOIDCScope('openid');
        await grant.save();
        await provider.backchannelResult(request, grant, { acr: '0', amr: [], authTime: Math.floor(Date.now() / 1000) });
      },
    },
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
const request = await ask('/backchannel', { scope: 'openid', login_hint: 'ada' });
const poll = () => ask('/token', { grant_type: 'urn:openid:params:grant-type:ciba', auth_req_id: request.auth_req_id });
const first = await poll();
const before = await ask('/token/introspection', { token: first.access_token });
const second = await poll();
const after = await ask('/token/introspection', { token: first.access_token });
console.log('first poll:', first.status, '| active:', before.active, '| second poll:', second.status, second.error, '| active:', after.active);
assert.ok(first.status === 200 && before.active);
assert.equal(second.error, 'invalid_grant');
assert.equal(after.active, false);
console.log('as seen before: the second poll ends the token of the first');
server.close();
server.closeAllConnections();
JS
node "$dir/ask.mjs"
