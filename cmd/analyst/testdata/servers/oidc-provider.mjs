// An authorization server for the tests: oidc-provider, from the folder of npm packages in
// argv[2], on a free port of loopback, for a proxy at ISSUER. It says its own origin in a
// line of JSON, and ends with its standard input.
//
//   node oidc-provider.mjs FOLDER ISSUER RESOURCE opaque|jwt [JWKS]
//
// RESOURCE is the URL of the API that it issues access tokens for; JWKS are the keys of the
// client "signer", which has no secret. Besides OAuth it serves what tests need:
// /_test/decide is the person who is asked, /_test/set sets the time to decide, and whether
// proofs must have a nonce (DPoP).
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const [folder, issuer, resource, format, jwks] = process.argv.slice(2);
const { default: Provider, errors } = await import(pathToFileURL(`${folder}/node_modules/oidc-provider/lib/index.js`));

const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');

const client = (client_id, extra) => ({
  client_id, client_secret: `the secret of ${client_id}: long & 'odd'`, application_type: 'native',
  redirect_uris: ['http://127.0.0.1/callback'], response_types: ['code'],
  grant_types: ['client_credentials', 'urn:openid:params:grant-type:ciba', 'authorization_code'], backchannel_token_delivery_mode: 'poll',
  authorization_details_types: ['file_access'], ...extra,
});
const requests = [];
const mood = {}; // ttl, nonce
const provider = new Provider(issuer, {
  clients: [
    client('analyst'), client('docapi'),
    ...jwks ? [client('signer', { client_secret: undefined, token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256', jwks: JSON.parse(jwks) })] : [],
  ],
  scopes: ['openid'],
  findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  ttl: { ClientCredentials: 300, AccessToken: 300, Grant: 600, BackchannelAuthenticationRequest: () => mood.ttl ?? 60 },
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => mood.nonce === true },
    ciba: {
      enabled: true, deliveryModes: ['poll'],
      processLoginHint: (ctx, hint) => hint, validateBindingMessage: () => {}, validateRequestContext: () => {}, verifyUserCode: () => {},
      triggerAuthenticationDevice: (ctx, request) => { requests.push(request); },
    },
    resourceIndicators: {
      enabled: true, defaultResource: () => undefined, useGrantedResource: () => true,
      getResourceServerInfo: (ctx, at) => {
        if (at !== resource) throw new errors.InvalidTarget();
        return {
          scope: 'documents:read reports:write', audience: resource, accessTokenFormat: format, accessTokenTTL: 300,
          jwt: format === 'jwt' ? { sign: { alg: 'RS256' } } : undefined,
        };
      },
    },
    richAuthorizationRequests: {
      enabled: true, types: { file_access: { validate: () => {} } },
      authorizationDetailsForGrantSource: (ctx, source) => source.rar ?? JSON.parse(ctx.oidc.params.authorization_details ?? 'null'),
      authorizationDetailsForAccessToken: (ctx, token, source) => source?.rar ?? JSON.parse(ctx.oidc.params.authorization_details ?? 'null'),
      authorizationDetailsForIntrospection: (ctx, token) => token.rar,
    },
  },
});
const tests = {
  '/_test/set': (to) => Object.assign(mood, to),
  '/_test/decide': async ({ approve }) => {
    const r = requests.shift();
    if (!r) return { decided: false };
    if (!approve) {
      await provider.backchannelResult(r.jti, new errors.AccessDenied('not today'));
      return { decided: true };
    }
    const grant = new provider.Grant({ accountId: r.accountId, clientId: r.clientId });
    await grant.save();
    await provider.backchannelResult(r.jti, grant, r.params.authorization_details ? { rar: JSON.parse(r.params.authorization_details) } : {});
    return { decided: true };
  },
};
const oidc = provider.callback();
server.on('request', async (req, res) => {
  const test = tests[req.url];
  if (!test) { oidc(req, res); return; }
  let text = '';
  for await (const chunk of req) text += chunk;
  res.end(JSON.stringify(await test(text ? JSON.parse(text) : {})));
});
console.log(JSON.stringify({ origin: `http://127.0.0.1:${server.address().port}` }));
process.stdin.resume().on('end', () => process.exit());
