/**
 * Everybody is killed off the streams, and brought back: how long until the last polls, the poll rate that it brings, and
 * what the others, who poll anyhow, notice of it. Two nodes on a Redis of its own, where there is no `--target`.
 */
import { LoadPublisher } from '../publisher.ts';
import { numberOption, round } from '../report.ts';
import { until } from '../until.ts';
import { Movers } from './movers.ts';
import { type Others, startOthers } from './others.ts';
import { startRedis } from './redis.ts';
import { adminToken, openTarget, orgName, producerToken, userToken } from './target.ts';
import { atMost, budgets, type Outcome, progress } from './verdict.ts';

const services = ['finance', 'guest', 'staff'];
const clientsAnOrg = 100;
const othersCount = 100;
/** Of the others' org, events a second. */
const othersRate = 10;
const killWindowMs = 2000;
const movedWithinMs = 120_000;

async function order(url: string, what: 'kill' | 'unkill'): Promise<void> {
  const answer = await fetch(`${url}/admin/v1/rollout/${what}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ reason: 'load' }),
  });
  if (!answer.ok) throw new Error(`${what} was answered ${answer.status}: ${await answer.text()}`);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function loadMove(): Promise<Outcome> {
  const clients = numberOption('clients', 2000);
  const rate = numberOption('rate', 10);
  /** Of each phase at rest: before the kill, on long-poll, back on streams. */
  const seconds = numberOption('seconds', 8);
  const windowMs = numberOption('window', killWindowMs);
  const redis = process.argv.includes('--target') ? undefined : await startRedis();
  const env: Readonly<Record<string, string>> =
    redis === undefined ? {} : { TURNOUT_REDIS_URL: redis.url, TURNOUT_KILL_WINDOW_MS: String(windowMs) };
  const gateway = await openTarget(env, env);
  const { urls } = gateway;
  const [url = ''] = urls;
  const movers = new Movers();
  let stopOthers: Others['stop'] = () => undefined;
  try {
    const orgs = Array.from({ length: Math.ceil(clients / clientsAnOrg) }, (_, index) => orgName(index));
    const othersOrg = orgName(orgs.length);
    const seats = await Promise.all(
      Array.from({ length: clients }, async (_, index) => {
        const org = orgs[index % orgs.length] ?? '';
        return { url: urls[index % urls.length] ?? url, org, token: await userToken(org, `user-${index}`) };
      }),
    );
    await movers.start(seats, services);
    const tokens = await Promise.all(
      Array.from({ length: othersCount }, (_, index) => userToken(othersOrg, `other-${index}`)),
    );
    const token = await producerToken();
    const open = (org: string): Promise<LoadPublisher> =>
      LoadPublisher.open({ url, token, org, services, padBytes: 100, wires: 2 });
    const publishers = await Promise.all(orgs.map(open));
    const ofOthers = { org: othersOrg, tokens, producer: token, services, ratePerS: othersRate };
    const { noticed, stop } = await startOthers({ url, ...ofOthers });
    stopOthers = stop;

    const over = new AbortController();
    const keepPublishing = async (
      publisher: LoadPublisher,
      ratePerS: number,
      index: number,
    ): Promise<void> => {
      // Each org's backend keeps its own time, as backends do.
      await pause((index * 1000) / rate);
      // Two events a run, whatever the rate.
      while (!over.signal.aborted) await publisher.run(ratePerS, 2100 / ratePerS);
    };
    const publishing = Promise.all(
      publishers.map((publisher, index) => keepPublishing(publisher, rate / orgs.length, index)),
    );
    const endProgress = progress(
      () =>
        `${movers.on('websocket')} on streams, ${movers.on('long-poll')} polling, ` +
        `${movers.deliveries} deliveries, ${movers.misplaced} misplaced`,
    );
    /** p99 of the others while `phase` lasts. */
    const whileIn = async (phase: () => Promise<unknown>): Promise<number> => {
      await noticed();
      await phase();
      const { p99Ms } = await noticed();
      return p99Ms;
    };

    await pause(2000);
    const before = await whileIn(() => pause(seconds * 1000));
    const killedMs = performance.now();
    const down = await whileIn(async () => {
      await order(url, 'kill');
      await movers.allOn('long-poll', movedWithinMs);
    });
    const lastPollingMs = movers.lastMovedMs - killedMs;
    const peakPollsPerS = movers.peakPollsPerS(killedMs, killedMs + lastPollingMs);
    const restMs = performance.now();
    const polling = await whileIn(() => pause(seconds * 1000));
    const restPollsPerS = movers.peakPollsPerS(restMs, performance.now() - 1000);
    const unkilledMs = performance.now();
    const up = await whileIn(async () => {
      await order(url, 'unkill');
      await movers.allOn('websocket', movedWithinMs);
    });
    const lastStreamMs = movers.lastMovedMs - unkilledMs;
    over.abort();
    await publishing;
    const headOf = (org: string): number => publishers[orgs.indexOf(org)]?.published ?? 0;
    await until(() => movers.missing(headOf) === 0, 10_000);
    endProgress();
    const wrong = movers.missing(headOf) + movers.misplaced + (await noticed()).wrong;
    for (const publisher of publishers) publisher.close();

    const othersP99Ms = { before, down, polling, up };
    return {
      about: {
        clients,
        nodes: urls.length,
        rate,
        windowMs,
        lastPollingMs: round(lastPollingMs),
        peakPollsPerS,
        restPollsPerS,
        lastStreamMs: round(lastStreamMs),
        upPerS: round(clients / (lastStreamMs / 1000)),
        othersP99Ms,
        deliveries: movers.deliveries,
      },
      rows: [
        atMost('kill to the last polling', round(lastPollingMs), windowMs + budgets.lastMovedLateMs, 'ms'),
        atMost('others p99 before', before, budgets.othersP99Ms, 'ms'),
        atMost('others p99 during the kill', down, budgets.othersP99Ms, 'ms'),
        atMost('events lost, repeated or misplaced', wrong, budgets.wrongEvents, 'events'),
      ],
    };
  } finally {
    stopOthers();
    movers.stop();
    await gateway.stop();
    await redis?.stop();
  }
}
