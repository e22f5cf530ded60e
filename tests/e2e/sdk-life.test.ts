/**
 * What an SDK client lives through besides moves: drains, restarts, expiring tokens, networks that block WebSocket or fall
 * silent. Mostly it waits, so these tests run beside each other, each with gateways, a proxy and clients of its own.
 */
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { Published } from '../../clients/js/index.ts';
import { Crowd } from '../support/crowd.ts';
import { type Gateway, type Settings, startGateway } from '../support/node-process.ts';
import { admin, Publisher } from '../support/publisher.ts';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { makeShortToken, makeToken } from '../support/token-maker.ts';
import { sleep, until } from '../support/until.ts';

class Life {
  readonly crowd = new Crowd();
  private readonly gateways: Gateway[] = [];
  private readonly proxies: TcpProxy[] = [];

  async serve(settings: Settings = {}): Promise<Gateway> {
    const gateway = await startGateway(settings);
    this.gateways.push(gateway);
    return gateway;
  }

  async behindProxy(gateway: Gateway): Promise<TcpProxy> {
    const proxy = await startProxy(gateway.url);
    this.proxies.push(proxy);
    return proxy;
  }

  async end(): Promise<void> {
    this.crowd.stop();
    await Promise.all([
      ...this.proxies.map((proxy) => proxy.close()),
      ...this.gateways.map((gateway) => gateway.kill()),
    ]);
  }
}

const it = test.extend<{ life: Life }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads from the pattern what a fixture needs
  life: async ({}, use) => {
    const life = new Life();
    await use(life);
    await life.end();
  },
}).concurrent;

/** Each handed over what was published to its services: all of it, in order, once. */
async function expectComplete(crowd: Crowd, publisher: Publisher): Promise<void> {
  const { received, expected } = await crowd.lists(publisher);
  expect(received).toEqual(expected);
}

it('follows a drain to another node before its deadline, never without a transport', async ({ life }) => {
  const { crowd } = life;
  const old = await life.serve();
  const next = await life.serve();
  const proxy = await life.behindProxy(old);
  for (let index = 0; index < 10; index += 1) crowd.add(proxy.url, `user-${index}`, ['finance']);
  await crowd.allOn('websocket');
  await new Publisher(old.url).publishMany(20, 'finance');
  await until(() => crowd.members.every(({ events }) => events.length === 20), 'the events of the old node');

  proxy.target = next.url;
  for (const { states } of crowd.members) states.length = 0;
  old.signal('SIGTERM');
  await old.exited;
  await crowd.allOn('websocket');
  // The embedded log went with its node: each is told so, once.
  await until(() => crowd.members.every(({ resets }) => resets.length > 0), crowd.describe());
  for (const { client, resets, states, events } of crowd.members) {
    expect(client.stats.closes).toEqual({});
    expect(client.stats.moves.same).toBe(1);
    expect(resets).toEqual(['epoch']);
    expect(states.filter((state) => !state.endsWith('websocket'))).toEqual([]);
    events.length = 0;
  }
  const publisher = new Publisher(next.url);
  await publisher.publishMany(20, 'finance');
  await expectComplete(crowd, publisher);
});

it('tells every client reset: epoch after a node died with its log, and goes on', async ({ life }) => {
  const { crowd } = life;
  const old = await life.serve();
  const proxy = await life.behindProxy(old);
  crowd.add(proxy.url, 'ann', ['finance']);
  // This one polls: it was given no WebSocket that it could use.
  crowd.add(proxy.url, 'bob', ['finance'], { WebSocket: undefined });
  await until(() => crowd.members.every(({ client }) => client.state.phase === 'live'), 'both live');
  await new Publisher(old.url).publishMany(5, 'finance');
  await until(() => crowd.members.every(({ events }) => events.length === 5), 'the events of the old node');

  await old.kill();
  const next = await life.serve();
  proxy.target = next.url;
  await until(
    () => crowd.members.every(({ resets }) => resets.length > 0),
    () => crowd.describe(),
  );
  for (const { resets, events } of crowd.members) {
    expect(resets).toEqual(['epoch']);
    events.length = 0;
  }
  const publisher = new Publisher(next.url);
  await publisher.publishMany(20, 'finance');
  await expectComplete(crowd, publisher);
});

/** A source of tokens: one that ends in this time, or up to a second later, then good ones. */
function endingSoon(inS: number) {
  const asked: Promise<string>[] = [];
  const token = (): Promise<string> => {
    const next = asked.length === 0 ? makeShortToken(inS) : makeToken();
    asked.push(next);
    return next;
  };
  return { asked, token };
}

it('asks for a new token when one expired on long-poll, and loses nothing', async ({ life }) => {
  const { crowd } = life;
  const gateway = await life.serve({ REALTIME_ROLLOUT_PERCENT: '0', REALTIME_STREAMING_V2: 'true' });
  const { asked, token } = endingSoon(1);
  const { client } = crowd.add(gateway.url, 'ann', ['finance'], { token });
  await until(() => client.state.phase, 'live', 'live');
  const publisher = new Publisher(gateway.url);
  while (asked.length < 2) {
    await publisher.publish({ service: 'finance' });
    await sleep(50);
  }
  await publisher.publishMany(10, 'finance');
  await expectComplete(crowd, publisher);
});

