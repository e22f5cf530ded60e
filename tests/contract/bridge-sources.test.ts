/** What one bridge does with what its source gives it, over a real Redis and a real HTTP server. */
import { once } from 'node:events';
import { createServer, type OutgoingHttpHeaders, type RequestListener } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type BridgeReport, type BridgesOptions, openBridges } from '../../src/legacy/bridge/bridge.ts';
import { bridgeKeys, RedisLease } from '../../src/legacy/bridge/lease.ts';
import { RedisStreamSource } from '../../src/legacy/bridge/sources/redis-stream.ts';
import { prepareEvent } from '../../src/log/entry.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { createLogger } from '../../src/logger.ts';
import { openRedis } from '../../src/redis/connections.ts';
import { bridgeProfile, pollSource, pubsubSource, streamSource } from '../support/bridge-profiles.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { faultyLog } from '../support/faulty-log.ts';
import { idsInLog } from '../support/log-ids.ts';
import { RedisServer } from '../support/redis.ts';
import { sleep, until } from '../support/until.ts';

const secret = 'a-payload-that-no-line-may-show';
let redis: RedisServer;
beforeAll(async () => {
  redis = await RedisServer.start({ config: ['--databases', '32'] });
});
afterAll(() => redis.stop());

const memoryLog = (): EventLog =>
  createMemoryLog({
    clock: systemClock,
    retentionMs: 3_600_000,
    retentionEvents: 100_000,
    retentionBytes: 256 * 1024 * 1024,
  });

let benches = 0;

