/** When each user moves: spread evenly over the window, alike on every node, and put off by nothing that isn't theirs. */
import { afterEach, describe, expect, it } from 'vitest';
import { Decider } from '../../../src/rollout/decide/decide.ts';
import { DueTimes, momentOf } from '../../../src/rollout/moves/due-times.ts';
import { Evaluator } from '../../../src/rollout/decide/evaluator.ts';
import { pastToggles } from '../../../src/rollout/rules/open-changes.ts';
import { KillLatch } from '../../../src/rollout/kill/latch.ts';
import { rulesSchema } from '../../../src/rollout/rules/rules.ts';
import {
  pause,
  resume,
  setFlag,
  setList,
  setPercent,
  unkill,
} from '../../../src/rollout/rules/transitions.ts';
import { by, session, stage, type RecordedSession, type Stage } from './support.ts';

const stages: Stage[] = [];
afterEach(async () => {
  for (const one of stages.splice(0)) await one.rollout.close();
});

/** Everybody on WebSocket, `users` streams, 10 users a second. */
function crowd(users: number, env: Record<string, string> = {}) {
  const on = stage({
    REALTIME_STREAMING_V2: 'true',
    REALTIME_ROLLOUT_PERCENT: '100',
    TURNOUT_MOVE_RATE: '10',
    ...env,
  });
  stages.push(on);
  const streams = Array.from({ length: users }, (_, at) => session(`user-${at}`, 'websocket'));
  for (const stream of streams) on.sessions.add(stream);
  return { on, streams };
}
const toldOf = (streams: readonly RecordedSession[]): number =>
  streams.filter(({ orders }) => orders.length > 0).length;
const newest = ({ rollout }: Stage) => rollout.store.current()?.openChanges.at(-1);

it('spreads moments evenly: every tenth of the window within 3.5σ', () => {
  const users = 100_000;
  const tenths = Array.from({ length: 10 }, () => 0);
  for (let at = 0; at < users; at += 1) {
    const moment = momentOf({ org: 'acme', sub: `user-${at}` }, '1767225601', 5000, 1000);
    const place = Math.floor((moment - 5000) / 100);
    tenths[place] = (tenths[place] ?? 0) + 1;
  }
  const sigma = Math.sqrt(users * 0.1 * 0.9);
  expect(tenths).toHaveLength(10);
  for (const count of tenths) expect(Math.abs(count - users / 10)).toBeLessThan(3.5 * sigma);
});

it('moves people at the rate, and all of them by the end of the window', async () => {
  const { on, streams } = crowd(201);
  await on.rollout.store.change(setPercent(0), by);
  expect(newest(on)).toMatchObject({ windowMs: 20_000, users: 201, to: 'long-poll' });
  on.clock.advance(10_000);
  expect(toldOf(streams)).toBeGreaterThan(70);
  expect(toldOf(streams)).toBeLessThan(131);
  on.clock.advance(10_020);
  expect(toldOf(streams)).toBe(201);
});

it('is another moment at another change: nobody is among the first each time', () => {
  const users = 10_000;
  const firstOf = (key: string): string[] =>
    Array.from({ length: users }, (_, at) => `user-${at}`).filter(
      (sub) => momentOf({ org: 'acme', sub }, key, 0, 10) < 1,
    );
  const again = new Set(firstOf('1767225602'));
  const both = firstOf('1767225601').filter((sub) => again.has(sub)).length;
  expect(Math.abs(both - users / 100)).toBeLessThan(3.5 * Math.sqrt(users / 100));
});

/** Another node: it knows the document alone, and has its own connections, clock and settings. */
function dueTimesOnceRead(document: string, nowMs: number): { dueAtMs: (sub: string) => number } {
  const rules = rulesSchema.parse(JSON.parse(document));
  const evaluator = new Evaluator(
    () => 0.1,
    () => {},
  );
  evaluator.apply([...rules.features, ...pastToggles(rules)]);
  const ofRules = () => rules;
  const decider = new Decider({
    rules: ofRules,
    evaluator,
    latch: new KillLatch(),
    isCapped: false,
    allowsOverride: false,
  });
  const connected = () => ({ streams: 7, polls: 3 });
  const pace = { connected, moveRate: 1, killWindowMs: 1, pollCapacity: 1, moveWithinMs: 1 };
  const dueTimes = new DueTimes({ decider, nowMs: () => nowMs, pace });
  return {
    dueAtMs: (sub) => dueTimes.dueAtMs({ org: 'acme', sub }, decider.decide({ org: 'acme', sub })),
  };
}

