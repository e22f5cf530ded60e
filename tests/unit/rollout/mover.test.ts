import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { areMovesHeld } from '../../../src/rollout/rules/rules.ts';
import {
  kill,
  pause,
  resume,
  setEnabled,
  setList,
  setPercent,
  unkill,
} from '../../../src/rollout/rules/transitions.ts';
import { by, identity, session, stage, type Stage } from './support.ts';

let on: Stage;
beforeEach(() => {
  on = stage({
    REALTIME_STREAMING_V2: 'true',
    REALTIME_ROLLOUT_PERCENT: '50',
    REALTIME_WHITELIST: 'vip',
    TURNOUT_KILL_WINDOW_MS: '1500',
    // Windows are tests of their own, in due-times.test.ts.
    TURNOUT_MOVE_RATE: '1000000000',
    TURNOUT_MOVE_WITHIN_MS: '4000',
  });
});
afterEach(() => on.rollout.close());

const stream = (sub: string, more: Parameters<typeof session>[2] = {}) => {
  const made = session(sub, 'websocket', more);
  on.sessions.add(made);
  return made;
};
const poll = (sub: string, more: Parameters<typeof session>[2] = {}) => {
  const made = session(sub, 'long-poll', more);
  on.sessions.add(made);
  return made;
};

describe('down', () => {
  it('percent 0 sends every stream to long-poll but the allowlisted', async () => {
    await on.rollout.store.change(setPercent(100), by);
    const [alice, vip] = [stream('alice'), stream('vip')];
    const { version } = await on.rollout.store.change(setPercent(0), by);
    expect(alice.orders).toEqual([
      { transport: 'long-poll', withinMs: 4000, reason: 'rollback', assignment: version },
    ]);
    expect(vip.orders).toEqual([]);
  });

  it('flag off sends all', async () => {
    const [alice, vip] = [stream('alice'), stream('vip')];
    await on.rollout.store.change(setEnabled(false), by);
    expect([alice, vip].map((one) => one.orders.length)).toEqual([1, 1]);
  });

  it('a kill sends all within the kill window, and names itself and the version it wrote', async () => {
    const [alice, vip] = [stream('alice'), stream('vip')];
    const { version } = await on.rollout.control.kill(by);
    on.clock.advance(1520);
    for (const one of [alice, vip])
      expect(one.orders).toEqual([
        { transport: 'long-poll', withinMs: 1000, reason: 'kill-switch', assignment: version },
      ]);
  });

  it('a latch alone does too', () => {
    const alice = stream('alice');
    on.rollout.latch.pull({ id: 'local', at: 0, ...by });
    on.clock.advance(1520);
    expect(alice.orders).toMatchObject([{ reason: 'kill-switch', withinMs: 1000 }]);
  });

  it('takes a stream that told nothing for one that supports what it uses', async () => {
    const plain = stream('alice', { supports: [] });
    await on.rollout.store.change(setPercent(100), by);
    expect(plain.orders).toEqual([]);
  });

  it('leaves a stream that was admitted by newer rules, but for a kill', async () => {
    const alice = stream('alice', { assignment: on.rollout.decider.assignment + 100 });
    await on.rollout.store.change(setPercent(0), by);
    expect(alice.orders).toEqual([]);
    await on.rollout.store.change(kill({ id: 'k', at: 0, ...by }), by);
    on.clock.advance(1520);
    expect(alice.orders).toMatchObject([{ reason: 'kill-switch' }]);
  });

  it('lets a migrate that was sent stand', async () => {
    const alice = stream('alice');
    await on.rollout.store.change(setEnabled(false), by);
    await on.rollout.control.kill(by);
    expect(alice.orders).toHaveLength(1);
  });

  it('moves who registers just after the change', async () => {
    await on.rollout.store.change(setEnabled(false), by);
    const late = stream('late');
    on.clock.advance(1000);
    expect(late.orders).toHaveLength(1);
  });

  it('is not put off by those who go on coming', async () => {
    // As Node's: a timer of no time takes a millisecond.
    const after = on.clock.after.bind(on.clock);
    on.clock.after = (ms, run) => after(Math.max(1, ms), run);
    await on.rollout.store.change(setEnabled(false), by);
    const late = stream('late');
    for (let turn = 0; turn < 20; turn += 1) {
      stream(`later-${turn}`);
      on.clock.advance(0.5);
    }
    expect(late.orders).toHaveLength(1);
  });

  it('rests once a change has settled', async () => {
    await on.rollout.store.change(setEnabled(false), by);
    on.clock.advance(60_000);
    expect(on.clock.pending).toBe(0);
  });

  it('goes on when one connection is broken', async () => {
    stream('broken', {
      get isMoving(): boolean {
        return false;
      },
    }).migrate = () => {
      throw new Error('gone');
    };
    const alice = stream('alice');
    await on.rollout.store.change(setEnabled(false), by);
    expect(alice.orders).toHaveLength(1);
    expect(on.logged.join()).toContain('could not be moved');
  });

  it('walks many in pieces, all of them', async () => {
    const many = Array.from({ length: 2345 }, (_, at) => stream(`u${at}`));
    await on.rollout.store.change(setEnabled(false), by);
    expect(many.filter((one) => one.isMoving).length).toBeLessThan(2345);
    on.clock.advance(100);
    expect(many.filter((one) => one.isMoving).length).toBe(2345);
  });

  it('says when the moves will be over', async () => {
    stream('alice');
    expect(on.rollout.mover.movesEndAtMs).toBeUndefined();
    await on.rollout.store.change(setEnabled(false), by);
    expect(on.rollout.mover.movesEndAtMs).toBe(on.clock.now() + 4000);
    on.clock.advance(4001);
    expect(on.rollout.mover.movesEndAtMs).toBeUndefined();
  });
});

