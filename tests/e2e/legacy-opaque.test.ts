/**
 * An old API whose cursors are nothing that Turnout can map: who was served carries Turnout's own, and is a new client to
 * the old backend when it goes back there.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { OldServer } from '../support/dialects/old-server.ts';
import { integerCookieServer } from '../support/dialects/integer-cookie.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { admin, metric } from '../support/publisher.ts';
import { root } from '../support/sources.ts';
import { until } from '../support/until.ts';

let server: OldServer;
let folder = '';
let gateway: Gateway;

beforeAll(async () => {
  server = await integerCookieServer();
  folder = await mkdtemp(join(tmpdir(), 'turnout-opaque-'));
  const text = await readFile(join(root, 'tests/support/dialects/integer-cookie.yaml'), 'utf8');
  const profile = text
    .replaceAll('http://127.0.0.1:1', server.url)
    .replace('format: integer', 'format: opaque, absent: head')
    .replace('readers: [{ org: acme }]', 'readers: [{ org: acme, headers: { Cookie: sid=s3cret } }]');
  await writeFile(join(folder, 'opaque.yaml'), profile);
  gateway = await startGateway({ TURNOUT_PROFILES: folder });
});
afterAll(async () => {
  await gateway.kill();
  await server.close();
  await rm(folder, { recursive: true });
});

async function poll(since?: string) {
  const search = since === undefined ? '' : `&since=${encodeURIComponent(since)}`;
  const answer = await fetch(`${gateway.url}/api/updates?timeout=10${search}`, {
    headers: server.credentials,
  });
  expect(answer.status).toBe(200);
  // Beyond what JSON.parse keeps.
  const text = await answer.text();
  return {
    texts: [...text.matchAll(/"text":"(\w+)"/g)].map(([, found]) => found),
    next: /"next":"?([^"}]+)/.exec(text)?.[1] ?? expect.fail(text),
  };
}
const serve = (percent: number): Promise<unknown> =>
  admin(gateway.url, 'PUT', '/rollout/flags/legacy-serve', { percent, reason: 'test' });
const bridged = (count: number): Promise<void> =>
  until(
    () => metric(gateway.url, 'turnout_bridge_events_total'),
    'the bridge',
    (seen) => seen >= count,
  );

it("asks the old backend without Turnout's cursor, as a new client would, and serves on from it after", async () => {
  server.add('note', 'one');
  await bridged(1);
  await serve(100);
  await until(() => metric(gateway.url, 'turnout_bridge_fed'), 'the bridge to be heard of', 1);
  const asked = poll();
  await until(() => metric(gateway.url, 'turnout_polls_held'), 'a held poll', 1);
  server.add('note', 'two');
  const served = await asked;
  expect(served.texts).toEqual(['two']);

  await serve(0);
  // Asked with it, this backend would hang up.
  const old = await poll(served.next);
  expect(old.texts).toEqual(['one', 'two']);
  server.add('note', 'more');
  expect((await poll(old.next)).texts).toEqual(['more']);

  await serve(100);
  server.add('note', 'three');
  await bridged(4);
  expect((await poll(served.next)).texts).toEqual(['more', 'three']);
});