it('renews the token of an open stream, which lives on past the end of the old one', async ({ life }) => {
  const { crowd } = life;
  const gateway = await life.serve();
  // At half of its time another is asked for: on a crowded machine the rest must do for that.
  const { asked, token } = endingSoon(3);
  const startMs = Date.now();
  const { client, states } = crowd.add(gateway.url, 'ann', ['finance'], { token });
  await crowd.allOn('websocket');
  const publisher = new Publisher(gateway.url);
  // Past four seconds the first token has ended, whenever it was made.
  while (Date.now() < startMs + 4300) {
    await publisher.publish({ service: 'finance' });
    await sleep(50);
  }
  await expectComplete(crowd, publisher);
  expect(asked).toHaveLength(2);
  expect(client.stats).toMatchObject({ negotiations: 1, closes: {}, opened: { websocket: 1 } });
  expect(states.at(-1)).toBe('live websocket');
});

/** Moves the clock on, at most every two real seconds: what is asked again needs some to be answered. */
function skipSlowly(clock: FakeClock, ms: number): void {
  if (performance.now() < (nextSkipMs.get(clock) ?? 0)) return;
  nextSkipMs.set(clock, performance.now() + 2000);
  clock.advance(ms);
}
const nextSkipMs = new WeakMap<FakeClock, number>();

it('leaves a stream whose peer fell silent without a goodbye, and loses nothing', async ({ life }) => {
  const { crowd } = life;
  const gateway = await life.serve({ TURNOUT_PING_MS: '300', WS_AUTORECONNECT: 'true' });
  const proxy = await life.behindProxy(gateway);
  const clock = new FakeClock({ runs: true });
  const { client, events } = crowd.add(proxy.url, 'ann', ['finance'], { clock });
  await crowd.allOn('websocket');
  const publisher = new Publisher(gateway.url);
  await publisher.publishMany(5, 'finance');
  await expectComplete(crowd, publisher);
  // For longer than this test may take: nothing comes of waiting.
  expect(proxy.stall(1, () => 0, 300_000)).toBeGreaterThan(0);
  await publisher.publishMany(5, 'finance');
  await until(
    () => {
      // The kept connection that it negotiated on may be as dead: that has 10 s.
      if (client.state.phase === 'negotiating') skipSlowly(clock, 11_000);
      return events.length;
    },
    () => crowd.describe(),
    10,
  );
  await crowd.allOn('websocket');
  await expectComplete(crowd, publisher);
  // Once at least: a node that stalls for less than a second is silent, too.
  expect(Object.keys(client.stats.closes)).toEqual(['silent']);
});

it('leaves a poll whose peer fell silent without a goodbye, and loses nothing', async ({ life }) => {
  const { crowd } = life;
  const gateway = await life.serve({ REALTIME_ROLLOUT_PERCENT: '0', REALTIME_STREAMING_V2: 'true' });
  const proxy = await life.behindProxy(gateway);
  const clock = new FakeClock({ runs: true });
  const { client, events } = crowd.add(proxy.url, 'ann', ['finance'], { clock });
  await crowd.allOn('long-poll');
  const publisher = new Publisher(gateway.url);
  await publisher.publishMany(5, 'finance');
  await expectComplete(crowd, publisher);
  expect(proxy.stall(1, () => 0, 300_000)).toBeGreaterThan(0);
  await publisher.publishMany(5, 'finance');
  await until(
    () => {
      // Past the 25 s of its wait and 10 more. Another kept connection may be as dead: then once more.
      skipSlowly(clock, 36_000);
      return events.length;
    },
    () => crowd.describe(),
    10,
  );
  await expectComplete(crowd, publisher);
  expect(client.stats.closes['network']).toBeGreaterThan(0);
});

it('gives up in one clear state when its token is refused and no other comes', async ({ life }) => {
  const { crowd } = life;
  const gateway = await life.serve();
  const token = makeShortToken(1);
  const { client, states } = crowd.add(gateway.url, 'ann', ['finance'], { token: () => token });
  await until(
    () => client.state.phase,
    () => crowd.describe(),
    'failed',
  );
  expect(client.state.failure?.cause).toBe('unauthorized');
  await sleep(300);
  expect(states.filter((state) => state === 'failed')).toHaveLength(1);
});

