/** SIGTERM under load: everybody is told, nobody is cut, and what was acknowledged was delivered. */
import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { expect, it, vi } from 'vitest';
import { call } from '../support/http-client.ts';
import { startGateway, startReadyGateway } from '../support/node-process.ts';
import { poll } from '../support/poll-client.ts';
import { admin, metric, Publisher, seqs } from '../support/publisher.ts';
import { openRaw, upgradeText } from '../support/raw-socket.ts';
import { RedisServer } from '../support/redis.ts';
import { StreamClient, openStream } from '../support/stream-client.ts';
import { makeToken } from '../support/token-maker.ts';
import { sleep, until, within } from '../support/until.ts';

// They wait for their drains; the spread of the advice in time would suffer from more neighbours.
vi.setConfig({ maxConcurrency: 3 });

const services = ['finance', 'chat'];
const drainMs = 4000;

/** A poll that comes once nobody is left finds the door shut. */
const untilHeld = (url: string, count: number): Promise<void> =>
  until(() => metric(url, 'turnout_polls_held'), 'the polls to be held', count);

/** What was acknowledged before the first refusal counts. */
async function publishUntilRefused(publisher: Publisher): Promise<void> {
  for (;;) {
    try {
      await publisher.publish({ service: 'finance' }, { service: 'chat' });
    } catch {
      return;
    }
    await sleep(5);
  }
}

it.concurrent('drains on SIGTERM: streams advised and closed 1012, held polls answered, exit 0, nothing lost', async () => {
  const gateway = await startGateway({ TURNOUT_DRAIN_MS: String(drainMs) });
  try {
    const publisher = new Publisher(gateway.url);
    const readers = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const user = `user-${index}`;
        const token = await makeToken({ sub: user });
        const reader = { user, token, stream: await openStream(gateway.url, token, services), advisedMs: 0 };
        reader.stream.onFrame = ({ type }) => {
          if (type === 'reconnect') reader.advisedMs = performance.now();
        };
        return reader;
      }),
    );
    const publishing = publishUntilRefused(publisher);
    await Promise.all(readers.map(({ stream }) => stream.nextEvents(20)));
    const token = await makeToken({ sub: 'poller' });
    const held = Array.from({ length: 50 }, () =>
      poll(gateway.url, token, { services: 'ops', cursor: 'earliest', wait: 30 }),
    );
    const settled = Promise.all(held);
    await untilHeld(gateway.url, held.length);
    const acknowledged = publisher.head;
    gateway.signal('SIGTERM');

    const ready = (): Promise<number> => call(`${gateway.url}/readyz`).then(({ status }) => status);
    await until(() => ready(), '/readyz to fail while draining', 503);
    expect((await call(`${gateway.url}/healthz`)).status).toBe(200);
    const late = new StreamClient(gateway.url, { token, first: { services, version: 1 } });
    expect(await late.nextClose()).toEqual({ code: 1012, reason: 'draining' });
    for (const answer of await within(settled, 'the held polls')) {
      expect(answer.status).toBe(200);
      expect(answer.headers.connection).toBe('close');
      expect(answer.body).toMatchObject({ events: [], cursor: expect.any(String) });
    }
    for (const { stream } of readers) {
      const advice = await stream.next('reconnect');
      expect(advice).toMatchObject({ reason: 'draining', withinMs: expect.any(Number) });
      expect((await stream.nextClose()).code).toBe(1012);
    }
    expect(await within(gateway.exited, 'the exit')).toBe(0);
    // Not all at once, or they would arrive elsewhere all at once.
    const advisedMs = readers.map((reader) => reader.advisedMs).toSorted((a, b) => a - b);
    const spreadMs = (advisedMs.at(-1) ?? 0) - (advisedMs[0] ?? 0);
    const amongTheFirst = advisedMs.filter((ms) => ms < (advisedMs[0] ?? 0) + spreadMs / 10).length;
    expect(amongTheFirst).toBeLessThan(readers.length / 2);
    expect(spreadMs).toBeGreaterThan(drainMs / 4);
    await publishing;
    for (const { user, stream } of readers) {
      const last = stream.ofType('event').at(-1)?.seq ?? 0;
      expect(seqs(stream.events()), user).toEqual(publisher.expected(user, services, 0, last));
      // With the memory log there is no second node to go on at: the stream itself must have brought it.
      expect(last, user).toBeGreaterThanOrEqual(acknowledged);
    }
  } finally {
    await gateway.kill();
  }
});

it.concurrent('exits at once when nobody is connected', async () => {
  // Beside one that has somebody to send elsewhere.
  const [alone, other] = await Promise.all([startGateway(), startGateway({ TURNOUT_DRAIN_MS: '10000' })]);
  try {
    const stream = await openStream(other.url, await makeToken(), services);
    await stream.next('ack');
    other.signal('SIGTERM');
    const first = await Promise.race([alone.stop(), other.exited.then(() => 'the other')]);
    expect(first).toBe(0);
  } finally {
    await other.kill();
  }
});

