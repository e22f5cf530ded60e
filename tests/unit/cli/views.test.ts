/** What an operator reads: the worst thing first, since when, by whom, why, and what to do next. */
import { describe, expect, it } from 'vitest';
import type { ChangeAnswer, DecisionBody, RolloutBody } from '../../../schema/admin.ts';
import type { AuditEntry } from '../../../schema/audit.ts';
import { reasonSchema } from '../../../schema/http.ts';
import { changeLines, exitOfChange } from '../../../src/cli/rollout/change-view.ts';
import { decisionLines } from '../../../src/cli/rollout/decision-view.ts';
import { isCappedEverywhere, rolloutLines } from '../../../src/cli/rollout/view.ts';

const nowMs = Date.parse('2026-01-01T03:05:00.000Z');
const counts = { assigned: 0, connected: { websocket: 0, 'long-poll': 0 } };
const steady: RolloutBody = {
  version: 42,
  rules: { up: true, detail: 'in Redis' },
  changedAt: '2026-01-01T03:00:00.000Z',
  percent: 12.5,
  enabled: true,
  killed: false,
  killedBy: { rules: [], node: [] },
  allowlist: [],
  denylist: [],
  holdback: 0,
  flags: {
    'realtime-streaming-v2': { enabled: true, percent: 12.5 },
    'ws-autoreconnect': { enabled: true, percent: 10 },
  },
  paused: [],
  acks: { 'node-a': 42, 'node-b': 42 },
  laggards: [],
  capped: [],
  cohorts: { canary: counts, control: counts },
  moves: { inProgress: 0, doneBy: null },
  movesInProgress: [],
  missing: [],
};
const audit: AuditEntry[] = [
  {
    version: 42,
    at: '2026-01-01T03:00:00.000Z',
    who: 'acme/sre',
    action: 'percent',
    from: 10,
    to: 12.5,
    reason: 'step 3',
  },
];
const show = (change: Partial<RolloutBody>, entries: readonly AuditEntry[] = audit): string =>
  rolloutLines({ ...steady, ...change }, entries, nowMs).join('\n');
const kill = { id: 'k-1', at: '2026-01-01T03:04:00.000Z', who: 'acme/sre', reason: 'errors' };

describe('rolloutLines', () => {
  it('tells a quiet rollout in one line, and where each figure comes from', () => {
    const told = show({});
    expect(told).toMatch(/^STEADY +12\.5 % of users get WebSocket\n/);
    expect(told).toContain('12.5 %, set 2026-01-01 03:00:00Z (5 min ago) by acme/sre: "step 3"');
    expect(told).toMatch(/^nodes +2\/2 have v42$/m);
    expect(told).toMatch(/^flag +ws-autoreconnect: on, 10 %$/m);
    expect(told).toMatch(/^next .*turnout rollout kill/m);
  });

  it('says by which version cohorts are counted while a node still counts, and nothing otherwise', () => {
    expect(show({ assignedBy: 41 })).toContain('(assigned: by v41; v42 is being counted)');
    expect(show({ assignedBy: 42 })).not.toContain('being counted');
  });

  it.each<[string, Partial<RolloutBody>, RegExp]>([
    ['a kill', { killed: true, killedBy: { rules: [kill], node: ['k-1'] } }, /next .*turnout rollout unkill/],
    ['a kill file', { killed: true, killedBy: { rules: [], node: ['/run/kill'] } }, /next .*rm \/run\/kill/],
    ['the flag off', { enabled: false }, /next .*turnout rollout enable/],
    [
      'a kill that one node alone heard while Redis is away',
      {
        killed: true,
        killedBy: { rules: [], node: ['k-2'] },
        rules: { up: false, detail: 'last read 7 s ago' },
      },
      /next .*every other node: turnout kill --local/,
    ],
    ['a pause', { paused: ['operator'] }, /next .*turnout rollout resume/],
    ['a laggard', { laggards: ['node-b'], acks: { 'node-a': 42, 'node-b': 41 } }, /next .*node-b lags/],
    ['moves', { moves: { inProgress: 3, doneBy: null } }, /next .*rollout get -w/],
    [
      'caps everywhere',
      { capped: ['node-a', 'node-b'].map((node) => ({ node, variables: ['REALTIME_STREAMING_V2'] })) },
      /next .*unset REALTIME_STREAMING_V2/,
    ],
  ])('says what to do next about %s', (_, change, next) => {
    expect(show(change)).toMatch(next);
  });

  it('shows a kill once, with since when, by whom and why', () => {
    const told = show({ killed: true, killedBy: { rules: [kill], node: ['k-1'] } });
    expect(told).toMatch(/^KILLED /);
    expect(told.match(/^killed .*/gm)).toEqual([
      'killed    by the rules, on every node, since 2026-01-01 03:04:00Z (1 min ago), by acme/sre: "errors"',
    ]);
  });

  it('tells a kill that one node alone heard from one that all have', () => {
    expect(show({ killed: true, killedBy: { rules: [], node: ['k-2'] } })).toContain(
      "on the node that answered, by kill k-2: the rules don't have it",
    );
  });

  it('never calls steady what one node alone could tell', () => {
    const told = show({ rules: { up: false, detail: 'last read 7 s ago' } }, []);
    expect(told).toMatch(/^CUT OFF /);
    expect(told).toMatch(/^rules .*cannot be read now: last read 7 s ago$/m);
    expect(told).toMatch(/^next .*turnout kill --local/m);
  });

  it('names who lags and where they are, and when moves are done', () => {
    const told = show({
      laggards: ['node-b', 'node-c'],
      acks: { 'node-a': 42, 'node-b': 41 },
      moves: { inProgress: 3, doneBy: '2026-01-01T03:06:30.000Z' },
    });
    expect(told).toContain('1/3 have v42; behind: node-b (at v41), node-c (silent)');
    expect(told).toContain('3 in progress, done by 2026-01-01 03:06:30Z (in 1 min 30 s)');
  });

  it('says whose connections it could not count', () => {
    expect(show({ missing: ['node-b'] })).toMatch(/^unheard +node-b: /m);
  });

  it('shows ten names of a list and counts the rest', () => {
    const told = show({ allowlist: Array.from({ length: 12 }, (_, index) => `u${index}`) });
    expect(told).toContain('12: u0, u1, u2, u3, u4, u5, u6, u7, u8, u9 and 2 more');
  });

  it('does without an audit trail', () => {
    expect(show({}, [])).toMatch(/^percent +12\.5 %$/m);
  });
});

