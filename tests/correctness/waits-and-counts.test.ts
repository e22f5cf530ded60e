/** Closes that end, counts that never fall, lines that are counted when they are dropped, unsubscribes that are sent again. */
import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { Registry } from 'prom-client';
import type { Redis } from 'ioredis';
import { EventEmitter } from 'node:events';
import { systemClock } from '../../src/clock.ts';
import { Hub } from '../../src/hub/hub.ts';
import { Reader } from '../../src/hub/reader.ts';
import { prepareEvent } from '../../src/log/entry.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { dropping } from '../../src/logger.ts';
import { WeightedHistogram } from '../../src/metrics/weighted-histogram.ts';
import { RedisSubscription } from '../../src/redis/subscription.ts';
import { streamForm } from '../../src/transports/frames.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { faultyLog } from '../support/faulty-log.ts';
import { ReadingClient } from '../support/reading-client.ts';
import { until, within } from '../support/until.ts';

const retention = { ageMs: 60_000, events: 10_000, bytes: 64 * 1024 * 1024 };
const memory = () =>
  createMemoryLog({
    clock: systemClock,
    retentionMs: retention.ageMs,
    retentionEvents: retention.events,
    retentionBytes: retention.bytes,
  });
const event = (id: string, fields: { to?: string[]; payload?: string } = {}) =>
  prepareEvent({ service: 'a', type: 't', payload: 1, ...fields }, id);

it('a hub closes while a feed opens and its log is away', async () => {
  const log = faultyLog(memory());
  const hub = new Hub({ log, clock: systemClock, ringBytes: 1 << 20, lingerMs: 0, retention });
  log.holdAnswers('read');
  const opening = hub.acquire('acme').catch((error: unknown) => error);
  await until(() => log.waiting('read'), 'the read of the head', 1);
  // More than a feed holds back while it opens: it has to read the log again, which is away by then.
  for (let n = 0; n < 100; n += 1)
    await log.append('acme', 'p', [event(`id-${n}`, { payload: 'x'.repeat(60_000) })]);
  log.heal();
  log.refuse('read');
  const asked = log.calls('read');
  await until(() => log.calls('read') > asked, 'the feed to try again');
  await within(hub.close(), 'the hub to close');
  expect(await opening).toMatchObject({ code: 'log_unavailable' });
  await log.close();
});

it('the delay from append to write is counted for readers that were given something, and for no others', async () => {
  const log = memory();
  const given: number[] = [];
  const onFlushed = (_form: unknown, _sinceMs: number, readers: number): void => void given.push(readers);
  const hub = new Hub({ log, clock: systemClock, ringBytes: 1 << 20, lingerMs: 0, retention, onFlushed });
  const feed = await hub.acquire('acme');
  const clients = ['ann', 'bob', 'cid'].map((sub) => {
    const client = new ReadingClient();
    const services = new Set(sub === 'cid' ? ['other'] : ['a']);
    const { head: position } = feed;
    new Reader({
      feed,
      form: streamForm(undefined),
      sub,
      services,
      position,
      sink: client,
      clock: systemClock,
    }).pump();
    return client;
  });
  await log.append('acme', 'p', [event('to-ann', { to: ['ann'] })]);
  await until(() => clients[0]?.seqs.length, 'the event', 1);
  await log.append('acme', 'p', [event('to-both')]);
  await until(() => clients[1]?.seqs.length, 'the event', 1);
  expect(given).toEqual([1, 2]);
  await hub.close();
  await log.close();
});

it('a sum of delays never falls, whatever the clocks say', async () => {
  const registry = new Registry();
  const histogram = new WeightedHistogram({ name: 'h', help: 'h', label: 'l', buckets: [1], registry });
  for (const span of [2, -5, -0.1]) histogram.observe('x', span, 3);
  const text = await registry.metrics();
  expect(text).toContain('h_sum{l="x"} 6');
  expect(text).toContain('h_bucket{le="1",l="x"} 6');
});

it('lines that standard output had no room for are counted, and told once there is room', async () => {
  const written: string[] = [];
  let goOn = (): void => undefined;
  const out = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      written.push(chunk);
      goOn = done;
    },
  });
  let counted = 0;
  const destination = dropping(out, () => (counted += 1));
  for (let line = 0; line < 7; line += 1) destination.write('x'.repeat(1024 * 1024));
  expect(counted).toBe(3);
  await until(() => {
    goOn();
    return written.some((text) => text.includes('dropped'));
  }, 'the line');
  const told = JSON.parse(written.find((text) => text.includes('dropped')) ?? '') as Record<string, unknown>;
  expect(told).toMatchObject({ level: 'warn', dropped: 3, msg: 'log lines were dropped' });
});

it('an unsubscribe that failed is sent again until it is confirmed', async () => {
  const sent: string[] = [];
  let failures = 2;
  // What ioredis does at such a moment can't be had from a server that is well.
  const connection = Object.assign(new EventEmitter(), {
    status: 'wait',
    connect: async () => undefined,
    disconnect: () => undefined,
    call: async (command: string, ...names: string[]) => {
      sent.push(`${command} ${names.join(' ')}`);
      if (command !== 'unsubscribe' || failures === 0) return;
      failures -= 1;
      throw new Error('timed out');
    },
  });
  const clock = new FakeClock();
  const subscription = new RedisSubscription({
    open: () => connection as unknown as Redis,
    kind: 'channel',
    clock,
  });
  subscription.want('a', { onMessage: () => undefined, onHeard: () => undefined });
  connection.status = 'ready';
  connection.emit('ready');
  await until(() => subscription.hears('a'));
  subscription.unwant('a');
  await until(
    () => {
      clock.advance(500);
      return sent.filter((text) => text === 'unsubscribe a').length;
    },
    '3 unsubscribes',
    3,
  );
  for (let n = 0; n < 5; n += 1) {
    clock.advance(500);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(sent).toEqual(['subscribe a', 'unsubscribe a', 'unsubscribe a', 'unsubscribe a']);
  subscription.close();
});
