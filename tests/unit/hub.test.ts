import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { Hub } from '../../src/hub/hub.ts';
import { Reader } from '../../src/hub/reader.ts';
import { decodeCursor } from '../../src/log/cursor.ts';
import { prepareEvent } from '../../src/log/entry.ts';
import type { EventLog, Start } from '../../src/log/event-log.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { streamForm } from '../../src/transports/frames.ts';
import { faultyLog } from '../support/faulty-log.ts';
import { ReadingClient } from '../support/reading-client.ts';
import { until } from '../support/until.ts';

const org = 'acme';
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function memory(options: { retentionEvents?: number } = {}): EventLog {
  return createMemoryLog({
    clock: systemClock,
    retentionMs: 60_000,
    retentionEvents: 10_000,
    retentionBytes: 64 * 1024 * 1024,
    ...options,
  });
}

function hubOver(log: EventLog, options: { ringBytes?: number; lingerMs?: number } = {}): Hub {
  const retention = { ageMs: 60_000, events: 10_000, bytes: 64 * 1024 * 1024 };
  const hub = new Hub({
    log,
    clock: systemClock,
    ringBytes: 1024 * 1024,
    lingerMs: 0,
    retention,
    onFault: () => undefined,
    ...options,
  });
  closers.push(async () => {
    await hub.close();
    await log.close();
  });
  return hub;
}

let published = 0;
const append = (log: EventLog, service: string, count = 1, more: { to?: string[]; pad?: number } = {}) =>
  log.append(
    org,
    'p',
    Array.from({ length: count }, () => {
      published += 1;
      const payload = { n: published, pad: 'x'.repeat(more.pad ?? 0) };
      const to = more.to === undefined ? {} : { to: more.to };
      return prepareEvent({ service, type: 't', payload, ...to }, `id-${published}`);
    }),
  );

const event = (id: string, to?: string[]) =>
  prepareEvent({ service: 'a', type: 't', payload: id, ...(to === undefined ? {} : { to }) }, id);

async function read(hub: Hub, services: string[], start: Start = { at: 'head' }, sub = 'u') {
  const feed = await hub.acquire(org);
  const placed = await feed.place(start);
  const client = new ReadingClient();
  const reader = new Reader({
    feed,
    form: streamForm(undefined),
    sub,
    services: new Set(services),
    position: placed.position,
    sink: client,
    clock: systemClock,
  });
  reader.pump();
  return { feed, reader, client, placed };
}

