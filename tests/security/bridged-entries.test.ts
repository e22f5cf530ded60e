/**
 * What somebody else publishes on a service that a profile bridges: never a place or a cursor of a served legacy client, and
 * never what keeps the source's own event out of the log. Over both logs.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { userIdentity } from '../../src/auth/identity.ts';
import { systemClock } from '../../src/clock.ts';
import { cutChunk } from '../../src/hub/chunk.ts';
import { idsAtTail } from '../../src/legacy/bridge/log-tail.ts';
import { eventOf } from '../../src/legacy/bridge/batch.ts';
import { createDialect } from '../../src/legacy/dialect/profile-dialect.ts';
import { placesFor } from '../support/places.ts';
import { LegacyServe, type LegacyServeDeps } from '../../src/legacy/serve/serve.ts';
import { type PreparedEvent, prepareEvent } from '../../src/log/entry.ts';
import { bridgePublisher, type EventLog } from '../../src/log/event-log.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { Metrics } from '../../src/metrics/metrics.ts';
import { PublishRate } from '../../src/publish/publish-rate.ts';
import { Publisher } from '../../src/publish/publisher.ts';
import { openRedisLog } from '../conformance/redis-harness.ts';
import { bridgeProfile, streamSource } from '../support/bridge-profiles.ts';
import { idsInLog } from '../support/log-ids.ts';
import { RedisServer } from '../support/redis.ts';

let redis: RedisServer;
let shared: Awaited<ReturnType<typeof openRedisLog>>;
const memory = createMemoryLog({
  clock: systemClock,
  retentionMs: 3_600_000,
  retentionEvents: 100_000,
  retentionBytes: 1e9,
});
beforeAll(async () => {
  redis = await RedisServer.start();
  shared = await openRedisLog(redis.url, 'turnout');
});
afterAll(async () => {
  await memory.close();
  await shared.close();
  await redis.stop();
});

const logs: [string, () => EventLog][] = [
  ['in memory', () => memory],
  ['in Redis', () => shared.log],
];

let orgs = 0;
const newOrg = (): string => `org-${(orgs += 1)}`;
const dialect = createDialect(bridgeProfile('acme', streamSource('redis://127.0.0.1:9')));
const bridgeDialect = { eventFrom: (item: unknown) => ({ event: item as never, org: undefined }) };
const update = (id: string, more: object = {}) => ({
  service: 'updates',
  type: 'note',
  payload: {},
  id,
  ...more,
});

/** As the bridge makes and appends it. */
const unlimited = new PublishRate({ eventsPerS: 1e6, bytesPerS: 1e9, clock: systemClock });

async function bridge(log: EventLog, org: string, ...ids: string[]) {
  const events = ids.map(
    (id) => eventOf(bridgeDialect, { item: update(id), at: id, ms: undefined }, org).event,
  );
  return log.append(org, bridgePublisher('acme'), events, 1);
}

/** As an end user, or a backend, publishes on a node that holds no profile. */
async function publish(log: EventLog, org: string, who: 'user' | 'producer', ...ids: string[]) {
  const publisher = new Publisher({ log, clock: systemClock, metrics: new Metrics(), rate: unlimited });
  const roles = who === 'producer' ? (['producer'] as const) : [];
  const far = systemClock.now() + 60_000;
  const identity = userIdentity({ org, sub: who, expiresAtMs: far, publish: ['*'], roles });
  return publisher.publish(
    identity,
    who,
    ids.map((id) => update(id)),
  );
}

/** As a bridge of an earlier version appended it: nothing in the entry says so. */
const bridgedBefore = (log: EventLog, org: string, ...ids: string[]) =>
  log.append(
    org,
    bridgePublisher('acme'),
    ids.map((id): PreparedEvent => prepareEvent(update(id), id)),
    1,
  );

/** What a served client is answered, or why it is not served. */
async function poll(log: EventLog, org: string, since: string): Promise<unknown> {
  const longPoll: LegacyServeDeps['longPoll'] = {
    async hold({ start, services, form }) {
      if (start.at !== 'cursor' || form === undefined) throw new Error('no place or form was given');
      const page = await log.read(org, start, { maxEvents: 100, maxBytes: 1e6 });
      if (page.kind === 'reset') throw new Error(page.reason);
      const chunk = cutChunk({ ...page, epoch: page.head.epoch }, services, form);
      const state = { transport: 'long-poll', assignment: 1, reset: undefined, ephemeral: [] } as const;
      return { chunk, state: { ...state, at: chunk.end, hasMore: chunk.end.seq < page.head.seq } };
    },
  };
  const serve = new LegacyServe({
    dialect,
    places: placesFor(log, dialect),
    longPoll,
    log,
    clock: systemClock,
    mayHold: () => true,
  });
  const caller = userIdentity({ org, sub: 'ann', expiresAtMs: systemClock.now() + 60_000 });
  const client = { isGone: false, network: undefined, onGone: () => () => undefined };
  const served = await serve.answer(caller, { cursor: since, waitMs: 0, limit: 50 }, client);
  if (!served.isServed) return served.why;
  return served.answer.body === undefined ? 'idle' : JSON.parse(served.answer.body.toString());
}

