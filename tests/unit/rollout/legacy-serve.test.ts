/** Who is answered by Turnout in the old API's words: a flag like the others, under the same kill. */
import { afterEach, expect, it } from 'vitest';
import { setFlag, setList } from '../../../src/rollout/rules/transitions.ts';
import { by, stage, type Stage } from './support.ts';

let on: Stage;
afterEach(() => on.rollout.close());

const users = Array.from({ length: 2000 }, (_, index) => ({ org: 'acme', sub: `user-${index}` }));
const served = (): number => users.filter((user) => on.rollout.decider.servesLegacy(user)).length;
const set = (percent: number): Promise<unknown> =>
  on.rollout.control.change(setFlag('legacy-serve', { percent }, on.rollout.toggles), by);

it('serves nobody at first, a share at a share, all at 100, and takes nobody back on the way', async () => {
  on = stage({});
  expect(served()).toBe(0);
  await set(20);
  const first = users.filter((user) => on.rollout.decider.servesLegacy(user));
  expect(first.length).toBeGreaterThan(300);
  expect(first.length).toBeLessThan(500);
  await set(60);
  expect(first.every((user) => on.rollout.decider.servesLegacy(user))).toBe(true);
  await set(100);
  expect(served()).toBe(users.length);
});

it('serves nobody while a kill stands, and nobody who is denied', async () => {
  on = stage({});
  await set(100);
  await on.rollout.control.change(setList('denylist', ['user-7']), by);
  expect(served()).toBe(users.length - 1);
  await on.rollout.control.kill(by);
  expect(served()).toBe(0);
});

it('can be set in rules that an older release wrote, which lack it', async () => {
  on = stage({});
  const without = ({ features, ...rules }: NonNullable<ReturnType<typeof on.rollout.store.current>>) => ({
    content: { ...rules, features: features.filter(({ name }) => name !== 'legacy-serve') },
    action: 'flag' as const,
    from: null,
    to: null,
  });
  await on.rollout.control.change(without, by);
  expect(served()).toBe(0);
  await set(100);
  expect(served()).toBe(users.length);
  await expect(on.rollout.control.change(setFlag('no-such-flag', { percent: 1 }), by)).rejects.toMatchObject({
    code: 'not_found',
  });
});
