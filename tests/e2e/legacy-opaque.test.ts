/**
 * An old API whose cursors are nothing that Turnout can map: who was served carries Turnout's own, and is a new client to
 * the old backend when it goes back there.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { OldServer } from '../support/dialects/old-server.ts';
import { timestampListServer } from '../support/dialects/timestamp-list.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { admin, metric } from '../support/publisher.ts';
import { root } from '../support/sources.ts';
import { until } from '../support/until.ts';

let server: OldServer;
let folder = '';
let gateway: Gateway;

beforeAll(async () => {
  server = await timestampListServer();
  folder = await mkdtemp(join(tmpdir(), 'turnout-opaque-'));
  const text = await readFile(join(root, 'tests/support/dialects/timestamp-list.yaml'), 'utf8');
  const profile = text
    .replaceAll('http://127.0.0.1:1', server.url)
    .replace('format: timestamp, value: $.payload.at', 'format: opaque, absent: head')
    .replaceAll('status: 200,', 'status: 200, headers: { X-Next: $cursor },')
    .replace('readers: [{ org: acme }]', 'readers: [{ org: acme, headers: { X-Api-Key: k3y } }]')
    .replace('items: $.result.items', 'items: $.result.items\n  next: $.result.items[0].at');
  await writeFile(join(folder, 'opaque.yaml'), profile);
  gateway = await startGateway({ TURNOUT_PROFILES: folder });
});
afterAll(async () => {
  await gateway.kill();
  await server.close();
  await rm(folder, { recursive: true });
});

async function poll(cursor?: string) {
  const search = cursor === undefined ? '' : `?modified_after=${encodeURIComponent(cursor)}`;
  const answer = await fetch(`${gateway.url}/v3/changes${search}`, { headers: server.credentials });
  const body = (await answer.json()) as { result: { items: { text: string }[] } };
  expect(answer.status).toBe(200);
  return {
    texts: body.result.items.map(({ text }) => text),
    next: answer.headers.get('x-next') ?? undefined,
  };
}
const serve = (percent: number): Promise<unknown> =>
  admin(gateway.url, 'PUT', '/rollout/flags/legacy-serve', { percent, reason: 'test' });
const bridged = (count: number): Promise<void> =>
  until(async () => (await metric(gateway.url, 'turnout_bridge_events_total')) >= count, 'the bridge');

it("asks the old backend without Turnout's cursor, as a new client would, and serves on from it after", async () => {
  server.add('note', 'one');
  await bridged(1);
  await serve(100);
  const asked = poll();
  await until(async () => (await metric(gateway.url, 'turnout_polls_held')) === 1, 'a held poll');
  server.add('note', 'two');
  const served = await asked;
  expect(served.texts).toEqual(['two']);

  await serve(0);
  // At the place that its letters would be in the old order, it would be given nothing, for ever.
  expect((await poll(served.next)).texts).toEqual(['one', 'two']);
  expect((await poll('2026-01-01T01:30:00.000250Z')).texts).toEqual(['two']);

  await serve(100);
  server.add('note', 'three');
  expect((await poll(served.next)).texts).toEqual(['three']);
});