it('is the same moment on two nodes, and no later write that concerns others puts it off', async () => {
  const { on, streams } = crowd(101);
  const { decider, dueTimes, store } = on.rollout;
  await store.change(setPercent(50), by);
  const moved = streams.filter((one) => decider.decide(one).transport === 'long-poll');
  const moments = () => moved.map((one) => dueTimes.dueAtMs(one, decider.decide(one)));
  const momentsElsewhere = (): number[] => {
    const other = dueTimesOnceRead(JSON.stringify(store.current()), on.clock.now() + 777);
    return moved.map(({ sub }) => other.dueAtMs(sub));
  };
  const before = moments();
  expect(momentsElsewhere()).toEqual(before);
  on.clock.advance(100);
  await store.change(setFlag('ws-autoreconnect', { percent: 50 }), by);
  await store.change(setPercent(40), by);
  await store.change(setList('allowlist', ['acme/somebody-else']), by);
  expect(moments()).toEqual(before);
  expect(momentsElsewhere()).toEqual(before);
  expect(before.every(Number.isFinite)).toBe(true);
});

describe('a kill', () => {
  it('has its window, or the time that the polls take', async () => {
    const { on, streams } = crowd(100, { TURNOUT_KILL_WINDOW_MS: '1000', TURNOUT_POLL_CAPACITY: '10' });
    const answer = await on.rollout.control.kill(by);
    expect(answer.movesInProgress).toMatchObject([
      { from: 'websocket', to: 'long-poll', left: 100, etaMs: 11_000 },
    ]);
    expect(on.rollout.mover.movesEndAtMs).toBeLessThanOrEqual(
      Date.parse(answer.movesInProgress?.[0]?.doneBy ?? ''),
    );
    on.clock.advance(5000);
    expect(toldOf(streams)).toBeLessThan(80);
    on.clock.advance(5020);
    expect(toldOf(streams)).toBe(100);
  });

  it('is undone at the mover’s rate', async () => {
    const { on } = crowd(0);
    await on.rollout.control.kill(by);
    const polls = Array.from({ length: 101 }, (_, at) => session(`p-${at}`, 'long-poll', { assignment: 1 }));
    for (const one of polls) on.sessions.add(one);
    await on.rollout.store.change(unkill(), by);
    expect(newest(on)).toMatchObject({ windowMs: 10_000, to: 'websocket' });
    on.clock.advance(5000);
    expect(toldOf(polls)).toBeLessThan(80);
    on.clock.advance(5020);
    expect(toldOf(polls)).toBe(101);
  });
});

it('a pause stops the moves, and they go on where they stood', async () => {
  const { on, streams } = crowd(202);
  await on.rollout.store.change(setPercent(1), by);
  on.clock.advance(10_000);
  await on.rollout.store.change(pause('operator'), by);
  const told = toldOf(streams);
  on.clock.advance(60_000);
  expect(toldOf(streams)).toBe(told);
  await on.rollout.store.change(resume('operator'), by);
  on.clock.advance(1000);
  expect(toldOf(streams)).toBeLessThan(told + 40);
  on.clock.advance(10_000);
  const { decider } = on.rollout;
  expect(toldOf(streams)).toBe(streams.filter((one) => decider.decide(one).transport === 'long-poll').length);
});

it('the end of a pause puts no rollback off: it never held one', async () => {
  const { on, streams } = crowd(101);
  const { decider, dueTimes, store } = on.rollout;
  await store.change(pause('operator'), by);
  const everybody = streams.map(({ sub }) => `acme/${sub}`);
  await store.change(setList('denylist', everybody), by);
  const moments = () => streams.map((one) => dueTimes.dueAtMs(one, decider.decide(one)));
  const before = moments();
  on.clock.advance(500);
  await store.change(resume('operator'), by);
  expect(moments()).toEqual(before);
  expect(newest(on)?.windowMs).toBeGreaterThan(5000);
});

it('tells how far it is', async () => {
  const { on } = crowd(101);
  await on.rollout.store.change(setPercent(0), by);
  const [moves] = on.rollout.mover.progress();
  expect(moves).toMatchObject({ from: 'websocket', to: 'long-poll', left: 101 });
});
