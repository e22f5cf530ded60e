/** A poll while the log doesn't answer at all: held to its wait and no longer (docs/PROTOCOL.md, 7). */
import { afterEach, describe, expect, it } from 'vitest';
import { pause, systemClock } from '../../src/clock.ts';
import { LegacyRelease } from '../../src/legacy/serve/release.ts';
import { pollClientOf } from '../../src/transports/poll-request.ts';
import { Hub } from '../../src/hub/hub.ts';
import { Sessions } from '../../src/hub/sessions.ts';
import { ServiceClaim } from '../../src/auth/identity.ts';
import { prepareEvent } from '../../src/log/entry.ts';
import type { EventLog, Start } from '../../src/log/event-log.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { Traffic } from '../../src/metrics/traffic.ts';
import { LongPoll } from '../../src/transports/long-poll.ts';
import { Wheel } from '../../src/transports/wheel.ts';
import { faultyLog } from '../support/faulty-log.ts';
import { swappedLog } from '../support/swapped-log.ts';
import { until, within } from '../support/until.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const pollLimit = 500;
const memory = (newEpoch = () => systemClock.tag(72)): EventLog =>
  createMemoryLog({
    clock: systemClock,
    newEpoch,
    retentionMs: 60_000,
    retentionEvents: 1000,
    retentionBytes: 1 << 20,
  });

async function polls(inner = memory()) {
  const log = faultyLog(inner);
  const hub = new Hub({
    log,
    clock: systemClock,
    ringBytes: 1 << 20,
    lingerMs: 0,
    retention: { ageMs: 60_000, events: 1000, bytes: 1 << 20 },
    onFault: () => undefined,
  });
  const wheel = new Wheel(systemClock);
  const due = { transport: 'long-poll', cohort: 'control', assignment: 1, mayMoveUp: false } as const;
  const longPoll = new LongPoll({
    hub,
    isLogReachable: () => log.health().isReachable,
    sessions: new Sessions(),
    admission: {
      stream: async () => ({ isAdmitted: true, cohort: 'canary', assignment: 1 }),
      poll: () => due,
      assignment: () => 1,
    },
    clock: systemClock,
    wheel,
    traffic: new Traffic(),
    maxHeld: 10,
    maxHeldPerUser: 10,
    onLimited: () => undefined,
    onAnswered: () => undefined,
  });
  await log.append('acme', 'p', [prepareEvent({ service: 'a', type: 't', payload: 1 }, 'id-1')]);
  const { head } = await log.read('acme', { at: 'head' }, { maxEvents: 1, maxBytes: 1 });
  closers.push(() => {
    log.heal();
    wheel.close();
    void hub.close();
  });
  const ask = (
    waitMs: number,
    livesMs = 60_000,
    start: Start = { at: 'cursor', position: head },
    client = pollClientOf(undefined, undefined),
  ) =>
    longPoll.answer({
      identity: {
        org: 'acme',
        sub: 'ann',
        expiresAtMs: Date.now() + livesMs,
        reads: new ServiceClaim(['*']),
        publishes: new ServiceClaim([]),
        roles: new Set(),
        producerOrgs: [],
      },
      services: new Set(['a']),
      start,
      waitMs,
      limit: pollLimit,
      session: undefined,
      assignment: undefined,
      client,
    });
  return { log, hub, longPoll, ask };
}

describe('a poll with a cursor, while the log is away,', () => {
  it('is answered when its wait is over', async () => {
    const { log, ask } = await polls();
    log.hold('read');
    const { body } = await within(ask(300), 'the answer');
    expect(JSON.parse(body.toString())).toMatchObject({ events: [], seq: 1 });
  });

  it('is held to its wait in all, though the log comes back in the middle of it', async () => {
    const { log, ask } = await polls();
    const answered: string[] = [];
    log.refuse('read');
    const before = ask(1000).then(() => answered.push('before'));
    await until(
      () => log.calls('read'),
      'a read that failed',
      (seen) => seen > 1,
    );
    await pause(systemClock, 600);
    log.heal();
    const after = ask(800).then(() => answered.push('after'));
    await within(Promise.all([before, after]), 'the answers');
    expect(answered).toEqual(['before', 'after']);
  });

  it('is answered when the node drains', async () => {
    const { log, longPoll, ask } = await polls();
    log.hold('read');
    const answer = ask(30_000);
    await until(() => log.waiting('read'), 'the read');
    void longPoll.drain(1000);
    expect((await within(answer, 'the answer')).mustClose).toBe(true);
  });

  it('is answered when its token expires', async () => {
    const { log, ask } = await polls();
    log.refuse('read');
    const { body } = await within(ask(30_000, 300), 'the answer');
    expect(JSON.parse(body.toString())).toMatchObject({ events: [], seq: 1 });
  });
});

it('a poll that has just asked where it stands is told so, though the node begins to drain', async () => {
  const { log, longPoll, ask } = await polls();
  log.holdAnswers('read');
  const answer = ask(0, 60_000, { at: 'earliest' });
  await until(() => log.waiting('read'), 'the question', 1);
  const drained = longPoll.drain(1000).then(() => longPoll.close());
  await pause(systemClock, 50);
  log.heal();
  const { body, mustClose } = await within(answer, 'the answer');
  expect(JSON.parse(body.toString())).toMatchObject({ events: [{ id: 'id-1' }] });
  expect(mustClose).toBe(true);
  await within(drained, 'the end of the drain');
});

