import { expect, it } from 'vitest';
import { by, session, stage } from './support.ts';

it('counts a crowd whose polls were just answered, for as long as it would take to ask again', async () => {
  const on = stage({ REALTIME_STREAMING_V2: 'true', REALTIME_ROLLOUT_PERCENT: '100' });
  await on.rollout.control.kill(by);
  const polls = Array.from({ length: 300 }, (_, at) => session(`user-${at}`, 'long-poll', { assignment: 1 }));
  for (const poll of polls) on.sessions.add(poll);
  // An event for everybody answers all of them at once.
  for (const poll of polls) on.sessions.remove(poll);
  on.clock.advance(4000);
  const { movesInProgress } = await on.rollout.control.unkill(by);
  expect(movesInProgress).toMatchObject([{ to: 'websocket', left: 300 }]);

  await on.rollout.control.kill(by);
  on.clock.advance(10_000);
  expect((await on.rollout.control.unkill(by)).movesInProgress).toBeUndefined();
  await on.rollout.close();
});
