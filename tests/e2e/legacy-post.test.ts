/** An old API that is polled by POST, its cursor and wait in the body: compared, served, and left to the old backend in between. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { admin, metric } from '../support/publisher.ts';
import { until } from '../support/until.ts';

interface Asked {
  pos?: number;
  wait?: number;
  pad?: string;
}

let server: Server;
let folder = '';
let gateway: Gateway;
const log: { n: number; text: string }[] = [];
const asked: Asked[] = [];
const held = new Set<() => void>();
/** What its reader, and nobody else, is answered. */
let isReaderRefused = false;

function answer(response: ServerResponse, body: Asked, isLate: boolean): boolean {
  const data = log.filter(({ n }) => n > (body.pos ?? 0));
  if (data.length === 0 && !isLate) return false;
  response.writeHead(data.length === 0 ? 204 : 200, { 'content-type': 'application/json' });
  response.end(data.length === 0 ? undefined : JSON.stringify({ data, pos: data.at(-1)?.n }));
  return true;
}

beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url === '/whoami') return void response.end('{"id":"ann","org":"acme"}');
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(pieces).toString()) as Asked;
      const isReader = request.headers.authorization === 'Bearer reader';
      if (isReader && isReaderRefused) return void response.writeHead(500).end();
      if (!isReader) asked.push(body);
      if (answer(response, body, false)) return;
      const look = (): void => void (answer(response, body, false) && end());
      const timer = setTimeout(() => answer(response, body, true) && end(), body.wait);
      const end = (): void => {
        clearTimeout(timer);
        held.delete(look);
      };
      held.add(look);
      response.on('close', end);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  folder = await mkdtemp(join(tmpdir(), 'turnout-post-'));
  const profile = {
    name: 'post',
    match: { method: 'POST', path: '/poll' },
    upstream: url,
    auth: { from: 'bearer', resolve: { url: `${url}/whoami`, user: '$.id', org: '$.org' } },
    request: {
      cursor: { in: 'body', name: 'pos', format: 'integer' },
      wait: { in: 'body', name: 'wait', unit: 'ms', default: 1000, max: 60_000 },
      services: { fixed: ['updates'] },
    },
    response: {
      idle: { status: 204 },
      events: { status: 200, body: { data: '$events', pos: '$cursor' } },
      event: { n: '$.id:number', text: '$.payload.text' },
    },
    source: {
      kind: 'long-poll',
      readers: [{ org: 'acme', headers: { authorization: 'Bearer reader' } }],
      items: '$.data',
      next: '$.pos',
      id: 'n',
      type: '=note',
      payload: '$',
    },
    shadow: { percent: 100 },
  };
  await writeFile(join(folder, 'post.json'), JSON.stringify(profile));
  gateway = await startGateway({ TURNOUT_PROFILES: folder });
});
afterAll(async () => {
  await gateway.kill();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

const add = (text: string): void => {
  log.push({ n: log.length + 1, text });
  for (const look of held) look();
};
async function poll(body: Asked) {
  const given = await fetch(`${gateway.url}/poll`, {
    method: 'POST',
    headers: { authorization: 'Bearer ann', 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: given.status, text: await given.text() };
}
const bridged = (count: number): Promise<void> =>
  until(
    () => metric(gateway.url, 'turnout_bridge_events_total'),
    'the bridge',
    (seen) => seen >= count,
  );

it('is compared by the cursor in its body', async () => {
  add('one');
  add('two');
  await bridged(2);
  expect((await poll({ pos: 1 })).text).toContain('two');
  await until(() => metric(gateway.url, 'legacy_shadow_total'), 'a comparison', 1);
  expect(asked).toEqual([{ pos: 1 }]);
});

it('is served; one whose body is too long to look into is the old backend’s, whole', async () => {
  await admin(gateway.url, 'PUT', '/rollout/flags/legacy-serve', { percent: 100, reason: 'test' });
  const isFed = async (): Promise<boolean> => (await metric(gateway.url, 'turnout_bridge_fed')) === 1;
  await until(isFed, 'the bridge to be heard of');
  asked.length = 0;
  expect((await poll({ pos: 1 })).text).toContain('two');
  expect(asked).toEqual([]);
  const pad = 'x'.repeat(200_000);
  expect((await poll({ pos: 1, pad })).text).toContain('two');
  expect(asked).toEqual([{ pos: 1, pad }]);
});

it('is given to the old backend, with what is left of its wait, when the log is fed no more', async () => {
  asked.length = 0;
  const given = poll({ pos: 2, wait: 60_000 });
  await until(() => metric(gateway.url, 'turnout_polls_held'), 'a held poll', 1);
  isReaderRefused = true;
  // Its reader is asked again, and refused from then on.
  server.closeAllConnections();
  await until(() => asked.length, 'the old backend to be asked', 1);
  expect(asked).toEqual([{ pos: 2, wait: expect.any(Number) }]);
  expect(asked[0]?.wait).toBeLessThan(60_000);
  add('three');
  expect((await given).text).toContain('three');
});
