/**
 * Requests that chance has spoiled: the node answers in HTTP or hangs up, is never at fault itself, and asks the upstream for
 * nothing but what the profile passes through.
 */
import { posix } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openGatewayHere } from '../support/gateway-here.ts';
import { call } from '../support/http-client.ts';
import { plainProfile } from '../support/legacy-node.ts';
import { type Random, testRandom } from '../support/random.ts';
import { openRaw } from '../support/raw-socket.ts';
import { openTellingUpstream } from '../support/smuggling.ts';
import { sleep } from '../support/until.ts';

const requests = 600;
const atOnce = 30;

let upstream: Awaited<ReturnType<typeof openTellingUpstream>>;
let node: Awaited<ReturnType<typeof openGatewayHere>>;

beforeAll(async () => {
  upstream = await openTellingUpstream();
  node = await openGatewayHere([plainProfile(upstream.url)]);
});
afterAll(async () => {
  await node.close();
  upstream.close();
});

const segments =
  'api login updates metrics admin v1 realtime poll x . .. ... %2e %2e%2e .%2e %252e%252e ..; ;a %2f ..%2f.. %5c ..%5c %00 %61pi %c0%ae'
    .split(' ')
    .concat('');
const separators = ['/', '/', '/', '/', '//', '\\', '%2f', '#', '?', ';'];
const bytes = ['\r', '\n', '\r\n', '\0', '\t', ' ', ':', '%', '#', '\\', '\x80', '\xff', ',', ';', '"'];
const headers = [
  'Connection: close',
  'Connection: keep-alive, X-A',
  'Content-Length: 2',
  'Content-Length: 0',
  'Transfer-Encoding: chunked',
  'Expect: 100-continue',
  'Upgrade: websocket',
  'Upgrade: h2c',
  'Host: other',
  'Authorization: Bearer x',
  'X-Forwarded-For: 1.2.3.4',
  `X-Long: ${'x'.repeat(5000)}`,
];

function target(random: Random): string {
  let path = random.chance(0.5) ? '/api' : '';
  for (let count = random.int(1, 6); count > 0; count -= 1)
    path += random.pick(separators) + random.pick(segments);
  return path;
}

function spoiled(random: Random): string {
  const method = random.pick([
    'GET',
    'GET',
    'POST',
    'PUT',
    'HEAD',
    'OPTIONS',
    'get',
    'TRACE',
    'CONNECT',
    'X-Y',
  ]);
  const version = random.pick(['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'http/1.1', '']);
  const lines = [`${method} ${target(random)} ${version}`, 'Host: old', ...random.some(headers), '', 'ok'];
  let text = lines.join('\r\n');
  for (let times = random.int(0, 2); times > 0; times -= 1) {
    const at = random.int(0, text.length);
    text =
      text.slice(0, at) + (random.chance(0.7) ? random.pick(bytes) : '') + text.slice(at + random.int(0, 3));
  }
  return text;
}

/** What came back until the end of the connection, or until nothing comes. */
async function answerTo(text: string): Promise<string> {
  const raw = await openRaw(node.url, Buffer.from(text, 'latin1'));
  for (let turn = 0; turn < 10 && !raw.isClosed() && !raw.said().includes('\r\n\r\n'); turn += 1)
    await sleep(10);
  raw.socket.destroy();
  return raw.said();
}

const decoded = (path: string): string =>
  path.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

it('600 spoiled requests lead nowhere', async () => {
  const random = testRandom('spoiled requests');
  for (let done = 0; done < requests; done += atOnce) {
    const texts = Array.from({ length: atOnce }, () => spoiled(random));
    const answers = await Promise.all(texts.map(answerTo));
    for (const [at, said] of answers.entries()) {
      const about = `${JSON.stringify(texts[at])} was answered ${JSON.stringify(said.slice(0, 300))}`;
      expect(said, about).toMatch(/^(?:HTTP\/1\.1 [1-5]\d\d |$)/);
      expect(said, about).not.toMatch(/^HTTP\/1\.1 (?:101|500) /);
      const isAsked =
        texts[at]?.startsWith('GET /metrics') === true || texts[at]?.startsWith('HEAD /metrics') === true;
      if (!isAsked) expect(said, about).not.toContain('turnout_');
    }
  }
  for (const asked of upstream.asked) {
    // As a careless upstream reads it.
    const path = posix.normalize(decoded(asked.split('?', 1)[0] ?? '').replaceAll('\\', '/'));
    expect(path, asked).toMatch(/^\/(?:api\/|login$)/);
  }
  expect((await call(`${node.url}/healthz`)).status).toBe(200);
  expect((await call(`${node.url}/api/still`)).text).toBe('answer to /api/still');
});
