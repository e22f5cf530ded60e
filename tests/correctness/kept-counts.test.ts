/** Counts that are kept as sessions come and go are what a recount of all of them gives, whatever happened before. */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Transport } from '../../schema/frames.ts';
import type { Cohort } from '../../schema/http.ts';
import type { Sessions } from '../../src/hub/sessions.ts';
import { Schedule, slotMs } from '../../src/rollout/moves/schedule.ts';
import type { Rollout } from '../../src/rollout/rollout.ts';
import {
  pause,
  resume,
  setEnabled,
  setList,
  setPercent,
  type Transition,
} from '../../src/rollout/rules/transitions.ts';
import { by, session, stage } from '../unit/rollout/support.ts';

const transports = ['websocket', 'long-poll'] as const;
const transport = fc.constantFrom<Transport>(...transports);
/** By which it was admitted: the rules may have changed since, or its ticket be newer than they are. */
const cohort = fc.constantFrom<Cohort>('canary', 'control');
const percent = fc.constantFrom(0, 10, 50, 90, 100);
const user = fc.integer({ min: 0, max: 30 }).map((at) => `user-${at}`);

type Step =
  | {
      readonly do: 'come';
      readonly transport: Transport;
      readonly user: string;
      readonly isSdk: boolean;
      readonly cohort: Cohort;
    }
  | { readonly do: 'go'; readonly which: number }
  | { readonly do: 'change'; readonly change: Transition }
  | { readonly do: 'kill' | 'unkill' | 'latch' }
  | { readonly do: 'wait'; readonly ms: number };

const change = fc.oneof(
  percent.map(setPercent),
  fc.boolean().map(setEnabled),
  fc.array(user, { maxLength: 3 }).map((users) => setList('allowlist', users)),
  fc.array(user, { maxLength: 3 }).map((users) => setList('denylist', users)),
  fc.constantFrom(pause('operator'), resume('operator')),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('come' as const), transport, user, isSdk: fc.boolean(), cohort }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('go' as const), which: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('change' as const), change }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('kill' as const, 'unkill' as const, 'latch' as const) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 3000 }) }),
  },
);

function recount(sessions: Sessions, { decider }: Rollout) {
  const connected = {
    canary: { websocket: 0, 'long-poll': 0 },
    control: { websocket: 0, 'long-poll': 0 },
  };
  const assigned = { canary: 0, control: 0 };
  for (const one of sessions.all()) {
    connected[one.cohort][one.transport] += 1;
    assigned[decider.decide(one).cohort] += 1;
  }
  return { connected, assigned: { ...assigned, version: decider.assignment } };
}

it('cohorts, assigned and connected, whoever comes and goes and whatever is decided', async () => {
  const run = async (steps: readonly Step[]): Promise<void> => {
    const on = stage({
      REALTIME_STREAMING_V2: 'true',
      REALTIME_ROLLOUT_PERCENT: '50',
      TURNOUT_MOVE_RATE: '10',
    });
    const { rollout, sessions, clock } = on;
    const live: ReturnType<typeof session>[] = [];
    const come = (made: Extract<Step, { do: 'come' }>): void => {
      const assignment = made.isSdk ? rollout.decider.assignment : undefined;
      const told = { cohort: made.cohort, assignment, session: made.user };
      const one = session(made.user, made.transport, told);
      live.push(one);
      sessions.add(one);
    };
    for (const next of steps) {
      if (next.do === 'come') come(next);
      else if (next.do === 'go') {
        const [gone] = live.splice(next.which % Math.max(1, live.length), 1);
        if (gone !== undefined) sessions.remove(gone);
      } else if (next.do === 'change') await rollout.store.change(next.change, by);
      else if (next.do === 'kill') await rollout.control.kill(by);
      else if (next.do === 'unkill') await rollout.control.unkill(by);
      else if (next.do === 'wait') clock.advance(next.ms);
      else rollout.latch.pull({ id: clock.id(), at: clock.now(), ...by });
    }
    // The walk that a latch begins is a moment away.
    clock.advance(0);
    const kept = { connected: sessions.connected(), assigned: await rollout.mover.assigned(0) };
    expect(kept).toEqual(recount(sessions, rollout));
    await rollout.close();
  };
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60 }), run), { numRuns: 25 });
});

const names = Array.from({ length: 12 }, (_, at) => at);
const move = fc.oneof(
  fc.record({
    do: fc.constantFrom('wait' as const, 'told' as const),
    who: fc.constantFrom(...names),
    inMs: fc.integer({ min: 0, max: 400 }),
  }),
  fc.record({
    do: fc.constantFrom('hold' as const, 'left' as const),
    who: fc.constantFrom(...names),
    inMs: fc.constant(0),
  }),
  fc.record({
    do: fc.constantFrom('take' as const, 'restart' as const),
    who: fc.constant(0),
    inMs: fc.integer({ min: 0, max: 300 }),
  }),
);

it('moves under way, by direction, and those whose moment has come', () => {
  const run = (moves: readonly (typeof move extends fc.Arbitrary<infer M> ? M : never)[]): void => {
    let nowMs = 1_000_000;
    const schedule = new Schedule(nowMs);
    const everyone = names.map((at) => session(`user-${at}`, transports[at % 2] ?? 'websocket'));
    const waiting = new Map<unknown, number>();
    const [held, leaving] = [new Set<unknown>(), new Set<unknown>()];
    for (const { do: what, who, inMs } of moves) {
      const one = everyone[who];
      if (one === undefined) continue;
      if (what === 'wait') {
        schedule.wait(one, nowMs + inMs);
        waiting.set(one, nowMs + inMs);
      } else if (what === 'told') {
        schedule.told(one, nowMs + inMs);
        leaving.add(one);
      } else if (what === 'hold') {
        schedule.hold(one);
        held.add(one);
      } else if (what === 'left') {
        schedule.left(one);
        for (const set of [waiting, held, leaving]) set.delete(one);
      } else if (what === 'restart') {
        nowMs += inMs;
        schedule.restart(nowMs);
        waiting.clear();
        held.clear();
      } else {
        nowMs += inMs;
        for (let taken = schedule.take(nowMs); taken !== undefined; taken = schedule.take(nowMs)) {
          // Never early, and no longer waiting.
          expect(waiting.get(taken)).toBeLessThanOrEqual(nowMs);
          waiting.delete(taken);
        }
        // At most a slot late, but for those who began to wait when their slot was over.
        for (const dueMs of waiting.values()) expect(dueMs).toBeGreaterThan(nowMs - 2 * slotMs);
      }
      for (const from of transports) {
        const theirs = everyone.filter((other) => other.transport === from);
        const left = theirs.reduce(
          (sum, other) => sum + [waiting, held, leaving].filter((set) => set.has(other)).length,
          0,
        );
        const told = schedule.progress(1000).find((progress) => progress.from === from);
        expect(told?.left ?? 0).toBe(left);
        const isHeld = theirs.some((other) => held.has(other));
        expect(told?.endsAtMs === undefined).toBe(left === 0 || isHeld);
        // The end that is told is the latest: none of those who wait is due after it.
        for (const other of theirs)
          if (!isHeld && waiting.has(other))
            expect(told?.endsAtMs).toBeGreaterThanOrEqual(waiting.get(other) ?? 0);
      }
      expect(schedule.hasWaiting).toBe(waiting.size > 0);
    }
  };
  fc.assert(fc.property(fc.array(move, { maxLength: 60 }), run), { numRuns: 200 });
});