/** What one test has to itself, so that all run side by side: a database, a channel, and what ends with the test. */
async function openBench({ onTestFinished }: Pick<TestContext, 'onTestFinished'>) {
  benches += 1;
  const url = `${redis.url}/${benches}`;
  // Channels are the whole server's.
  const channel = `old-channel-${benches}`;
  const client = new Redis(url);
  const connection = openRedis({ url, clock: systemClock, timeoutMs: 2000, onError: () => undefined });
  const endings: (() => Promise<unknown>)[] = [];
  onTestFinished(async () => {
    for (const end of endings.toReversed()) await end();
    connection.close();
    client.disconnect();
  });
  await connection.ready(5000);

  function bridgeOf(source: object, log: EventLog, more: Partial<BridgesOptions> = {}) {
    const lines: string[] = [];
    const bridges = openBridges({
      profiles: [bridgeProfile('old', source)],
      log,
      redis: connection,
      prefix: 'turnout',
      nodeId: 'node-a',
      clock: systemClock,
      logger: createLogger('info', { write: (line: string) => void lines.push(line) }),
      isOn: true,
      ...more,
    });
    endings.push(() => bridges.close());
    const report = (): BridgeReport => {
      const [one] = bridges.report();
      if (one === undefined) throw new Error('one profile has one bridge');
      return one;
    };
    return { report, lines, isFed: () => bridges.isFed('old'), close: () => bridges.close() };
  }

  return {
    url,
    client,
    connection,
    endings,
    bridgeOf,
    pubsub: { ...pubsubSource(url), channel: `${channel}:{org}` },
    add: (n: number, org = 'acme'): Promise<unknown> =>
      client.xadd(`old-stream:${org}`, `${n}-0`, 'kind', 'update', 'data', JSON.stringify({ n, secret })),
    /** @returns how many listened */
    say: (id: string): Promise<number> =>
      client.publish(`${channel}:acme`, `{"id":"${id}","kind":"k","data":1}`),
    serve: async (listener: RequestListener): Promise<string> => {
      const server = createServer(listener).listen(0, '127.0.0.1');
      await once(server, 'listening');
      endings.push(async () => {
        server.closeAllConnections();
        server.close();
      });
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}/updates`;
    },
  };
}

const idsTo = (count: number, from = 1): string[] =>
  Array.from({ length: count }, (_, at) => `${at + from}-0`);
const holds = (log: EventLog, ids: readonly string[], org = 'acme'): Promise<void> =>
  until(
    async () => (await idsInLog(log, org)).join(),
    () => `the log holds ${ids.length} ids`,
    (seen) => seen === ids.join(),
  );

/** A way to a server on which what it says to those who are connected may be held back, beyond their own goodbye. */
async function slowWay(port: number) {
  const pairs = new Set<readonly [Socket, Socket]>();
  const server = createTcpServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const socket of pair) socket.on('error', () => undefined);
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => near.write(bytes));
    near.on('close', () => {
      far.destroy();
      pairs.delete(pair);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    /** @returns lets it through */
    hold() {
      const held = [...pairs];
      for (const [, far] of held) far.pause();
      return () => {
        for (const [, far] of held) far.resume();
      };
    },
    async close() {
      for (const [near] of pairs) near.destroy();
      server.close();
    },
  };
}

describe.concurrent('the lease of a bridge', () => {
  it('is another one after another node had it, even where the answer that said so was lost', async (context) => {
    const { connection } = await openBench(context);
    const keys = bridgeKeys('turnout', 'old');
    let isLosing = false;
    const commands = {
      call: async (name: string, args: readonly (string | number)[]): Promise<unknown> => {
        const answer = await connection.commands.call(name, [...args]);
        if (isLosing) throw new Error('Connection is closed.');
        return answer;
      },
    };
    const leaseOf = (nodeId: string) => new RedisLease({ redis: commands, keys, clock: systemClock, nodeId });
    const [one, other] = [leaseOf('node-a'), leaseOf('node-b')];
    expect(await one.take(false)).toBe('fresh');
    expect(await one.take(false)).toBe('kept');
    await one.release();
    expect(await other.take(false)).toBe('fresh');
    await other.release();
    const { turn } = one;
    isLosing = true;
    await expect(one.take(false)).rejects.toThrow('closed');
    isLosing = false;
    expect(await one.take(false)).toBe('fresh');
    expect(one.turn).not.toBe(turn);
    isLosing = true;
    await expect(one.take(false)).rejects.toThrow('closed');
    isLosing = false;
    // Renewed in vain: nobody else had it.
    expect(await one.take(false)).toBe('kept');
  });

  it("keeps no place of one stream over the loss of another's: nothing would show it any more", async (context) => {
    const { client, connection } = await openBench(context);
    const keys = bridgeKeys('turnout', 'old');
    const { commands } = connection;
    const lease = new RedisLease({ redis: commands, keys, clock: systemClock, nodeId: 'node-a' });
    await lease.take(false);
    const before = await client.get(keys.last);
    expect(await lease.keep('quiet', '1-0', undefined)).toBe('kept');
    // As a failover leaves it.
    await client.set(keys.last, before ?? '');
    await client.del(keys.checkpoints);
    expect(await lease.keep('busy', '1-0', undefined)).toBe('rewound');
    expect(await lease.take(false)).toBe('fresh');
    expect(await lease.keep('busy', '1-0', undefined)).toBe('kept');
  });
});

describe.concurrent('a bridge from the old API', () => {
  const readers = pollSource(['acme']);

  it('tells every node whether somebody reads the source', async (context) => {
    const { bridgeOf, serve } = await openBench(context);
    let status = 200;
    const url = await serve((_, answer) => answer.writeHead(status).end('{"updates":[]}'));
    const bystander = bridgeOf({ ...readers, url }, memoryLog(), { nodeId: 'node-b', isOn: false });
    expect(bystander.isFed()).toBe(false);
    const leader = bridgeOf({ ...readers, url }, memoryLog());
    const hear = (isFed: boolean): Promise<void> =>
      until(() => leader.isFed() === isFed && bystander.isFed() === isFed, `isFed to be ${isFed}`);
    await hear(true);
    status = 500;
    await hear(false);
    status = 200;
    await hear(true);
    expect(bystander.report()).toMatchObject({ state: 'off' });
  });

  it('goes on from the cursor that it was given, and follows no redirect', async (context) => {
    const { bridgeOf, serve } = await openBench(context);
    const asked: string[] = [];
    let elsewhere = 0;
    const other = await serve((_, answer) => {
      elsewhere += 1;
      answer.end('{}');
    });
    const url = await serve((request, answer) => {
      asked.push(`${request.headers['x-org'] as string} ${new URL(request.url ?? '', other).search}`);
      if (asked.length === 1) {
        answer.writeHead(302, { location: other }).end();
      } else if (asked.length === 2) {
        answer.writeHead(200, { 'content-type': 'application/json' });
        answer.end('{"updates":[{"seq":7,"kind":"k","payload":1},{"seq":8,"kind":"k"}],"next":8}');
      }
    });
    const log = memoryLog();
    const { report } = bridgeOf({ ...readers, url }, log);
    await holds(log, ['7']);
    await until(() => asked.length, 'the next poll', 3);
    expect(asked).toEqual(['acme ?timeout=20', 'acme ?timeout=20', 'acme ?since=8&timeout=20']);
    expect(elsewhere).toBe(0);
    expect(report().counts).toMatchObject({ events: 1, badItems: 1, restarts: 1 });
  });

  it.for<[string, OutgoingHttpHeaders, string]>([
    ['20 MB', { 'content-type': 'application/json' }, `{"updates":["${'x'.repeat(20 * 1024 * 1024)}"]}`],
    ['no JSON', { 'content-type': 'text/html' }, `<html>${secret}</html>`],
    ['another shape', { 'content-type': 'application/json' }, `{"error":"${secret}"}`],
    ['endless headers', { 'x-long': 'y'.repeat(100 * 1024) }, '{}'],
  ])('tells an answer of %s, keeps its place, and asks again', async ([, headers, body], context) => {
    const { bridgeOf, serve } = await openBench(context);
    let polls = 0;
    const url = await serve((request, answer) => {
      polls += 1;
      if (polls === 1) answer.writeHead(200, headers).end(body);
      else if (!(request.url ?? '').includes('since'))
        answer.writeHead(200).end('{"updates":[{"seq":1,"kind":"k","payload":1}],"next":1}');
    });
    const log = memoryLog();
    const { report, lines } = bridgeOf({ ...readers, url }, log);
    await holds(log, ['1']);
    expect(report().counts.restarts).toBe(1);
    expect(lines.filter((line) => line.includes("the bridge's source is away"))).toHaveLength(1);
    expect(lines.join('')).not.toContain(secret);
  });
});

describe.concurrent('a bridge from a Redis stream', () => {
  it('keeps its place only once the append is done: a batch that the log refused is read again', async (context) => {
    const { url, bridgeOf, add } = await openBench(context);
    const log = faultyLog(memoryLog());
    log.refuse('append');
    for (let n = 1; n <= 250; n += 1) await add(n);
    const first = bridgeOf(streamSource(url), log);
    await until(() => log.calls('append'), 'an append that is refused');
    expect(first.report()).toMatchObject({ state: 'waiting', lastError: expect.stringContaining('log: ') });
    await first.close();
    log.heal();
    const second = bridgeOf(streamSource(url), log);
    await holds(log, idsTo(250));
    expect(second.report()).toMatchObject({ state: 'leading', counts: { events: 250, duplicates: 0 } });
  });

  it('stores once what was appended without the answer having come', async (context) => {
    const { url, bridgeOf, add } = await openBench(context);
    const log = faultyLog(memoryLog());
    for (let n = 1; n <= 30; n += 1) await add(n);
    log.refuseAnswers('append');
    const { report } = bridgeOf(streamSource(url), log);
    // It looks at the log's end before it appends again.
    await until(
      () => [log.calls('append'), log.calls('read')],
      'a second try',
      ([appends = 0, reads = 0]) => appends > 0 && reads > 1,
    );
    log.heal();
    await until(() => report().state === 'leading');
    await add(31);
    await holds(log, idsTo(31));
    expect(report().counts).toMatchObject({ events: 1, duplicates: 30 });
  });

  it('appends nothing to a log that lost its end before it has read the source again from there', async (context) => {
    const { url, client, bridgeOf, add } = await openBench(context);
    let log = memoryLog();
    const current: Pick<EventLog, 'append' | 'read'> = {
      append: (...asked) => log.append(...asked),
      read: (...asked) => log.read(...asked),
    };
    for (let n = 1; n <= 5; n += 1) await add(n);
    const { report } = bridgeOf(streamSource(url), log, { log: current });
    await holds(log, idsTo(5));
    const checkpoints = 'turnout:{!bridge-old}:checkpoints';
    const stands = (): Promise<string | null> => client.hget(checkpoints, 'old-stream:acme');
    await until(() => stands(), 'the checkpoint', '5-0');
    // As a failover leaves it: log and checkpoint of a moment ago.
    const older = memoryLog();
    const events = idsTo(3).map((id) =>
      prepareEvent({ service: 'updates', type: 'update', payload: {} }, id),
    );
    await older.append('acme', 'bridge/old', events);
    log = older;
    await client.hset(checkpoints, 'old-stream:acme', '3-0');
    await add(6);
    await holds(log, idsTo(6));
    expect(report().counts.duplicates).toBe(0);
  });

  it('keeps no place of what was acknowledged and lost again before the place was kept', async (context) => {
    const { url, client, connection, bridgeOf, add } = await openBench(context);
    let log = memoryLog();
    for (let n = 1; n <= 2; n += 1) await add(n);
    let isLosing = false;
    // As a failover leaves it: the append is lost, and the place looks as it did; the connection fails in between.
    const commands = {
      call: async (name: string, args: readonly (string | number)[]): Promise<unknown> => {
        if (isLosing && args.includes('3-0')) {
          isLosing = false;
          log = older;
          throw new Error('Connection is closed.');
        }
        return connection.commands.call(name, [...args]);
      },
    };
    const current: Pick<EventLog, 'append' | 'read'> = {
      append: (...asked) => log.append(...asked),
      read: (...asked) => log.read(...asked),
    };
    const { report } = bridgeOf(streamSource(url), log, { log: current, redis: { commands } });
    await holds(log, idsTo(2));
    const stands = (): Promise<string | null> =>
      client.hget('turnout:{!bridge-old}:checkpoints', 'old-stream:acme');
    await until(() => stands(), 'the checkpoint', '2-0');
    const older = memoryLog();
    const events = idsTo(2).map((id) =>
      prepareEvent({ service: 'updates', type: 'update', payload: {} }, id),
    );
    await older.append('acme', 'bridge/old', events);
    isLosing = true;
    await add(3);
    await until(() => stands(), 'the next checkpoint', '3-0');
    expect(isLosing).toBe(false);
    expect(await idsInLog(log, 'acme')).toEqual(idsTo(3));
    expect(report().counts.duplicates).toBe(0);
  });

  it('takes a place whose keeping it was not told of for no sign of a loss', async (context) => {
    const { url, client, connection, bridgeOf, add } = await openBench(context);
    const log = memoryLog();
    const losses: string[] = [];
    const commands = {
      call: async (name: string, args: readonly (string | number)[]): Promise<unknown> => {
        const answer = await connection.commands.call(name, [...args]);
        if (losses.length > 0 || !args.includes('2-0')) return answer;
        losses.push(name);
        throw new Error('Connection is closed.');
      },
    };
    const { lines } = bridgeOf(streamSource(url), log, { redis: { commands } });
    await add(1);
    await holds(log, idsTo(1));
    // No event: a hole, which is of another service than what the bridge brings.
    await client.xadd('old-stream:acme', '2-0', 'kind', '', 'data', '1');
    await until(() => losses.length, 'the answer that is lost');
    await add(3);
    await holds(log, ['1-0', '3-0']);
    expect(lines.filter((line) => line.includes('Redis has lost'))).toEqual([]);
  });

  it('is behind with nothing that another node has brought into the log meanwhile', async (context) => {
    const { url, client, bridgeOf } = await openBench(context);
    const log = faultyLog(memoryLog());
    const { report } = bridgeOf(streamSource(url), log);
    await until(() => report().state === 'leading');
    log.refuse('append');
    // An hour ago, so that no lag of the test's own is taken for it.
    const id = `${Date.now() - 3_600_000}-0`;
    await client.xadd('old-stream:acme', id, 'kind', 'update', 'data', '1');
    await until(
      () => report().lagSeconds,
      'an item that waits',
      (seen) => seen > 3000,
    );
    await client.set('turnout:{!bridge-old}:lease', 'node-b of-another-run');
    await until(() => report().state, 'it stands by', 'standby');
    await client.hset('turnout:{!bridge-old}:checkpoints', 'old-stream:acme', id);
    log.heal();
    await client.del('turnout:{!bridge-old}:lease');
    await until(() => report().state, 'its next turn', 'leading');
    expect(report().lagSeconds).toBe(0);
  });

  it('needs no Redis of its own where the log is this process, and bridges nothing where it is off', async (context) => {
    const { url, client, bridgeOf, add } = await openBench(context);
    const log = memoryLog();
    await add(1);
    const off = bridgeOf(streamSource(url), log, { redis: undefined, isOn: false });
    expect(off.report()).toMatchObject({ state: 'off' });
    const { report } = bridgeOf(streamSource(url), log, { redis: undefined });
    await holds(log, ['1-0']);
    expect(report()).toMatchObject({ state: 'leading', leader: 'node-a' });
    expect(await client.keys('turnout:*')).toEqual([]);
    expect(off.report().counts.events).toBe(0);
  });

  it('reads again what a Redis that went back in time has lost', async (context) => {
    const { url, client, bridgeOf, add } = await openBench(context);
    const log = memoryLog();
    for (let n = 1; n <= 4; n += 1) await add(n);
    const { report, lines } = bridgeOf(streamSource(url), log);
    await holds(log, idsTo(4));
    const checkpoints = 'turnout:{!bridge-old}:checkpoints';
    await until(async () => (await client.hget(checkpoints, 'old-stream:acme')) === '4-0');
    await client.hset(checkpoints, 'old-stream:acme', '2-0');
    await add(5);
    await until(async () => (await client.hget(checkpoints, 'old-stream:acme')) === '5-0');
    expect(lines.filter((line) => line.includes('it is read again'))).toHaveLength(1);
    // 3 and 4 came twice, and stand once; 5 waited for them.
    await holds(log, idsTo(5));
    // Counted once the answer to the last checkpoint is here.
    await until(() => report().counts.duplicates > 0, 'the duplicates are counted');
    expect(report().counts).toMatchObject({ events: 5, duplicates: 2 });
  });

  it('reads it again though its source has nothing new', async (context) => {
    const { url, client, bridgeOf, add } = await openBench(context);
    let log = memoryLog();
    const current: Pick<EventLog, 'append' | 'read'> = {
      append: (...asked) => log.append(...asked),
      read: (...asked) => log.read(...asked),
    };
    const keys = ['turnout:{!bridge-old}:checkpoints', 'turnout:{!bridge-old}:last'];
    const bridged = async (n: number): Promise<void> => {
      await add(n);
      await until(async () => (await client.hget(keys[0] ?? '', 'old-stream:acme')) === `${n}-0`);
    };
    const { report } = bridgeOf(streamSource(url), log, { log: current });
    for (const n of [1, 2]) await bridged(n);
    const dumps = await Promise.all(keys.map((key) => client.dumpBuffer(key)));
    await bridged(3);
    // As a failover leaves it: log and place of a moment ago.
    const older = memoryLog();
    const events = idsTo(2).map((id) =>
      prepareEvent({ service: 'updates', type: 'update', payload: {} }, id),
    );
    await older.append('acme', 'bridge/old', events);
    log = older;
    const back = client.multi();
    for (const [at, key] of keys.entries()) back.restore(key, 0, dumps[at] ?? '', 'REPLACE');
    await back.exec();
    await holds(log, idsTo(3));
    expect(report().counts).toMatchObject({ events: 4, gaps: 0 });
  });

  it('finds streams that begin later, and leaves out what is no event, with a line that shows no payload', async (context) => {
    const { url, client, bridgeOf, add } = await openBench(context);
    const log = memoryLog();
    const { report, lines } = bridgeOf(streamSource(url), log);
    await until(() => report().state === 'leading');
    await client.xadd('old-stream:acme', '1-0', 'kind', '', 'data', secret);
    await add(2);
    await client.xadd('old-stream:acme', '3-0', 'kind', 'update', 'data', 'x'.repeat(70 * 1024));
    await add(1, 'beta');
    await holds(log, ['2-0']);
    await holds(log, ['1-0'], 'beta');
    await until(() => report().counts.badItems, 'two bad items', 2);
    const said = lines.filter((line) => line.includes('left out'));
    expect(said.map((line) => (JSON.parse(line) as { at: string }).at)).toEqual([
      'old-stream:acme 1-0',
      'old-stream:acme 3-0',
    ]);
    expect(lines.join('')).not.toContain(secret);
  });

  it('counts a gap where the stream was trimmed past its place, or made anew, and goes on', async (context) => {
    const { url, client, bridgeOf, add } = await openBench(context);
    const log = memoryLog();
    const source = { ...streamSource(url), orgs: ['acme'] };
    for (let n = 11; n <= 13; n += 1) await add(n);
    const first = bridgeOf(source, log);
    await holds(log, idsTo(3, 11));
    await until(async () => (await client.hvals('turnout:{!bridge-old}:checkpoints'))[0] === '13-0');
    await first.close();
    for (let n = 14; n <= 20; n += 1) await add(n);
    await client.xtrim('old-stream:acme', 'MAXLEN', 2);
    const second = bridgeOf(source, log);
    await holds(log, [...idsTo(3, 11), '19-0', '20-0']);
    expect(second.report().counts.gaps).toBe(1);
    await second.close();

    await client.del('old-stream:acme');
    await add(5);
    const third = bridgeOf(source, log);
    await holds(log, [...idsTo(3, 11), '19-0', '20-0', '5-0']);
    expect(third.report().counts.gaps).toBe(1);
  });

  it('counts a restart when the source is away, says so, and reads on', async (context) => {
    const { endings, bridgeOf } = await openBench(context);
    const source = await RedisServer.start({ appendOnly: true });
    endings.push(() => source.stop());
    const log = memoryLog();
    const url = source.url.replace('//', '//:a-password@');
    const { report } = bridgeOf({ ...streamSource(url), url: source.url }, log);
    await source.client.xadd('old-stream:acme', '1-0', 'kind', 'k', 'data', '1');
    await holds(log, ['1-0']);
    await source.kill();
    await until(
      () => report().lastError,
      'the fault is told',
      (seen) => seen !== null,
    );
    await source.restart();
    await source.client.xadd('old-stream:acme', '2-0', 'kind', 'k', 'data', '2');
    await holds(log, ['1-0', '2-0']);
    expect(report().counts.restarts).toBeGreaterThan(0);
    await until(
      () => report().lastError,
      'the fault to be over',
      (seen) => seen === null,
    );
  });
});

describe.concurrent('a bridge from a Redis channel', () => {
  it('appends nothing once its clock says that the lease ran out, and stands by when another node has it', async (context) => {
    const { client, bridgeOf, say, pubsub } = await openBench(context);
    const log = memoryLog();
    const clock = new FakeClock({ runs: true });
    const { report } = bridgeOf(pubsub, log, { clock });
    await until(() => say('before'), 'it listens');
    await until(async () => (await idsInLog(log, 'acme')).includes('before'));
    await client.set('turnout:{!bridge-old}:lease', 'node-b of-another-run');
    clock.stall(60_000);
    await say('after');
    await until(() => report().state, 'it stands by', 'standby');
    expect(await idsInLog(log, 'acme')).toEqual(['before']);
    expect(report()).toMatchObject({ leader: 'node-b', counts: { events: 1 } });
  });

  it('appends nothing when the lease ran out while it waited for an answer of its Redis', async (context) => {
    const { client, connection, bridgeOf, say, pubsub } = await openBench(context);
    const log = memoryLog();
    const clock = new FakeClock({ runs: true });
    // The process is paused with the last question before an append under way, and wakes to its answer.
    const commands = {
      call: async (name: string, args: readonly (string | number)[]): Promise<unknown> => {
        const answer = await connection.commands.call(name, [...args]);
        if (String(args[1]).startsWith('old-channel') && toPause) {
          await client.set('turnout:{!bridge-old}:lease', 'node-b of-another-run');
          clock.stall(60_000);
          toPause = false;
        }
        return answer;
      },
    };
    let toPause = false;
    const { report } = bridgeOf(pubsub, log, { clock, redis: { commands } });
    await until(() => say('before'), 'it listens');
    await until(async () => (await idsInLog(log, 'acme')).includes('before'));
    toPause = true;
    await say('after');
    await until(() => report().state, 'it stands by', 'standby');
    expect(toPause, 'it was paused').toBe(false);
    expect(await idsInLog(log, 'acme')).toEqual(['before']);
  });

  it('appends nothing that was on its way to the log when another node went on', async (context) => {
    const { client, bridgeOf, say, pubsub } = await openBench(context);
    const kept = memoryLog();
    const log = faultyLog(kept);
    const first = bridgeOf(pubsub, log);
    await until(() => say('before'), 'it listens');
    await until(async () => (await idsInLog(kept, 'acme')).includes('before'));
    // Its last look at the lease is behind it.
    log.hold('append');
    await say('late');
    await until(() => log.waiting('append'), 'an append on its way', 1);
    await client.set('turnout:{!bridge-old}:lease', 'node-b of-another-run');
    await until(() => first.report().state, 'it stands by', 'standby');
    await client.del('turnout:{!bridge-old}:lease');
    bridgeOf(pubsub, kept, { nodeId: 'node-b' });
    const isHeard = async (): Promise<boolean> => {
      await say('after');
      return (await idsInLog(kept, 'acme')).includes('after');
    };
    await until(isHeard, 'the other node to go on');
    log.heal();
    await first.close();
    expect(await idsInLog(kept, 'acme')).toEqual(['before', 'after']);
  });

  it('hears nothing of a subscription that it has given up, whatever comes late on its connection', async (context) => {
    const { client, endings, bridgeOf, say, pubsub } = await openBench(context);
    const way = await slowWay(redis.port);
    endings.push(() => way.close());
    const log = memoryLog();
    const url = pubsub.url.replace(`:${redis.port}`, `:${way.port}`);
    const { report, lines } = bridgeOf({ ...pubsub, url }, log);
    await until(() => say('before'), 'it listens');
    await until(async () => (await idsInLog(log, 'acme')).includes('before'));
    const bring = way.hold();
    await say('late');
    // Another node had the lease, and has it no more.
    await client.set('turnout:{!bridge-old}:last', 'node-b of-another-run 1');
    await until(() => lines.some((line) => line.includes('bridges no longer')), 'another turn');
    await until(
      async () => (await say(systemClock.id())) > 0 && report().counts.events > 1,
      'it hears again',
    );
    bring();
    const last = systemClock.id();
    await say(last);
    await until(async () => (await idsInLog(log, 'acme')).includes(last), 'the newest');
    expect(await idsInLog(log, 'acme')).not.toContain('late');
  });

  it('counts a gap wherever a listener follows another: in between nobody heard', async (context) => {
    const { client, bridgeOf, say, pubsub } = await openBench(context);
    const log = memoryLog();
    const isHeard = (report: () => BridgeReport) => async (): Promise<boolean> => {
      await say(systemClock.id());
      return report().counts.events > 0;
    };
    const first = bridgeOf(pubsub, log);
    await until(isHeard(first.report), 'the first to hear');
    await until(async () => (await client.exists('turnout:{!bridge-old}:checkpoints')) === 1);
    expect(first.report().counts.gaps).toBe(0);
    await first.close();
    const next = bridgeOf(pubsub, log, { nodeId: 'node-b' });
    await until(isHeard(next.report), 'the next to hear');
    await until(() => next.report().counts.gaps, 'a gap', 1);
  });

  it('drops the oldest past its buffer while the log is away, and counts each as a gap', async (context) => {
    const { bridgeOf, say, pubsub } = await openBench(context);
    const log = faultyLog(memoryLog());
    log.hold('append');
    const { report } = bridgeOf(pubsub, log);
    await until(() => say('m0'), 'it listens');
    await until(() => log.waiting('append'), 'an append that waits', 1);
    const sent = 10_500;
    for (let n = 1; n <= sent; n += 500)
      await Promise.all(Array.from({ length: 500 }, (_, at) => say(`m${n + at}`)));
    await until(() => report().counts.gaps, 'a gap');
    log.heal();
    await until(
      async () => (await idsInLog(log, 'acme')).at(-1),
      'the newest message',
      (seen) => seen === `m${sent}`,
    );
    const ids = await idsInLog(log, 'acme');
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.length + report().counts.gaps).toBe(sent + 1);
    expect(ids).toEqual(ids.toSorted((one, other) => Number(one.slice(1)) - Number(other.slice(1))));
  });
});

it('a look at many streams that fails leaves those unbegun that waited for their turn', async (context) => {
  const { url, client } = await openBench(context);
  for (let at = 0; at < 350; at += 1)
    await client.xadd(`old-stream:org-${at}`, '*', 'kind', 'k', 'data', '1');
  const ended = new AbortController();
  const asked: string[] = [];
  const nothing = (): void => undefined;
  const { source } = bridgeProfile('old', streamSource(url));
  if (source?.kind !== 'redis-stream') throw new Error('the profile has another source');
  await new RedisStreamSource(source, systemClock).run({
    signal: ended.signal,
    async position(lane) {
      asked.push(lane);
      await sleep(1);
      throw new Error('the lease can not be asked');
    },
    take: async () => undefined,
    gap: nothing,
    advise: nothing,
    worked: nothing,
    failed: () => ended.abort(),
  });
  await sleep(100);
  expect(asked.length).toBeGreaterThan(50);
  expect(asked.length).toBeLessThan(150);
});
