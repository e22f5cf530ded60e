/** Heads of live orgs are compared all, soon after a reconnect and over a minute else, and never in one burst. */
import { describe, expect, it } from 'vitest';
import type { Position } from '../../src/log/cursor.ts';
import { HeadChecks, type HeardOrg } from '../../src/log/redis-heads.ts';
import { FakeClock } from '../support/fake-clock.ts';

const place = (seq: number): Position => ({ epoch: 'epoch', seq, ms: 1, tag: `tag${seq}` });
const orgs = 5000;

/** Lets every promise that is ready go on. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

function watch() {
  const clock = new FakeClock();
  const heads = new Map<string, Position>();
  const asked: string[] = [];
  const told: string[] = [];
  const state = { isReady: true, failing: 0 };
  const checks = new HeadChecks({
    clock,
    isReady: () => state.isReady,
    keep: async (org) => {
      asked.push(org);
      if (state.failing > 0) {
        state.failing -= 1;
        throw new Error('away');
      }
      return heads.get(org);
    },
    onError: () => undefined,
  });
  const live: HeardOrg[] = Array.from({ length: orgs }, (_, index) => {
    const org = `org-${index}`;
    heads.set(org, place(1));
    return { org, heard: place(1), places: undefined, failures: 0, tell: () => told.push(org) };
  });
  for (const org of live) checks.add(org);
  /** @returns how many were asked in each tenth of a second */
  const pass = async (ms: number, ticks = false): Promise<number[]> => {
    const counts: number[] = [];
    for (let passed = 0; passed < ms; passed += 100) {
      const before = asked.length;
      if (ticks && passed % 1000 === 0) checks.tick();
      clock.advance(100);
      await settle();
      counts.push(asked.length - before);
    }
    return counts;
  };
  return { checks, live, heads, asked, told, state, pass };
}

describe('the heads of 5,000 live orgs', () => {
  it('are all compared in a minute, a few at a time', async () => {
    const { asked, told, pass } = watch();
    const counts = await pass(62_000, true);
    expect(new Set(asked).size).toBe(orgs);
    expect(asked.length).toBeLessThanOrEqual(orgs * 1.1);
    console.log(`most comparisons in 100 ms: ${Math.max(...counts)}`);
    expect(Math.max(...counts)).toBeLessThanOrEqual(20);
    expect(told).toEqual([]);
  });

  it('are all compared within about a second of a reconnect, in ten parts, and only what differs is told', async () => {
    const { checks, live, heads, asked, told, pass } = watch();
    heads.set('org-7', place(2));
    heads.delete('org-8');
    for (const org of live) checks.checkSoon(org);
    const counts = await pass(1100);
    expect(asked).toHaveLength(orgs);
    expect(Math.max(...counts)).toBeLessThanOrEqual(orgs / 10);
    await pass(1000);
    expect(told.toSorted()).toEqual(['org-7', 'org-8']);
  });

  it('wait while Redis is away, and are asked again where asking failed', async () => {
    const { checks, live, heads, asked, told, state, pass } = watch();
    heads.set('org-3', place(2));
    state.isReady = false;
    for (const org of live.slice(0, 10)) checks.checkSoon(org);
    await pass(5000);
    expect(asked).toEqual([]);
    state.isReady = true;
    state.failing = 10;
    await pass(3000);
    expect(asked).toHaveLength(20);
    expect(told).toEqual(['org-3']);
  });

  it('are not told of a message that comes while they are compared', async () => {
    const { checks, live, heads, told, pass } = watch();
    const [org] = live;
    heads.set('org-0', place(2));
    checks.checkSoon(org!);
    await pass(100);
    org!.heard = place(2);
    org!.places?.push(place(2));
    await pass(1000);
    expect(told).toEqual([]);
  });
});