describe('a reader', () => {
  it('receives the events of its services in order, and not the others', async () => {
    const log = memory();
    const { client } = await read(hubOver(log), ['a', 'b']);
    await append(log, 'a', 2);
    await append(log, 'c', 2);
    await append(log, 'b', 1);
    await append(log, 'a', 1);
    await until(() => client.seqs.length === 4);
    expect(client.seqs).toEqual([1, 2, 5, 6]);
  });

  it('moves past what is not its own, so that an idle cursor keeps up', async () => {
    const log = memory();
    const { reader, client } = await read(hubOver(log), ['a']);
    await append(log, 'z', 3);
    await until(() => reader.position.seq === 3);
    expect(client.frames).toEqual([]);
  });

  it('is given one frame for consecutive events of a service, whose cursor is its last event', async () => {
    const log = memory();
    const { client } = await read(hubOver(log), ['a', 'b']);
    await append(log, 'a', 3);
    await until(() => client.seqs.length === 3);
    expect(client.frames).toHaveLength(1);
    expect(client.frames[0]?.seq).toBe(3);
    expect(decodeCursor(client.frames[0]?.cursor ?? '').seq).toBe(3);
  });

  it('receives an event with `to` in its place, and others not at all', async () => {
    const log = memory();
    const hub = hubOver(log);
    const mine = await read(hub, ['a'], { at: 'head' }, 'me');
    const theirs = await read(hub, ['a'], { at: 'head' }, 'you');
    // In one batch, so that one chunk holds all three.
    await log.append(org, 'p', [event('x1'), event('x2', ['me']), event('x3')]);
    await until(() => mine.client.seqs.length === 3 && theirs.client.seqs.length === 2);
    expect(mine.client.seqs).toEqual([1, 2, 3]);
    expect(theirs.client.seqs).toEqual([1, 3]);
    expect(theirs.client.frames.every((frame) => frame.events.every((e) => e.id !== 'x2'))).toBe(true);
  });

  it('waits at its cursor while its sink is full, and is fed from the ring when it drains', async () => {
    const log = memory();
    const { reader, client } = await read(hubOver(log), ['a']);
    client.hasRoom = false;
    await append(log, 'a', 5);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(client.seqs).toEqual([]);
    expect(reader.position.seq).toBe(0);
    client.hasRoom = true;
    reader.pump();
    await until(() => client.seqs.length === 5);
    expect(client.seqs).toEqual([1, 2, 3, 4, 5]);
  });

  it('is fed from the log where the ring has lost its place', async () => {
    const log = memory();
    const { reader, client } = await read(hubOver(log, { ringBytes: 2000 }), ['a']);
    client.hasRoom = false;
    for (let turn = 0; turn < 30; turn += 1) await append(log, 'a', 1, { pad: 500 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.hasRoom = true;
    reader.pump();
    await until(() => client.seqs.length === 30);
    expect(client.seqs).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
  });

  it('ends by a fault of ours that reading meets, and does not meet it for ever', async () => {
    const log = faultyLog(memory());
    const { reader, client } = await read(hubOver(log, { ringBytes: 2000 }), ['a']);
    client.hasRoom = false;
    for (let turn = 0; turn < 30; turn += 1) await append(log, 'a', 1, { pad: 500 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.hasRoom = true;
    log.spoil('read');
    const before = log.calls('read');
    reader.pump();
    await until(() => client.faults.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect([client.faults.length, log.calls('read') - before, client.seqs]).toEqual([1, 1, []]);
  });

  it('is told reset only past retention', async () => {
    const log = memory({ retentionEvents: 10 });
    const { reader, client } = await read(hubOver(log, { ringBytes: 1000 }), ['a']);
    client.hasRoom = false;
    for (let turn = 0; turn < 40; turn += 1) await append(log, 'a', 1, { pad: 500 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.hasRoom = true;
    reader.pump();
    await until(() => client.resets.length === 1);
    expect(client.resets[0]).toMatchObject({ reason: 'expired', head: { seq: 40 } });
    await append(log, 'a');
    await until(() => client.seqs.length === 1);
    expect(client.seqs).toEqual([41]);
  });

  it('changes its services at its position', async () => {
    const log = memory();
    const { reader, client } = await read(hubOver(log), ['a']);
    await append(log, 'b', 2);
    await append(log, 'a', 1);
    await until(() => reader.position.seq === 3);
    reader.setServices(new Set(['a', 'b']));
    await append(log, 'b', 1);
    await until(() => client.seqs.length === 2);
    expect(client.seqs).toEqual([3, 4]);
  });

  it('that was closed is not among those of its feed again, whatever it is still asked', async () => {
    const { feed, reader } = await read(hubOver(memory()), ['a']);
    reader.close();
    expect(feed.groups.isEmpty).toBe(true);
    reader.setServices(new Set(['a', 'b']));
    expect(feed.groups.isEmpty).toBe(true);
  });
});

describe('a feed', () => {
  it('loses nothing that is appended while it opens, and needs no later event to notice [P6]', async () => {
    const log = faultyLog(memory());
    const hub = hubOver(log);
    await append(log, 'a');
    // The head is read, and its answer grows old while more is appended.
    log.holdAnswers('read');
    const opening = read(hub, ['a'], { at: 'lastSeq', seq: 1 });
    await until(() => log.waiting('read') === 1);
    await append(log, 'a', 2);
    log.heal();
    const { client } = await opening;
    await until(() => client.seqs.length === 2);
    expect(client.seqs).toEqual([2, 3]);
  });

  it('fills a gap in its tail from the log', async () => {
    const log = faultyLog(memory());
    const { client } = await read(hubOver(log), ['a']);
    await append(log, 'a', 2);
    log.loseTail();
    await append(log, 'a', 3);
    await new Promise((resolve) => setTimeout(resolve, 10));
    log.heal();
    await append(log, 'a', 1);
    await until(() => client.seqs.length === 6);
    expect(client.seqs).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('compares the head when its tail was interrupted', async () => {
    const log = faultyLog(memory());
    const { client } = await read(hubOver(log), ['a']);
    log.loseTail();
    await append(log, 'a', 3);
    await new Promise((resolve) => setTimeout(resolve, 10));
    log.heal();
    log.interrupt();
    await until(() => client.seqs.length === 3);
    expect(client.seqs).toEqual([1, 2, 3]);
  });

  it('reads again when its tail was interrupted while it read', async () => {
    const log = faultyLog(memory());
    const { client } = await read(hubOver(log), ['a']);
    log.holdAnswers('read');
    log.interrupt();
    await until(() => log.waiting('read') === 1);
    // Appended after what is on its way was read, and never heard of.
    log.loseTail();
    await append(log, 'a', 2);
    await new Promise((resolve) => setTimeout(resolve, 10));
    log.interrupt();
    log.heal();
    await until(() => client.seqs.length === 2);
    expect(client.seqs).toEqual([1, 2]);
  });

  it('goes on after the log was away, and nobody is reset', async () => {
    const log = faultyLog(memory());
    const { client } = await read(hubOver(log), ['a']);
    log.loseTail();
    await append(log, 'a', 3);
    log.refuse('read');
    log.interrupt();
    await until(() => log.calls('read') > 3);
    log.heal();
    await until(() => client.seqs.length === 3);
    expect(client.resets).toEqual([]);
  });

  it('is one for an org, however many read it, and closes after the last', async () => {
    const log = faultyLog(memory());
    const hub = hubOver(log);
    const readers = await Promise.all(Array.from({ length: 100 }, () => read(hub, ['a'])));
    expect(log.health().subscriptions).toBe(1);
    expect(log.calls('tail')).toBe(1);
    for (const { reader } of readers) {
      reader.close();
      hub.release(org);
    }
    await until(() => log.health().subscriptions === 0);
    expect(hub.feeds).toBe(0);
    expect(hub.ringBytes).toBe(0);
  });

  it('encodes once for all readers of a group', async () => {
    const log = memory();
    const hub = hubOver(log);
    const seen = new Set<Buffer>();
    for (let turn = 0; turn < 10; turn += 1) {
      const { client } = await read(hub, ['a']);
      const deliver = client.deliver.bind(client);
      client.deliver = (parts) => {
        for (const part of parts) seen.add(part.bytes);
        deliver(parts);
      };
    }
    await append(log, 'a', 3);
    await until(() => seen.size > 0);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(seen.size).toBe(1);
  });

  it('refuses readers with log_unavailable while the log is away, and serves them when it is back', async () => {
    const log = faultyLog(memory());
    const hub = hubOver(log);
    log.refuse('read');
    await expect(hub.acquire(org)).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(log.health().subscriptions).toBe(0);
    log.heal();
    const { client } = await read(hub, ['a']);
    await append(log, 'a');
    await until(() => client.seqs.length === 1);
  });
});