it('a poll of an old API is let go while it waits for the log, as one that is held is', async () => {
  const { log, ask } = await polls();
  let mayHold = true;
  const release = new LegacyRelease(() => mayHold, systemClock);
  closers.push(() => release.close());
  log.refuse('read');
  const answer = ask(30_000, 60_000, undefined, release.watched(pollClientOf(undefined, undefined)));
  await until(
    () => log.calls('read'),
    'a read that failed',
    (seen) => seen > 1,
  );
  mayHold = false;
  const { body } = await within(answer, 'the answer');
  expect(JSON.parse(body.toString())).toMatchObject({ events: [], seq: 1 });
});

describe('a poll with a bare seq', () => {
  it('is refused at once while the log is away, though the ring holds what it asks for', async () => {
    const { log, hub, ask } = await polls();
    const feed = await hub.acquire('acme');
    await log.append('acme', 'p', [prepareEvent({ service: 'a', type: 't', payload: 2 }, 'id-2')]);
    await until(() => feed.head.seq, 'the event in the ring', 2);
    const since = { at: 'lastSeq', seq: 1 } as const;
    expect(JSON.parse((await ask(0, 60_000, since)).body.toString())).toMatchObject({ seq: 2 });
    log.refuse('read');
    await expect(ask(30_000, 60_000, since)).rejects.toMatchObject({ code: 'log_unavailable' });
  });
});

it('a poll that meets a fault of ours is refused with it, and not held to its wait', async () => {
  const { log, hub, ask } = await polls();
  log.hold('read');
  const asked = ask(60_000, 60_000, { at: 'earliest' });
  await until(() => log.waiting('read'), 'the question where it stands', 1);
  const refusal = within(asked, 'the refusal').catch((thrown: unknown) => thrown);
  log.heal();
  log.spoil('read');
  expect(await refusal).toMatchObject({ message: 'spoiled' });
  log.heal();
  expect(hub.feeds).toBe(1);
  const { body } = await ask(0, 60_000, { at: 'earliest' });
  expect(JSON.parse(body.toString())).toMatchObject({ events: [{ id: 'id-1' }], seq: 1 });
});

it('a poll placed in the log that came back is held there, though its feed begins anew only then', async () => {
  const [lost, found] = [memory(), memory()];
  let log = lost;
  let repair: () => void = () => undefined;
  const {
    log: faulty,
    hub,
    longPoll,
    ask,
  } = await polls(
    swappedLog(() => log, {
      async read(org, start, limits) {
        // The feed asks from where it stands, and hears late.
        if (log === found && start.at === 'cursor' && start.position.epoch !== head.epoch)
          await new Promise<void>((goOn) => (repair = goOn));
        return log.read(org, start, limits);
      },
      tail: (...call) => lost.tail(...call),
    }),
  );
  const feed = await hub.acquire('acme');
  await found.append('acme', 'p', [prepareEvent({ service: 'a', type: 't', payload: 1 }, 'id-1')]);
  const { head } = await found.read('acme', { at: 'head' }, { maxEvents: 1, maxBytes: 1 });
  log = found;
  faulty.interrupt();

  let answer: Buffer | undefined;
  const asked = ask(30_000, 60_000, { at: 'cursor', position: head }).then(({ body }) => (answer = body));
  await pause(systemClock, 50);
  repair();
  await until(
    () => feed.head.epoch,
    'the feed to begin anew',
    (seen) => seen === head.epoch,
  );
  await pause(systemClock, 200);
  expect(answer).toBeUndefined();
  await longPoll.close();
  const body = await within(asked, 'the answer');
  expect(JSON.parse(body.toString())).toMatchObject({ events: [], seq: 1, epoch: head.epoch });
});

it('a poll that looks again since its feed began anew is answered by what came while it looked', async () => {
  // A failover keeps the epoch: told by tags alone.
  const [lost, found] = [memory(() => 'kept'), memory(() => 'kept')];
  let log = lost;
  let repair: () => void = () => undefined;
  let answerPoll: (() => void) | undefined;
  const {
    log: faulty,
    hub,
    ask,
  } = await polls(
    swappedLog(() => log, {
      async read(org, start, limits) {
        // The feed asks from where it stands, and hears late.
        const isLost = start.at === 'cursor' && start.position.seq === 1 && start.position.tag !== head.tag;
        if (log === found && isLost) await new Promise<void>((goOn) => (repair = goOn));
        const answer = await log.read(org, start, limits);
        const isPolls = start.at === 'cursor' && limits.maxEvents === pollLimit;
        if (isPolls && answerPoll === undefined) await new Promise<void>((goOn) => (answerPoll = goOn));
        return answer;
      },
      async tail(org, listener) {
        const tails = await Promise.all([lost, found].map((one) => one.tail(org, listener)));
        return { close: async () => void (await Promise.all(tails.map((tail) => tail.close()))) };
      },
    }),
  );
  // Further than the feed stands: the poll waits until the feed comes that far.
  const events = [1, 2].map((n) => prepareEvent({ service: 'a', type: 't', payload: n }, `id-${n}`));
  await found.append('acme', 'p', events);
  const { head } = await found.read('acme', { at: 'head' }, { maxEvents: 1, maxBytes: 1 });
  const feed = await hub.acquire('acme');
  log = found;
  faulty.interrupt();
  const asked = ask(5000, 60_000, { at: 'cursor', position: head });
  await pause(systemClock, 50);
  repair();
  await until(
    () => answerPoll,
    'the read of the poll',
    (seen) => seen !== undefined,
  );
  await found.append('acme', 'p', [prepareEvent({ service: 'a', type: 't', payload: 3 }, 'id-3')]);
  await until(() => feed.head.seq, 'the event in the ring', 3);
  answerPoll?.();
  const { body } = await within(asked, 'the answer');
  expect(JSON.parse(body.toString())).toMatchObject({ events: [{ id: 'id-3' }], seq: 3 });
});
