/** Which headers of a request reach an upstream: no client takes one off that a proxy has set, or speaks as a proxy does. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type LegacyNode, openLegacyNode, plainProfile } from '../support/legacy-node.ts';
import { exchangeRaw } from '../support/raw-socket.ts';
import { answerText, RawUpstream } from '../support/raw-upstream.ts';

let upstream: RawUpstream;
let behindProxy: LegacyNode;
let inTheOpen: LegacyNode;

beforeAll(async () => {
  upstream = await RawUpstream.open((socket) => void socket.write(answerText('200 OK', [], 'fine')));
  const profile = plainProfile(upstream.url);
  [behindProxy, inTheOpen] = await Promise.all([
    openLegacyNode(profile, { trustedProxies: ['127.0.0.0/8'] }),
    openLegacyNode(profile),
  ]);
});
afterAll(async () => {
  await Promise.all([behindProxy.close(), inTheOpen.close()]);
  upstream.close();
});

/** The head that the upstream was sent, in small letters. */
async function passed(node: LegacyNode, lines: readonly string[], body = ''): Promise<string> {
  const head = ['POST /api/x HTTP/1.1', 'Host: old', `Content-Length: ${body.length}`, ...lines];
  const said = await exchangeRaw(node.url, `${head.join('\r\n')}\r\n\r\n${body}`);
  expect(said).toMatch(/^HTTP\/1\.1 200 /);
  return (upstream.asked.at(-1) ?? '').toLowerCase();
}

it('a Connection takes no header off that the proxy in front has set, of whatever peer', async () => {
  const connections = [
    'Connection: close, X-SSO-User, Authorization, Cookie',
    'Connection: close\r\nConnection: x-sso-user,authorization,cookie',
    'Connection: close , \tX-SSO-User, Authorization,, Cookie,Content-Length, X-Forwarded-For, Host',
  ];
  const set = ['X-SSO-User: ann', 'Authorization: Bearer a', 'Cookie: sid=1', 'X-Forwarded-For: 9.9.9.9'];
  for (const node of [behindProxy, inTheOpen])
    for (const connection of connections) {
      const head = await passed(node, [...set, connection], 'body');
      expect(head).toContain('x-sso-user: ann\r\nauthorization: bearer a\r\ncookie: sid=1\r\n');
      expect(head).toMatch(/\r\nx-forwarded-for: (?:9\.9\.9\.9, )?127\.0\.0\.1\r\n/);
      expect(head).toMatch(/\r\nhost: old\r\n/);
      expect(head).toContain('content-length: 4\r\n');
      expect(head).not.toContain('transfer-encoding');
      expect(head).not.toMatch(/\r\nconnection: (?!keep-alive)/);
    }
});

it('what is of one connection stays on it, under any spelling that CGI reads so', async () => {
  const lines = [
    'Keep-Alive: 5',
    'TE: trailers, gzip',
    'Trailer: X-Sum',
    'Proxy-Connection: keep-alive',
    'HTTP2-Settings: AAMAAABkAAQAAP__',
    'Proxy: http://evil.example:3128',
    'Transfer_Encoding: chunked',
    'Proxy_Connection: close',
    'Connection: close',
  ];
  for (const node of [behindProxy, inTheOpen]) {
    const head = await passed(node, ['X-Stays: 1', 'api_key: 2', ...lines]);
    expect(head).toContain('x-stays: 1\r\napi_key: 2\r\n');
    expect(head).not.toMatch(/\r\n(?:keep-alive|te|trailer|proxy|http2|transfer)/);
  }
});

const claims = [
  'Forwarded: for=6.6.6.6;proto=https;host=evil.example',
  'X-Real-IP: 6.6.6.6',
  'X-Forwarded-For: 6.6.6.6',
  'X-Forwarded-Proto: https',
  'X-Forwarded-Host: evil.example',
  'X-Forwarded-Port: 6666',
  'X-Forwarded-Prefix: /6666',
];
const lookalikes = ['X_Forwarded_For: 7.7.7.7', 'x_real-ip: 7.7.7.7', 'X-Forwarded.Host: 7.7.7.7'];

it('a caller that is no trusted proxy tells nothing of itself, in no spelling', async () => {
  const head = await passed(inTheOpen, [...claims, ...lookalikes, 'Connection: close']);
  expect(head).not.toMatch(/6666|6\.6\.6\.6|7\.7\.7\.7|evil|forwarded:/);
  expect(head).toContain('x-forwarded-for: 127.0.0.1\r\n');
  expect(head).toContain('x-forwarded-proto: http\r\n');
  expect(head).toContain('x-forwarded-host: old\r\n');
});

it('a trusted proxy does, and what its client spells otherwise is left out', async () => {
  const head = await passed(behindProxy, [...claims, ...lookalikes, 'Connection: close']);
  for (const claim of claims.filter((line) => !line.startsWith('X-Forwarded-For')))
    expect(head).toContain(`${claim.toLowerCase()}\r\n`);
  expect(head).toContain('x-forwarded-for: 6.6.6.6, 127.0.0.1\r\n');
  expect(head).not.toContain('7.7.7.7');
});

it('an Expect that nobody knows is 417, and a known one is answered here', async () => {
  const asked = upstream.asked.length;
  const ask = (expects: string): Promise<string> =>
    exchangeRaw(
      inTheOpen.url,
      `POST /api/x HTTP/1.1\r\nHost: old\r\nExpect: ${expects}\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok`,
    );
  expect(await ask('a-miracle')).toMatch(/^HTTP\/1\.1 417 /);
  expect(upstream.asked.length).toBe(asked);
  expect(await ask('100-continue')).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
  expect(upstream.asked.at(-1)?.toLowerCase()).not.toContain('expect');
});
