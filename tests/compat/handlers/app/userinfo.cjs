// A real OpenID provider: npm `oidc-provider` as published, with its userinfo endpoint where the document's sample asks.
//
//   NODE_PATH=... node userinfo.cjs PORT
//
// GET /_test/token?sub=NAME            an access token as a log-in of NAME would bring it, made by the provider's own models
// GET /_test/token?sub=NAME&scope=api  one that is not for userinfo
// POST /_test/revoke?token=TOKEN       ends one
const http = require('node:http');
const { createRequire } = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;

async function main() {
  const entry = createRequire(path.join(process.env.NODE_PATH, 'x')).resolve('oidc-provider');
  const { default: Provider } = await import(pathToFileURL(entry).href);
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'app', client_secret: 'known to the tests alone', grant_types: ['authorization_code'],
      redirect_uris: ['https://app.example/callback'], response_types: ['code'],
    }],
    scopes: ['openid', 'api'],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'picture'] },
    routes: { userinfo: '/userinfo' },
    cookies: { keys: ['the tests alone know this'] },
    findAccount: (ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@company.example`, email_verified: true, name: `The ${id}`, picture: `https://company.example/${id}.png` }),
    }),
  });

  async function token(accountId, scope) {
    const grant = new provider.Grant({ accountId, clientId: 'app' });
    grant.addOIDCScope(scope);
    const client = await provider.Client.find('app');
    return new provider.AccessToken({ accountId, client, grantId: await grant.save(), scope, gty: 'authorization_code' }).save();
  }

  const answer = provider.callback();
  http.createServer(async (request, response) => {
    const url = new URL(request.url, issuer);
    const given = (name) => url.searchParams.get(name);
    if (url.pathname === '/_test/token') return response.end(await token(given('sub'), given('scope') ?? 'openid email profile'));
    if (url.pathname === '/_test/revoke') {
      await (await provider.AccessToken.find(given('token'))).destroy();
      return response.end();
    }
    return answer(request, response);
  }).listen(port, '127.0.0.1', () => console.log('ready'));
}

main();
