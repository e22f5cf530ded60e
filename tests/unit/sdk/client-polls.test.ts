/** The client on long-poll, against a server that a test directs: what its polls carry, and when it comes back. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Client, ClientOptions } from '../../../clients/js/index.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { until } from '../../support/until.ts';
import { type ScriptedGateway, type ScriptedPoll, startClient, startScripted } from './scripted-gateway.ts';

let gateway: ScriptedGateway;
let client: Client | undefined;

beforeEach(async () => {
  gateway = await startScripted();
  gateway.transport = 'long-poll';
});
afterEach(async () => {
  client?.stop();
  client = undefined;
  await gateway.close();
});

function connect(more: Partial<ClientOptions> = {}): Client {
  client = startClient(gateway, more);
  return client;
}

async function poll(index: number): Promise<ScriptedPoll> {
  await until(
    () => gateway.polls.length,
    `poll ${index}`,
    (seen) => seen > index,
  );
  const found = gateway.polls[index];
  if (found === undefined) throw new Error('no poll');
  return found;
}

/** A running clock; a wait of `fromMs` to `toMs` is over at once. */
const hurriedClock = (fromMs: number, toMs: number): FakeClock =>
  new FakeClock({ runs: true, shorten: (ms) => (ms >= fromMs && ms <= toMs ? 0 : ms) });

it('reports with each poll what it handed over since the last, and each span once', async () => {
  connect();
  (await poll(0)).answer([], 2);
  (await poll(1)).answer([3, 5], 7);
  const third = await poll(2);
  expect(third.audit).toEqual({ epoch: 'e1', from: 2, to: 7, count: 2, sum: 8, repeats: 0 });
  third.answer([], 7);
  const fourth = await poll(3);
  expect(fourth.audit).toBeUndefined();
  fourth.answer([9]);
  expect((await poll(4)).audit).toEqual({ epoch: 'e1', from: 7, to: 9, count: 1, sum: 9, repeats: 0 });
});

it('waits as long as Retry-After asks for, past its own backoff', async () => {
  // The scripted backoff is a minute.
  const clock = hurriedClock(60_000, 300_000);
  const { waits } = clock;
  connect({ clock });
  (await poll(0)).answer([], 2);
  const held = await poll(1);
  gateway.status = 429;
  // A date counts from the answer's own: the client's clock may be wrong.
  gateway.headers = {
    date: 'Thu, 01 Jan 2026 00:00:00 GMT',
    'retry-after': 'Thu, 01 Jan 2026 00:03:00 GMT',
  };
  held.refuse(503, { 'retry-after': '120' });
  await until(
    () => waits.includes(180_000),
    () => waits.join(),
  );
  expect(waits.filter((ms) => ms >= 60_000 && ms < 600_000).slice(0, 2)).toEqual([120_000, 180_000]);
});

it('asks at once no second time where a first answer said when to come back', async () => {
  const clock = hurriedClock(1, 0);
  connect({ clock });
  (await poll(0)).refuse(503, { 'retry-after': '90' });
  await until(() => client?.state.phase === 'waiting');
  expect(clock.waits.at(-1)).toBe(90_000);
  expect(client?.stats.negotiations).toBe(1);
});

it('gives up a poll that nobody answers', async () => {
  const clock = hurriedClock(30_000, 40_000);
  connect({ clock });
  (await poll(0)).answer([], 2);
  // Its deadline, the 25 s of its wait and 10 more, has passed at once.
  await until(() => client?.stats.closes['network'] === 1);
  expect(clock.waits).toContain(35_000);
  (await poll(2)).answer([3]);
  await until(() => client?.cursor === 'e1:3');
});

it('asks with the assignment that a poll told it of: a node that lags looks again', async () => {
  connect();
  (await poll(0)).answer([], 2);
  (await poll(1)).answerDue(7);
  await until(() => gateway.asked.length === 2);
  expect(gateway.asked.map(({ assignment }) => assignment)).toEqual([undefined, 7]);
});

it('polls for a service that joins in the very moment in which it serves without any', async () => {
  gateway.status = 503;
  connect({
    onState: ({ phase }) => {
      if (phase === 'live') client?.subscribe(['finance']);
    },
  });
  await until(() => client?.state.phase === 'waiting');
  client?.unsubscribe(['chat']);
  gateway.status = 200;
  client?.start();
  (await poll(0)).answer([1]);
  await until(() => client?.cursor === 'e1:1');
  expect(gateway.polls[0]?.services).toBe('finance');
});
