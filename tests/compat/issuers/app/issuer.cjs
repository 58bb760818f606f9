// A real issuer: npm `oidc-provider` as published. Its keys can be rotated while it runs, which the package itself
// does by being made anew on the same address.
//
//   NODE_PATH=... node issuer.cjs PORT
//
// GET /_test/fetches   how often its key set was asked for
// POST /_test/rotate   a new key signs; ?drop=1 also withdraws the old ones
const http = require('node:http');
const { generateKeyPairSync } = require('node:crypto');
const { createRequire } = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const AUDIENCE = 'https://api.example.com';
// Tokens for this one are opaque: only the issuer can say whose they are.
const OPAQUE = 'https://opaque.example.com';
const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;

let made = 0;
function key() {
  made += 1;
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
  // Without `alg`, as large issuers publish theirs.
  return { ...pair.privateKey.export({ format: 'jwk' }), kid: `key-${made}`, use: 'sig' };
}

function provider(Provider, keys) {
  return new Provider(issuer, {
    jwks: { keys },
    clients: [{
      client_id: 'robot', client_secret: 'a-secret-of-the-tests-alone-0123456789', grant_types: ['client_credentials'],
      redirect_uris: [], response_types: [], token_endpoint_auth_method: 'client_secret_post',
    }],
    scopes: ['api'],
    features: {
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        getResourceServerInfo: (ctx, resource) => ({
          scope: 'api', audience: resource, accessTokenTTL: 600,
          ...(resource === OPAQUE ? { accessTokenFormat: 'opaque' } : { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }),
        }),
      },
    },
    extraTokenClaims: () => ({ roles: ['premium', 'nonsense'] }),
  });
}

async function main() {
  const entry = createRequire(path.join(process.env.NODE_PATH, 'x')).resolve('oidc-provider');
  const { default: Provider } = await import(pathToFileURL(entry).href);
  let keys = [key()];
  let answer = provider(Provider, keys).callback();
  let fetches = 0;
  let introspections = 0;
  http.createServer((request, response) => {
    const url = new URL(request.url, issuer);
    if (url.pathname === '/_test/rotate') {
      keys = url.searchParams.get('drop') ? [key()] : [key(), ...keys];
      answer = provider(Provider, keys).callback();
      return response.end(JSON.stringify({ kids: keys.map((one) => one.kid) }));
    }
    if (url.pathname === '/_test/fetches') return response.end(String(fetches));
    if (url.pathname === '/_test/introspections') return response.end(String(introspections));
    if (url.pathname === '/jwks') fetches += 1;
    if (url.pathname === '/token/introspection') introspections += 1;
    return answer(request, response);
  }).listen(port, '127.0.0.1', () => console.log('ready'));
}

main();
