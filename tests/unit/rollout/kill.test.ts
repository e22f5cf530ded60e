import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../../src/config/config.ts';
import { KillLatch } from '../../../src/rollout/kill/latch.ts';
import { kill, setPercent, unkill } from '../../../src/rollout/rules/transitions.ts';
import { by, session, stage, type Stage } from './support.ts';

const killOf = (id: string) => ({ id, at: 0, ...by });
const alice = { org: 'acme', sub: 'alice' };
const env = { REALTIME_STREAMING_V2: 'true', REALTIME_ROLLOUT_PERCENT: '100' };

describe('the kill file', () => {
  let folder: string;
  let file: string;
  let on: Stage;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kill-'));
    file = join(folder, 'KILL');
  });
  afterEach(async () => {
    await on.rollout.close();
    rmSync(folder, { recursive: true });
  });

  it('kills while it exists, seen within a second, and from the start', async () => {
    on = stage({ ...env, TURNOUT_KILL_FILE: file });
    expect(on.rollout.decider.decide(alice).reason).toBe('rollout');
    writeFileSync(file, '');
    on.clock.advance(1000);
    expect(on.rollout.decider.decide(alice).reason).toBe('kill-switch');
    rmSync(file);
    on.clock.advance(1000);
    expect(on.rollout.decider.decide(alice).reason).toBe('rollout');
    writeFileSync(file, '');
    await on.rollout.close();
    on = stage({ ...env, TURNOUT_KILL_FILE: file });
    expect(on.rollout.decider.decide(alice).reason).toBe('kill-switch');
  });

  it('named relative to where the node started is the same file, and people come back from it at the move rate', () => {
    // A bare name has no slash, by which a kill file is told from a kill's id.
    expect(readConfig({ TURNOUT_KILL_FILE: 'killed' }).TURNOUT_KILL_FILE).toBe(join(process.cwd(), 'killed'));
    const given = relative(process.cwd(), file);
    on = stage({ ...env, TURNOUT_KILL_FILE: given, TURNOUT_MOVE_RATE: '1' });
    writeFileSync(file, '');
    on.clock.advance(1000);
    expect(on.rollout.latch.killFile).toBe(file);
    for (let at = 0; at < 100; at += 1)
      on.sessions.add(session(`user-${at}`, 'long-poll', { assignment: 1 }));
    rmSync(file);
    on.clock.advance(1000);
    const { decider, dueTimes } = on.rollout;
    const dues = [...on.sessions.all()].map(
      (one) => dueTimes.dueAtMs(one, decider.decide(one)) - on.clock.now(),
    );
    // A user a second: a hundred take a hundred seconds, and nearly all of them are to wait.
    expect(dues.filter((ms) => ms > 0 && ms <= 100_000).length).toBeGreaterThan(90);
  });

  it('is found in a folder that comes later', () => {
    const later = join(folder, 'later', 'KILL');
    on = stage({ ...env, TURNOUT_KILL_FILE: later });
    on.clock.advance(1000);
    expect(on.rollout.latch.isSet).toBe(false);
  });

  it('refuses unkill while it stands, naming it, and leaves the rules alone', async () => {
    on = stage({ ...env, TURNOUT_KILL_FILE: file });
    await on.rollout.control.kill(by);
    writeFileSync(file, '');
    on.clock.advance(1000);
    const before = on.rollout.store.current();
    await expect(on.rollout.control.unkill(by)).rejects.toMatchObject({
      code: 'kill_file_present',
      message: expect.stringContaining(file) as string,
    });
    expect(on.rollout.store.current()).toBe(before);
    rmSync(file);
    on.clock.advance(1000);
    await on.rollout.control.unkill(by);
    expect(on.rollout.decider.decide(alice).reason).toBe('rollout');
  });
});

describe('the latch', () => {
  it('holds what was heard here until the rules have known it and forgotten it', async () => {
    const on = stage(env);
    const first = on.rollout.store.current();
    if (first === undefined) throw new Error('no rules');
    const latch = new KillLatch();
    latch.pull(killOf('k'));
    latch.follow(first);
    expect(latch.isSet).toBe(true);
    latch.follow(await on.rollout.store.change(kill(killOf('k')), by));
    expect(latch.isSet).toBe(true);
    latch.follow(await on.rollout.store.change(unkill(), by));
    expect(latch.isSet).toBe(false);
    await on.rollout.close();
  });

  it('tells its listeners when it falls and when it opens, and not in between', () => {
    const latch = new KillLatch();
    const told: boolean[] = [];
    latch.subscribe(() => told.push(latch.isSet));
    latch.pull(killOf('a'));
    latch.pull(killOf('b'));
    latch.release(['a']);
    latch.release(['b']);
    expect(told).toEqual([true, false]);
  });
});

it('kill and unkill are versions of the rules, with an id each, and unkill ends them all', async () => {
  const on = stage(env);
  const before = on.rollout.decider.assignment;
  await on.rollout.control.kill(by);
  const twice = await on.rollout.control.kill(by);
  expect(twice).toEqual({ version: before + 2, written: true, acks: { 'node-a': before + 2 }, laggards: [] });
  expect(new Set(on.rollout.store.current()?.kills.map(({ id }) => id)).size).toBe(2);
  await on.rollout.store.change(setPercent(50), by);
  expect(on.rollout.decider.decide(alice).reason).toBe('kill-switch');
  await on.rollout.control.unkill(by);
  expect(on.rollout.latch.isSet).toBe(false);
  expect(on.rollout.decider.decide(alice).reason).not.toBe('kill-switch');
  await on.rollout.close();
});
