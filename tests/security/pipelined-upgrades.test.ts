/** An upgrade before an earlier answer: two would write to one socket, or nobody would watch over it any more. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openGatewayHere } from '../support/gateway-here.ts';
import { plainProfile } from '../support/legacy-node.ts';
import { openRaw, upgradeText } from '../support/raw-socket.ts';
import { openTellingUpstream } from '../support/smuggling.ts';
import { until } from '../support/until.ts';

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

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: old\r\n\r\n`;
const stream = upgradeText('/v2/realtime/stream');
const h2c = upgradeText('/healthz', { Upgrade: 'h2c' });

it('an upgrade before an earlier answer ends its connection: no answer is written into a stream, no socket is left to nobody', async () => {
  const texts = [
    get('/api/a') + stream,
    get('/metrics') + stream,
    get('/api/a') + h2c,
    get('/v1/realtime/poll') + h2c + get('/api/a') + h2c,
    h2c.repeat(50),
    h2c + stream,
  ];
  const all = await Promise.all(texts.map((text) => openRaw(node.url, text)));
  await until(() => all.filter((raw) => raw.isClosed()).length, 'the end of all connections', texts.length);
  for (const raw of all) expect(raw.said()).not.toContain(' 101 ');
});

it('an upgrade is served once all is answered, on the same connection', async () => {
  const raw = await openRaw(node.url, get('/healthz'));
  const answered = (count: number) => () => raw.said().split('HTTP/1.1 200').length > count;
  await until(answered(1), 'the first answer');
  for (let turn = 2; turn < 30; turn += 1) {
    raw.socket.write(turn % 3 === 0 ? get('/api/a') : h2c);
    await until(answered(turn), `answer ${turn}`);
  }
  raw.socket.write(stream);
  await until(() => raw.said().includes('HTTP/1.1 101 '), 'the stream');
  expect(raw.said()).not.toContain(' 400 ');
  raw.socket.destroy();
});
