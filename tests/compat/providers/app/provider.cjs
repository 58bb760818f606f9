// A real OpenID provider: npm `oidc-provider` as published, with its own pages for logging in and consenting.
//
//   NODE_PATH=... node provider.cjs PORT REDIRECT_URI
//
// Whoever logs in as NAME is NAME@company.example; the address of `unconfirmed` is not confirmed.
const http = require('node:http');
const { generateKeyPairSync } = require('node:crypto');
const { createRequire } = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;

async function main() {
  const entry = createRequire(path.join(process.env.NODE_PATH, 'x')).resolve('oidc-provider');
  const { default: Provider } = await import(pathToFileURL(entry).href);
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const provider = new Provider(issuer, {
    jwks: { keys: [{ ...pair.privateKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'RS256' }] },
    clients: [{
      client_id: 'doorward', client_secret: 'a secret: with & signs of its own', grant_types: ['authorization_code'],
      redirect_uris: [process.argv[3]], response_types: ['code'], token_endpoint_auth_method: 'client_secret_basic',
    }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    pkce: { required: () => true },
    cookies: { keys: ['the tests alone know this'] },
    findAccount: (ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@company.example`, email_verified: id !== 'unconfirmed', name: `The ${id}` }),
    }),
  });
  http.createServer(provider.callback()).listen(port, '127.0.0.1', () => console.log('ready'));
}

main();
