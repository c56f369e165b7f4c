// An authorization server for the tests: oidc-provider, from the folder of npm packages in
// argv[2], on a free port of loopback. It says its issuer in a line of JSON, and ends with
// its standard input.
//
//   node oidc-provider.mjs FOLDER RESOURCE opaque|jwt
//
// RESOURCE is the URL of the API that it issues access tokens for. Besides OAuth it serves
// what tests need: /_test/decide is the person who is asked, /_test/set loses or holds back
// the next answer to a poll, or sets the time to decide, /_test/tokens are those that it
// ever issued and that allow something.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const [folder, resource, format] = process.argv.slice(2);
const { default: Provider, errors } = await import(pathToFileURL(`${folder}/node_modules/oidc-provider/lib/index.js`));

const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const client = (client_id, extra) => ({
  client_id, client_secret: `the secret of ${client_id}: long & 'odd'`, redirect_uris: [], response_types: [],
  grant_types: ['client_credentials', 'urn:openid:params:grant-type:ciba'], backchannel_token_delivery_mode: 'poll',
  authorization_details_types: ['file_access'], ...extra,
});
const issued = [], requests = [];
const mood = {}; // lose, hold, ttl, held
const provider = new Provider(issuer, {
  clients: [client('analyst'), client('docapi')],
  scopes: ['openid'],
  findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  ttl: { ClientCredentials: 300, AccessToken: 300, Grant: 600, BackchannelAuthenticationRequest: () => mood.ttl ?? 60 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
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
      authorizationDetailsForGrantSource: (ctx, source) => source.rar,
      authorizationDetailsForAccessToken: (ctx, token, source) => source?.rar ?? JSON.parse(ctx.oidc.params.authorization_details),
      authorizationDetailsForIntrospection: (ctx, token) => token.rar,
    },
  },
});
for (const name of ['access_token', 'client_credentials']) {
  for (const event of ['issued', 'saved']) provider.on(`${name}.${event}`, (token) => { if (token.rar || token.scope) issued.push(token); });
}
provider.on('grant.success', (ctx) => {
  if (!ctx.oidc.params.grant_type.endsWith('ciba')) return;
  if (mood.lose) { mood.lose = false; ctx.req.socket.destroy(); }
  if (mood.hold) { mood.hold = false; mood.held = true; ctx.respond = false; }
});

const tests = {
  '/_test/tokens': () => issued.map((token) => token.jti),
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
    await provider.backchannelResult(r.jti, grant, { rar: JSON.parse(r.params.authorization_details) });
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
console.log(JSON.stringify({ issuer }));
process.stdin.resume().on('end', () => process.exit());