describe('a change', () => {
  const done: ChangeAnswer = { version: 43, written: true, acks: { 'node-a': 43 }, laggards: [] };
  const cap = { node: 'node-a', variables: ['REALTIME_ROLLOUT_PERCENT'] };

  it.each<[Partial<ChangeAnswer>, string]>([
    [{}, 'done'],
    [{ written: false }, 'partial'],
    [{ laggards: ['node-b'] }, 'partial'],
    [{ capped: [cap] }, 'partial'],
    [{ capped: [cap], acks: { 'node-a': 43, 'node-b': 43 } }, 'done'],
  ])('that is %j ends with %s', (answer, exit) => {
    expect(exitOfChange({ ...done, ...answer })).toBe(exit);
  });

  it('that could not be written says what to do on the other nodes', () => {
    expect(changeLines('KILLED', { ...done, written: false }, 9, undefined)).toContain(
      'next      on every other node: turnout kill --local',
    );
  });

  it('says what keeps it from showing', () => {
    const lines = changeLines('percent set to 10 %', done, 9, { ...steady, enabled: false });
    expect(lines[0]).toBe('percent set to 10 %: v43, 1/1 have v43, 9 ms');
    expect(lines[1]).toContain('the flag is off');
  });

  it('of another flag says nothing of who gets WebSocket, and what keeps that flag from showing', () => {
    const of = (after: Partial<RolloutBody>): string[] =>
      changeLines('legacy-serve set', done, 9, { ...steady, ...after }, 'legacy-serve').slice(1);
    expect(of({ enabled: false })).toEqual([]);
    expect(of({ flags: { 'legacy-serve': { enabled: false, percent: 5 } } })).toEqual([
      "note      legacy-serve is off: turnout rollout flag legacy-serve --on --reason '…'",
    ]);
    expect(of({ killed: true })).toEqual([
      'note      the kill switch is on: the old backend answers everybody until it is undone',
    ]);
  });
});

describe('isCappedEverywhere', () => {
  it('counts silent nodes too: they may not be capped', () => {
    const capped = [{ node: 'node-a', variables: ['REALTIME_STREAMING_V2'] }];
    expect(isCappedEverywhere({ acks: { 'node-a': 1 }, laggards: [], capped })).toBe(true);
    expect(isCappedEverywhere({ acks: { 'node-a': 1 }, laggards: ['node-b'], capped })).toBe(false);
    expect(isCappedEverywhere({ acks: { 'node-a': 1 }, laggards: [] })).toBe(false);
  });
});

describe('decisionLines', () => {
  const decision: DecisionBody = {
    org: 'acme',
    user: 'ann',
    transport: 'long-poll',
    cohort: 'control',
    reason: 'percent',
    bucket: 1249,
    version: 42,
  };

  it.each(reasonSchema.options)('explains %s in one sentence', (reason) => {
    const [line] = decisionLines({ ...decision, reason }, undefined, nowMs);
    expect(line).toMatch(/^acme\/ann gets long-poll \(control, rules v42\) because .+\.$/);
  });

  it('says from which percentage on a user is in', () => {
    // In at percent p when bucket < p × 100: 12.50 is the first step of 0.01 that holds bucket 1249.
    expect(decisionLines(decision, undefined, nowMs)[0]).toContain('from 12.50 % on');
  });

  it('says who is not connected', () => {
    expect(decisionLines(decision, [], nowMs)[1]).toBe('Not connected now.');
  });
});