const given = (...ids: number[]) => ({
  updates: ids.map((seq) => expect.objectContaining({ seq }) as unknown),
  next: ids.at(-1),
});

describe.each(logs)('a log %s', (_, logOf) => {
  it('gives no served client a cursor that an end user made up', async () => {
    const [log, org] = [logOf(), newOrg()];
    await bridge(log, org, '5', '6');
    await publish(log, org, 'user', '9999999999', '5');
    expect(await poll(log, org, '5')).toEqual(given(6));
    expect(await poll(log, org, '6')).toBe('idle');
    await bridge(log, org, '7');
    expect(await poll(log, org, '6')).toEqual(given(7));
    expect(await poll(log, org, '9999999999')).toBe('unknown-cursor');
  });

  it('places no client by an event that was published again under the id of another', async () => {
    const [log, org] = [logOf(), newOrg()];
    await bridge(log, org, '5', '6', '7');
    await publish(log, org, 'user', '5');
    expect(await poll(log, org, '5')).toEqual(given(6, 7));
  });

  it("leaves clients to the upstream across a producer's event that could be the source's", async () => {
    const [log, org] = [logOf(), newOrg()];
    await bridge(log, org, '5', '6');
    await publish(log, org, 'producer', '9999999999');
    await bridge(log, org, '7', '8');
    expect(await poll(log, org, '6')).toBe('gap');
    expect(await poll(log, org, '9999999999')).toBe('unknown-cursor');
    expect(await poll(log, org, '7')).toEqual(given(8));
  });

  it("keeps the source's events where somebody published their ids first", async () => {
    const [log, org] = [logOf(), newOrg()];
    await bridge(log, org, '6');
    await publish(log, org, 'user', '7', '8');
    await publish(log, org, 'producer', '7', '8');
    expect(await idsAtTail(log, org, 'updates')).toEqual(new Set(['6']));
    await bridge(log, org, '7', '8');
    expect((await idsInLog(log, org)).filter((id) => id === '7')).toHaveLength(3);
    expect(await poll(log, org, '7')).toEqual(given(8));
  });

  it('tells a token of the org `bridge` from the bridge of the same name', async () => {
    const [log, org] = [logOf(), newOrg()];
    const publisher = new Publisher({ log, clock: systemClock, metrics: new Metrics(), rate: unlimited });
    const identity = userIdentity({
      org: 'bridge',
      sub: 'acme',
      expiresAtMs: systemClock.now() + 60_000,
      roles: ['producer'],
      orgs: ['*'],
    });
    await publisher.publish(identity, 'producer', [{ ...update('7'), org }]);
    const { results } = await bridge(log, org, '6', '7');
    expect(results.map(({ duplicate }) => duplicate)).toEqual([undefined, undefined]);
    // Of its own: stored once, as anybody's.
    const again = await publisher.publish(identity, 'producer', [{ ...update('7'), org }]);
    expect(again.results).toMatchObject([{ duplicate: true }]);
  });

  it('stores nothing twice of what a bridge of an earlier version stored, and serves nobody across it', async () => {
    const [log, org] = [logOf(), newOrg()];
    await bridge(log, org, '4', '5');
    // Another node, not yet of this version, has the lease for a while.
    await bridgedBefore(log, org, '6', '7');
    const { results } = await bridge(log, org, '6', '7', '8', '9');
    expect(results.map(({ duplicate }) => duplicate ?? false)).toEqual([true, true, false, false]);
    expect(await poll(log, org, '5')).toBe('gap');
    expect(await poll(log, org, '6')).toBe('gap');
    expect(await poll(log, org, '8')).toEqual(given(9));
  });

  it('says of an entry that it was bridged where it is read and where it is heard', async () => {
    const [log, org] = [logOf(), newOrg()];
    const heard: (true | undefined)[] = [];
    const tail = await log.tail(org, (message) => {
      if (message.kind === 'appended') heard.push(...message.entries.map(({ isBridged }) => isBridged));
    });
    await bridge(log, org, '1');
    const personal = eventOf(bridgeDialect, { item: update('2', { to: ['ann'] }), at: '2', ms: 1 }, org);
    await log.append(org, bridgePublisher('acme'), [personal.event], 1);
    await publish(log, org, 'producer', '3');
    const page = await log.read(org, { at: 'earliest' }, { maxEvents: 10, maxBytes: 1e6 });
    if (page.kind !== 'page') throw new Error(page.reason);
    expect(page.entries.map(({ isBridged, to }) => [isBridged, to])).toEqual([
      [true, null],
      [true, ['ann']],
      [undefined, null],
    ]);
    await tail.close();
    expect(heard).toEqual([true, true, undefined]);
  });
});
