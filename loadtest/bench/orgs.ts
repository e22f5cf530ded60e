/**
 * What thousands of live orgs cost their Redis while nothing happens: each has one poll held on one gateway, and Redis's own
 * counters, read every 100 ms, show at what pace heads are compared, in quiet and after all connections were killed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { startGateway, userToken } from '../gateway.ts';
import { httpRequest, HttpWire } from '../http-wire.ts';
import { startRedis } from '../redis-process.ts';
import { isQuick, median, numberOption, report, round, type Row } from '../report.ts';
import { pinLoad, type ServerProcess } from '../server-process.ts';

const orgs = numberOption('orgs', 5000, 20);
/** A round of comparisons takes a minute: as long as that sees each org once. */
const quietS = numberOption('seconds', 62, 0.5);
const recoveryS = isQuick ? 0.5 : 4;
const everyMs = 100;
const openAtOnce = 100;
const waitS = 60;

/** An org with a reader: one poll is held after the other, on one connection. */
async function keepLive(url: string, org: string, state: { isOver: boolean }): Promise<() => Promise<void>> {
  const token = await userToken(org, 'ann');
  const wire = await HttpWire.open(url);
  const ask = async (query: string): Promise<string> => {
    const path = `/v1/realtime/poll?services=bench&${query}`;
    const { status, body } = await wire.send(httpRequest('GET', path, token));
    if (status !== 200) throw new Error(`a poll was answered ${status}: ${body.toString()}`);
    return (JSON.parse(body.toString()) as { cursor: string }).cursor;
  };
  let cursor = await ask('wait=0');
  return async () => {
    while (!state.isOver) cursor = await ask(`wait=${waitS}&cursor=${cursor}`);
    wire.close();
  };
}

/** Commands that Redis has run since it started: head comparisons (scripts called by hash), and all but this bench's own. */
async function commandsOf(redis: Redis): Promise<{ readonly scripts: number; readonly all: number }> {
  const stats = await redis.info('commandstats');
  let all = 0;
  let scripts = 0;
  for (const [, name = '', calls = ''] of stats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)) {
    if (name !== 'info') all += Number(calls);
    if (name === 'evalsha') scripts += Number(calls);
  }
  return { scripts, all };
}

async function watch(redis: Redis, phase: string, seconds: number): Promise<Row> {
  const perS: number[] = [];
  const scriptsPerS: number[] = [];
  let before = await commandsOf(redis);
  let beforeMs = performance.now();
  const first = before;
  const endMs = beforeMs + seconds * 1000;
  while (beforeMs < endMs) {
    await sleep(everyMs);
    const now = await commandsOf(redis);
    const spanS = (performance.now() - beforeMs) / 1000;
    perS.push((now.all - before.all) / spanS);
    scriptsPerS.push((now.scripts - before.scripts) / spanS);
    before = now;
    beforeMs = performance.now();
  }
  return {
    phase,
    seconds,
    'scripts called': before.scripts - first.scripts,
    'scripts/s median': round(median(scriptsPerS)),
    'scripts/s peak': round(Math.max(...scriptsPerS)),
    'commands/s median': round(median(perS)),
    'commands/s peak': round(Math.max(...perS)),
  };
}

async function subscriptionsOf(server: ServerProcess, token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`${server.url}/v2/realtime/metrics`, { headers });
  const told = (await answer.json()) as { connectionPoolStats: { totalSubscriptions: number } };
  return told.connectionPoolStats.totalSubscriptions;
}

async function main(): Promise<void> {
  const placed = pinLoad();
  const redisServer = await startRedis();
  const redis = new Redis({ host: '127.0.0.1', port: redisServer.port });
  const server = await startGateway({ TURNOUT_REDIS_URL: redisServer.url });
  const state = { isOver: false };
  let failure: unknown;
  try {
    const token = await userToken('bench', 'ann');
    for (let n = 0; n < orgs; n += openAtOnce) {
      const names = Array.from({ length: Math.min(openAtOnce, orgs - n) }, (_, at) => `org-${n + at}`);
      const opened = await Promise.all(names.map((org) => keepLive(server.url, org, state)));
      for (const live of opened)
        live().catch((error: unknown) => (state.isOver ? undefined : (failure ??= error)));
    }
    const subscriptions = await subscriptionsOf(server, token);
    if (subscriptions < orgs) throw new Error(`${subscriptions} subscriptions for ${orgs} orgs`);
    const rows = [await watch(redis, 'quiet', quietS)];
    // As after any reconnect each org's head is compared; INFO is asked on the one connection that lives.
    for (const type of ['normal', 'pubsub'])
      await redis.call('CLIENT', ['KILL', 'TYPE', type, 'SKIPME', 'yes']);
    rows.push(await watch(redis, 'after a reconnect', recoveryS));
    if (failure !== undefined) throw failure;
    report('orgs', { placed, orgs, subscriptions, everyMs }, rows);
  } finally {
    state.isOver = true;
    await server.stop();
    redis.disconnect();
    await redisServer.stop();
  }
}

await main();
process.exit(0);
