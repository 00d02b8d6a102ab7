// Runs the peer as an identity provider for tests: TLS, one client, and whoever logs in is who the login name says.
// usage: node provider.mjs MODULE PORT CERTIFICATE KEY CONTROL_PORT < settings (JSON)
// settings: {clientId, clientSecret, redirectUri, keys: [[JWK, ...], ...], claims: {LOGIN: {email, ...}}}
// POST /test/rotate takes the next set of signing keys; POST /test/skew {"seconds": N} moves the provider's clock.
import { readFileSync } from 'node:fs';
import https from 'node:https';

const [module, port, certificate, key] = process.argv.slice(2);
const settings = JSON.parse(readFileSync(0, 'utf8'));
const { default: Provider } = await import(module);
const realNow = Date.now;
let skew = 0;
Date.now = () => realNow() + skew * 1000;

function make(jwks) {
  const provider = new Provider(`https://localhost:${port}`, {
    clients: [{
      client_id: settings.clientId,
      client_secret: settings.clientSecret,
      redirect_uris: [settings.redirectUri],
      response_types: ['code'],
      grant_types: ['authorization_code'],
      id_token_signed_response_alg: jwks[0].alg,
    }],
    jwks: { keys: jwks },
    pkce: { required: () => true },
    conformIdTokenClaims: false,
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    findAccount: async (ctx, sub) => ({ accountId: sub, claims: async () => ({ sub, ...settings.claims[sub] }) }),
    features: { devInteractions: { enabled: true } },
    cookies: { keys: ['for tests only'] },
  });
  provider.proxy = true;
  return provider;
}

const sets = settings.keys.map(make);
let current = 0;
https.createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (request, response) => {
  if (request.url === '/test/rotate') {
    current = (current + 1) % sets.length;
    response.end();
  } else if (request.url.startsWith('/test/skew/')) {
    skew = Number(request.url.split('/')[3]);
    response.end();
  } else {
    sets[current].callback()(request, response);
  }
}).listen(Number(port), '127.0.0.1', () => console.log('ready'));