it('is served what its token allows, after a move down as before, and told of the rest', async ({ life }) => {
  const { crowd } = life;
  const gateway = await life.serve();
  const token = await makeToken({ sub: 'ann', services: ['finance'] });
  const { client, events, problems } = crowd.add(gateway.url, 'ann', ['finance', 'vault'], {
    token: () => token,
  });
  await crowd.allOn('websocket');
  const publisher = new Publisher(gateway.url);
  await publisher.publish({ service: 'finance' }, { service: 'vault' });
  await admin(gateway.url, 'PUT', '/rollout/percent', { percent: 0, reason: 'test' });
  await crowd.allOn('long-poll');
  await publisher.publish({ service: 'vault' }, { service: 'finance' });
  await until(() => events.length, 'what is allowed', 2);
  expect(events.map(({ service }) => service)).toEqual(['finance', 'finance']);
  expect(client.state.phase).toBe('live');
  expect(problems).toEqual([expect.stringContaining('service_forbidden')]);
});

it('serves by long-poll where the network blocks WebSocket', async ({ life }) => {
  const { crowd } = life;
  const gateway = await life.serve();
  const blocked = await life.behindProxy(gateway);
  blocked.blocksUpgrades = true;
  const { client } = crowd.add(blocked.url, 'ann', ['finance']);
  await crowd.allOn('long-poll');
  expect(client.stats.opened.websocket).toBeGreaterThan(1);
  const publisher = new Publisher(gateway.url);
  await publisher.publishMany(20, 'finance');
  await expectComplete(crowd, publisher);
  // It is not asked to try again by every poll.
  const { negotiations } = client.stats;
  await publisher.publish({ service: 'finance' });
  await expectComplete(crowd, publisher);
  expect(client.stats.negotiations).toBe(negotiations);

  blocked.blocksUpgrades = false;
  client.start();
  await crowd.allOn('websocket');
});

it('goes to long-poll after a cut where the flag says not to reconnect by itself', async ({ life }) => {
  const { crowd } = life;
  const gateway = await life.serve({ WS_AUTORECONNECT: 'false' });
  const cut = await life.behindProxy(gateway);
  crowd.add(cut.url, 'ann', ['finance']);
  await crowd.allOn('websocket');
  cut.cut(1, () => 0);
  await crowd.allOn('long-poll');
  const publisher = new Publisher(gateway.url);
  await publisher.publishMany(20, 'finance');
  await expectComplete(crowd, publisher);
});

it('moves by the percentage without a moment without a transport, and replays nothing that it had', async ({
  life,
}) => {
  const { crowd } = life;
  const gateway = await life.serve({ TURNOUT_MOVE_WITHIN_MS: '2000' });
  // `ws` also calls close itself, to answer the peer's.
  const servedAtClose: unknown[] = [];
  class RecordingSocket extends WebSocket {
    override close(code?: number): void {
      servedAtClose.push(crowd.members[0]?.client.state.transport);
      super.close(code);
    }
  }
  const { client, states } = crowd.add(gateway.url, 'ann', ['finance'], { WebSocket: RecordingSocket });
  await crowd.allOn('websocket');
  const publisher = new Publisher(gateway.url);
  await publisher.publishMany(20, 'finance');
  for (const [percent, transport] of [
    [0, 'long-poll'],
    [100, 'websocket'],
    [0, 'long-poll'],
    [100, 'websocket'],
  ] as const) {
    await admin(gateway.url, 'PUT', '/rollout/percent', { percent, reason: 'test' });
    await crowd.allOn(transport);
    await publisher.publishMany(3, 'finance');
  }
  await expectComplete(crowd, publisher);
  expect(client.stats.moves).toEqual({ up: 2, down: 2, same: 0 });
  // Each stream was left when the poll served already.
  expect(new Set(servedAtClose)).toEqual(new Set(['long-poll']));
  expect(client.stats.closes).toEqual({});
  expect(client.stats.repeats).toBe(0);
  const served = states.slice(states.indexOf('live websocket'));
  expect(served.filter((state) => !state.includes(' '))).toEqual([]);
});

it.for(['100', '0'])(
  'subscribes, unsubscribes and publishes on either transport (percent %s)',
  async (percent, { life }) => {
    const { crowd } = life;
    const gateway = await life.serve({ REALTIME_ROLLOUT_PERCENT: percent, REALTIME_STREAMING_V2: 'true' });
    const { client, events } = crowd.add(gateway.url, 'ann', ['finance']);
    await until(() => client.state.phase, 'live', 'live');
    const say = (service: string, word: string): Promise<Published> =>
      client.publish({ service, type: 'said', payload: word });
    const heard = (): unknown[] => events.map(({ payload }) => payload);

    await say('chat', 'before');
    await say('finance', 'one');
    await until(() => heard().includes('one'), crowd.describe());
    client.subscribe(['chat']);
    // A service joins where it joins: it is in once something of it is heard.
    await until(async () => {
      await say('chat', 'joined');
      return heard().includes('joined');
    }, 'the subscription');
    client.unsubscribe(['finance']);
    await until(async () => {
      const { seq = 0 } = await say('finance', 'left');
      await say('chat', 'mark');
      await until(() => heard().at(-1), 'the mark', 'mark');
      return !events.some((event) => event.seq === seq);
    }, 'the end of the subscription');
    expect(heard()).not.toContain('before');
    expect((await say('chat', 'twice')).seq).toBeGreaterThan(0);
  },
);
