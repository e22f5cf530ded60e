/**
 * Redis fails in every way it can while 100 readers on two nodes and both transports read what is published at 200 events/s.
 * Per reader: received = what the log kept, in order, once, or told `reset` with the right reason.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Gateway } from '../support/node-process.ts';
import { faultsOf, lossless, sound, startNodes, survive } from '../support/outage-fleet.ts';
import { RedisServer } from '../support/redis.ts';

const frozenMs = 4000;

let redis: RedisServer;
let gateways: readonly Gateway[];
let faults: ReturnType<typeof faultsOf>;
beforeAll(async () => {
  redis = await RedisServer.start({ appendOnly: true });
  gateways = await startNodes(redis.url);
  faults = faultsOf(redis, frozenMs);
}, 240_000);
afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.kill()));
  await redis.stop();
});

it('loses nothing and resets nobody when Redis is killed and comes back with its file [P2 P9]', async () => {
  expect(await survive(gateways, faults.killed)).toMatchObject(lossless);
});

it('loses nothing and resets nobody when Redis is frozen and thawed', async () => {
  expect(await survive(gateways, faults.frozen)).toMatchObject(lossless);
});

it('loses nothing and resets nobody when Redis is full and given more memory', async () => {
  expect(await survive(gateways, faults.full)).toMatchObject(lossless);
});

it('loses nothing and resets nobody when the connections of its tails are killed', async () => {
  expect(await survive(gateways, faults.tailKilled)).toMatchObject(lossless);
});

it('loses nothing and resets nobody when the connections of its commands are killed', async () => {
  expect(await survive(gateways, faults.commandsKilled)).toMatchObject(lossless);
});

it('tells every reader ahead or fork when Redis comes back with an older file', async () => {
  const outcome = await survive(gateways, faults.rewound);
  expect(outcome).toMatchObject(sound);
  expect(outcome.resets).toMatch(/^(\d+ (ahead|fork)(, )?)+$/);
});

it('tells every reader epoch when Redis comes back empty', async () => {
  expect(await survive(gateways, faults.emptied)).toMatchObject({ ...sound, resets: '100 epoch' });
});
