/** How many polls may be held, of whom, and from when on they count. */
import { expect, it, onTestFinished } from 'vitest';
import { streamForm } from '../../src/transports/frames.ts';
import { openLongPolls } from '../support/long-polls.ts';
import { until, within } from '../support/until.ts';

async function polls(...given: Parameters<typeof openLongPolls>) {
  const node = await openLongPolls(...given);
  onTestFinished(() => node.close());
  return node;
}
const codeOf = (asked: Promise<unknown>): Promise<unknown> =>
  asked.then(
    () => 'answered',
    (thrown: { code?: unknown }) => thrown.code,
  );

it('a poll counts from its entry: while the log hangs no more wait than may be held, and the figure says so', async () => {
  const { log, traffic, limited, poll } = await polls({ maxHeld: 5 });
  log.hold('read', 'tail');
  const asked = Array.from({ length: 15 }, (_, index) => codeOf(poll({ sub: `u${index}` })));
  await until(() => limited.length, 'the refusals', 10);
  expect(traffic.pollsHeld).toBe(5);
  expect(await Promise.all(asked.slice(5))).toEqual(Array.from({ length: 10 }, () => 'overloaded'));
});

it('every way out gives its place back: an answer, a refusal, a fault, and the end of a wait', async () => {
  const { log, traffic, publish, poll } = await polls({ maxHeld: 4, maxHeldPerUser: 4 });
  const held = [poll(), poll(), poll(), poll()];
  await until(() => traffic.pollsHeld, 'four', 4);
  await publish();
  await within(Promise.all(held), 'their answers');
  expect(traffic.pollsHeld).toBe(0);
  await within(poll({ waitMs: 1 }), 'the end of its wait');
  log.spoil('read');
  expect(await codeOf(poll({ start: { at: 'earliest' } }))).not.toBe('answered');
  log.heal();
  log.refuse('read');
  expect(await codeOf(poll({ start: { at: 'lastSeq', seq: 0 } }))).toBe('log_unavailable');
  expect(traffic.pollsHeld).toBe(0);
});

it('a user’s poll too many is refused for some seconds, then answers the oldest with its cursor', async () => {
  const { clock, traffic, limited, poll } = await polls({ maxHeldPerUser: 3 });
  const [first] = Array.from({ length: 3 }, () => poll());
  await until(() => traffic.pollsHeld, 'three', 3);
  // Two clients that came back at once would else answer each other's polls without an end.
  const early = await poll().catch((thrown: unknown) => thrown);
  expect(early).toMatchObject({ code: 'rate_limited', retryAfterS: 5 });
  expect(await codeOf(poll({ sub: 'ben', waitMs: 0 }))).toBe('answered');
  clock.advance(5000);
  const fourth = codeOf(poll());
  expect(await within(first as Promise<unknown>, 'the oldest')).toMatchObject({ events: [], seq: 1 });
  expect(traffic.pollsHeld).toBe(3);
  expect(limited).toEqual(['user', 'user']);
  void fourth;
});

it('another API’s poll too many is left to its upstream, and answers nobody’s early', async () => {
  const { clock, traffic, poll } = await polls({ maxHeldPerUser: 2 });
  void codeOf(poll());
  void codeOf(poll());
  await until(() => traffic.pollsHeld, 'two', 2);
  // They have found their places by now.
  await poll({ sub: 'ben', waitMs: 0 });
  clock.advance(10_000);
  expect(await codeOf(poll({ form: streamForm(undefined) }))).toBe('rate_limited');
  expect(traffic.pollsHeld).toBe(2);
});