it.concurrent('closes no connection under the poll of a client that was answered right before', async () => {
  const gateway = await startGateway();
  const token = await makeToken();
  const agents = Array.from({ length: 10 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
  try {
    let polls = 0;
    const untilTold = async (agent: Agent): Promise<void> => {
      for (let isTold = false; !isTold; polls += 1) {
        const [answer] = (await once(
          get(`${gateway.url}/v1/realtime/poll?services=ops&wait=0`, {
            agent,
            headers: { authorization: `Bearer ${token}` },
          }),
          'response',
        )) as [IncomingMessage];
        for await (const _ of answer);
        expect(answer.statusCode).toBe(200);
        isTold = answer.headers.connection === 'close';
      }
    };
    const told = Promise.all(agents.map(untilTold));
    await until(() => polls > 100);
    gateway.signal('SIGTERM');
    await within(told, 'everybody to be told to close');
    expect(await gateway.exited).toBe(0);
  } finally {
    for (const agent of agents) agent.destroy();
    await gateway.kill();
  }
});

it.concurrent('answers a held poll that waits on SIGINT as well', async () => {
  const gateway = await startGateway();
  try {
    const token = await makeToken();
    const held = poll(gateway.url, token, { services: 'chat', cursor: 'earliest', wait: 30 });
    await untilHeld(gateway.url, 1);
    gateway.signal('SIGINT');
    expect((await within(held, 'the held poll')).status).toBe(200);
    expect(await within(gateway.exited, 'the exit')).toBe(0);
  } finally {
    await gateway.kill();
  }
});

it.concurrent('does not answer a client over and over that is sent back to it while it drains', async () => {
  const gateway = await startGateway({ TURNOUT_DRAIN_MS: String(drainMs) });
  try {
    const token = await makeToken();
    // It ignores the advice, so that the drain takes its whole time.
    await openStream(gateway.url, token, services);
    let answers = 0;
    const pollOn = async (cursor: string): Promise<void> => {
      const asked = { services: 'chat', cursor, wait: 30 };
      const answer = await poll(gateway.url, token, asked).catch(() => undefined);
      if (answer === undefined) return;
      answers += 1;
      expect(answer.headers.connection).toBe('close');
      await pollOn(answer.body.cursor);
    };
    const polling = pollOn('earliest');
    await untilHeld(gateway.url, 1);
    gateway.signal('SIGTERM');
    expect(await within(gateway.exited, 'the exit')).toBe(0);
    await polling;
    // The held one, one a second, and at the end those that came before the door was shut.
    expect(answers).toBeGreaterThan(0);
    expect(answers).toBeLessThan(drainMs / 1000 + 10);
  } finally {
    await gateway.kill();
  }
});

it.concurrent('does not drain a node that stood still until after its drain was told to have failed', async () => {
  const redis = await RedisServer.start();
  const start = (id: string) => startReadyGateway({ TURNOUT_REDIS_URL: redis.url, TURNOUT_NODE_ID: id });
  const [told, still] = await Promise.all([start('told'), start('still')]);
  const change = async (percent: number) =>
    (await admin(told.url, 'PUT', '/rollout/percent', { percent, reason: 'test' })).body;
  try {
    await until(async () => 'still' in ((await change(10))['acks'] as object), 'both nodes to be known');
    still.signal('SIGSTOP');
    const drained = await admin(told.url, 'POST', '/nodes/still/drain', { reason: 'test' });
    expect(drained.status, drained.text).toBe(503);
    still.signal('SIGCONT');
    // It hears of this change behind the order to drain.
    const { version } = await change(20);
    const acks = async () =>
      (await admin(told.url, 'GET', '/rollout')).body['acks'] as Record<string, unknown>;
    await until(async () => (await acks())['still'], 'the change to be heard', version);
    // What it had asked of Redis when it was stopped has timed out: it may say `degraded`, but not that it drains.
    expect((await call(`${still.url}/readyz`)).status).toBe(200);
  } finally {
    await Promise.all([told.kill(), still.kill()]);
    await redis.stop();
  }
});

it.concurrent('ends although somebody who came at the very end does not answer the close', async () => {
  const gateway = await startGateway();
  const upgrade = upgradeText('/v2/realtime/stream');
  // Half a request: a connection that the end of listening leaves alone.
  const late = await openRaw(gateway.url, upgrade.slice(0, -2));
  try {
    // Who comes first is taken first: by this answer it is no longer only the kernel that has it.
    expect((await call(`${gateway.url}/healthz`)).status).toBe(200);
    gateway.signal('SIGTERM');
    const isRefused = () =>
      openRaw(gateway.url, '').then(
        ({ socket }) => void socket.destroy(),
        () => true,
      );
    await until(() => isRefused(), 'the end of listening', true);
    late.socket.write(upgrade.slice(-2));
    await until(() => late.said().includes('draining'), 'the close');
    expect(await within(gateway.exited, 'the exit')).toBe(0);
  } finally {
    late.socket.destroy();
    await gateway.kill();
  }
});
