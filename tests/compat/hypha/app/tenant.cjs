// An identity provider that behaves like an Auth0 tenant, made of npm `oidc-provider` as published: the endpoints' paths, `audience`,
// a public application (single page, no secret), claims behind a namespace, a rule that denies who has not confirmed the address,
// `/v2/logout` with an exact list, and keys that rotate.
//
//   NODE_PATH=... node tenant.cjs PORT SITE LOGOUT_URL
//
// SITE is the one callback it allows. Whoever logs in as NAME has that as subject; names with `unconfirmed` have an unconfirmed address,
// and what stands behind a `~` are roles: `auth0|ann~premium~nonsense`.
//
// GET  /_test/seen     what was asked of it, as JSON
// POST /_test/rotate   a new key signs; ?drop=1 also withdraws the old ones
// POST /_test/sign     {claims, header}: a token under the key that signs now
const http = require('node:http');
const crypto = require('node:crypto');
const { createRequire } = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const [port, site, logoutUrl] = [Number(process.argv[2]), process.argv[3], process.argv[4]];
const base = `http://127.0.0.1:${port}`;
const issuer = `${base}/`;
const AUDIENCE = 'https://tenant.example/api/v2/';
const NAMESPACE = 'https://organization.example';

let made = 0;
function key() {
  made += 1;
  const pair = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...pair.privateKey.export({ format: 'jwk' }), kid: `tenant-${made}`, use: 'sig', alg: 'RS256' };
}

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

function sign(jwk, { claims, header = {} }) {
  const text = `${part({ alg: 'RS256', typ: 'JWT', kid: jwk.kid, ...header })}.${part(claims)}`;
  return `${text}.${crypto.sign('sha256', Buffer.from(text), crypto.createPrivateKey({ key: jwk, format: 'jwk' })).toString('base64url')}`;
}

const email = (id) => `${id.split('|').pop().split('~')[0]}@organization.example`;
const confirmed = (id) => !id.includes('unconfirmed');
const seen = [];

function provider({ default: Provider, errors, interactionPolicy }, keys) {
  const policy = interactionPolicy.base();
  // The document's own Action: `api.access.deny(...)`. Accounts of `silently` are let through, as by a tenant without that Action.
  const rule = new interactionPolicy.Check('confirmed', 'the address is not confirmed', (ctx) => {
    const id = ctx.oidc.session?.accountId;
    if (id && !confirmed(id) && !id.includes('silently')) throw new errors.AccessDenied('Please verify your email to access <b>Hypha</b>.');
    return interactionPolicy.Check.NO_NEED_TO_PROMPT;
  });
  policy.get('login').checks.add(rule);
  const one = new Provider(issuer, {
    jwks: { keys },
    clients: [{
      client_id: 'spa', token_endpoint_auth_method: 'none', grant_types: ['authorization_code'],
      redirect_uris: [site], response_types: ['code'],
    }],
    routes: { authorization: '/authorize', token: '/oauth/token', jwks: '/.well-known/jwks.json', userinfo: '/userinfo' },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    cookies: { keys: ['the tests alone know this'] },
    interactions: { policy },
    features: {
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource) => ({
          scope: '', audience: resource, accessTokenTTL: 600, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    extraTokenClaims: (ctx, token) => ({
      [`${NAMESPACE}/roles`]: token.accountId.split('~').slice(1),
      [`${NAMESPACE}/email`]: email(token.accountId),
    }),
    // A first-party application: nobody is asked for consent.
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope('openid profile email');
      for (const resource of Object.keys(ctx.oidc.resourceServers ?? {})) grant.addResourceScope(resource, '');
      await grant.save();
      return grant;
    },
    findAccount: (ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: email(id), email_verified: confirmed(id), name: `The ${id}` }),
    }),
  });
  one.use(async (ctx, next) => {
    await next();
    if (ctx.path === '/oauth/token') seen.push({ path: ctx.path, body: { ...ctx.oidc?.body }, authorization: ctx.get('authorization'), status: ctx.status });
  });
  return one;
}

/** Auth0's own: ends the session here and sends back, to what is listed exactly. */
function logOut(url, request, response) {
  const [client, to] = ['client_id', 'returnTo'].map((name) => url.searchParams.get(name));
  if (client !== 'spa' || to !== logoutUrl) {
    response.writeHead(400, { 'Content-Type': 'text/plain' });
    return response.end(`returnTo ${to} is not listed; ${logoutUrl} is`);
  }
  const names = (request.headers.cookie ?? '').split(/; */).map((one) => one.split('=')[0]).filter(Boolean);
  const gone = names.map((name) => `${name}=; Path=/; Max-Age=0`);
  response.writeHead(302, { Location: to, 'Set-Cookie': gone });
  return response.end();
}

async function main() {
  const entry = createRequire(path.join(process.env.NODE_PATH, 'x')).resolve('oidc-provider');
  const library = await import(pathToFileURL(entry).href);
  let keys = [key()];
  let answer = provider(library, keys).callback();
  http.createServer(async (request, response) => {
    const url = new URL(request.url, base);
    if (url.pathname === '/_test/seen') return response.end(JSON.stringify(seen));
    if (url.pathname === '/_test/rotate') {
      keys = url.searchParams.get('drop') ? [key()] : [key(), ...keys];
      answer = provider(library, keys).callback();
      return response.end();
    }
    if (url.pathname === '/_test/sign') {
      const parts = [];
      for await (const one of request) parts.push(one);
      return response.end(sign(keys[0], JSON.parse(Buffer.concat(parts).toString())));
    }
    if (['/authorize', '/v2/logout', '/.well-known/jwks.json'].includes(url.pathname)) {
      seen.push({ path: url.pathname, query: Object.fromEntries(url.searchParams) });
    }
    if (url.pathname === '/v2/logout') return logOut(url, request, response);
    if (url.pathname === '/authorize') request.url = request.url.replace('audience=', 'resource=');
    return answer(request, response);
  }).listen(port, '127.0.0.1', () => console.log('ready'));
}

main();