describe('up', () => {
  it('answers the held poll of an SDK client that may move up, once for each session and assignment', async () => {
    const { assignment } = on.rollout.decider;
    const alice = poll('alice', { assignment, session: 's' });
    const { version } = await on.rollout.store.change(setPercent(100), by);
    expect(alice.orders).toEqual([
      { transport: 'websocket', withinMs: 0, reason: 'rollout', assignment: version },
    ]);
    on.sessions.remove(alice);
    const again = poll('alice', { assignment, session: 's' });
    on.clock.advance(1000);
    expect(again.orders).toEqual([]);
    await on.rollout.store.change(setPercent(100), by);
    expect(again.orders).toHaveLength(1);
  });

  it('answers one without session too, and never a legacy client', async () => {
    const sdk = poll('alice', { assignment: 1 });
    const legacy = poll('bob');
    await on.rollout.store.change(setPercent(100), by);
    expect(sdk.orders).toHaveLength(1);
    expect(legacy.orders).toEqual([]);
  });

  it('leaves one that has followed this very assignment', async () => {
    const { version } = await on.rollout.store.change(setPercent(100), by);
    const blocked = poll('alice', { assignment: version, session: 's' });
    on.clock.advance(1000);
    expect(blocked.orders).toEqual([]);
  });

  it('answers after unkill', async () => {
    await on.rollout.control.kill(by);
    const vip = poll('vip', { assignment: on.rollout.decider.assignment });
    on.clock.advance(1000);
    expect(vip.orders).toEqual([]);
    await on.rollout.control.unkill(by);
    expect(vip.orders).toMatchObject([{ transport: 'websocket', reason: 'allowlist' }]);
  });
});

describe('pause', () => {
  it('holds moves both ways until it is resumed', async () => {
    const down = stream('alice', { assignment: 1 });
    const up = poll('vip', { assignment: 1 });
    await on.rollout.store.change(pause('operator'), by);
    await on.rollout.store.change(setPercent(0.01), by);
    on.clock.advance(1000);
    expect([...down.orders, ...up.orders]).toEqual([]);
    await on.rollout.store.change(resume('operator'), by);
    expect([down.orders.length, up.orders.length]).toEqual([1, 1]);
  });

  it('does not hold while another cause is resumed', async () => {
    await on.rollout.store.change(pause('operator'), by);
    await on.rollout.store.change(pause('judge'), by);
    await on.rollout.store.change(resume('operator'), by);
    const rules = on.rollout.store.current();
    expect(rules && areMovesHeld(rules)).toBe(true);
  });

  it.each([
    ['percent 0', setPercent(0)],
    ['flag off', setEnabled(false)],
    ['the denylist', setList('denylist', ['acme/alice'])],
    ['a kill', kill({ id: 'k', at: 0, ...by })],
  ])('does not hold a rollback: %s', async (_what, transition) => {
    const alice = stream('alice', { assignment: 1 });
    await on.rollout.store.change(pause('operator'), by);
    await on.rollout.store.change(transition, by);
    on.clock.advance(1520);
    expect(alice.orders).toMatchObject([{ transport: 'long-poll' }]);
    expect(on.rollout.admission.poll(identity('alice'), { assignment: 1, session: 's' })).toMatchObject({
      transport: 'long-poll',
      mayMoveUp: false,
    });
  });

  it('never holds a kill', async () => {
    const alice = stream('alice');
    await on.rollout.store.change(pause('operator'), by);
    await on.rollout.control.kill(by);
    on.clock.advance(1520);
    expect(alice.orders).toHaveLength(1);
    await on.rollout.store.change(unkill(), by);
  });
});

it('a denylisted user is moved, others stay', async () => {
  await on.rollout.store.change(setPercent(100), by);
  const [alice, bob] = [stream('alice'), stream('bob')];
  await on.rollout.store.change(setList('denylist', ['acme/alice']), by);
  expect([alice.orders.length, bob.orders.length]).toEqual([1, 0]);
});
