/**
 * Everybody is killed off the streams, and brought back: how long until the last polls against what the kill's answer
 * announced, the poll rate that it brings, and what the others, who poll anyhow, notice of it. Two nodes on a Redis of its
 * own, where there is no `--target`; `--window` is their TURNOUT_KILL_WINDOW_MS.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ChangeAnswer } from '../../schema/admin.ts';
import { type Lap, ProcessorTime } from '../machine.ts';
import { LoadPublisher, settles } from '../publisher.ts';
import { startRedis } from '../redis-process.ts';
import { countOption, isQuick, numberOption, round } from '../report.ts';
import { Movers } from './movers.ts';
import { type Others, startOthers } from './others.ts';
import { adminToken, mustObey, openTarget, orgName, producerToken, userToken } from './target.ts';
import { atMost, budgets, type Outcome, progress } from './verdict.ts';

const services = ['finance', 'guest', 'staff'];
const clientsAnOrg = 100;
const othersCount = 100;
/** Of the others' org, events a second. */
const othersRate = 10;
const movedWithinMs = 120_000;

interface Announced {
  /** From the order to the moment by which the last is due. */
  readonly windowMs: number;
  readonly users: number;
}

/** @returns what the answer announces. @throws where it announces no move */
async function order(url: string, what: 'kill' | 'unkill'): Promise<Announced> {
  const orderedMs = performance.now();
  const answer = await fetch(`${url}/admin/v1/rollout/${what}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ reason: 'load' }),
  });
  if (!answer.ok) throw new Error(`${what} was answered ${answer.status}: ${await answer.text()}`);
  const { movesInProgress: [moves] = [] } = (await answer.json()) as ChangeAnswer;
  if (typeof moves?.etaMs !== 'number') throw new Error(`${what} announced no moves`);
  // Their end is told, and with a kill a stream may stay for a second after it was told (docs/PROTOCOL.md, 8).
  const stayMs = what === 'kill' ? Math.min(1000, moves.etaMs / 2) : 0;
  return { windowMs: performance.now() - orderedMs + moves.etaMs - stayMs, users: moves.left };
}

/** What a phase was like for the others, and where the processors' time went: to whom a late figure belongs. */
interface Phase {
  readonly othersP50Ms: number;
  readonly othersP99Ms: number;
  /** The longest that this process, the movers', did not look at its sockets. */
  readonly loadStalledMs: number;
  readonly machine: Lap;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function loadMove(): Promise<Outcome> {
  const clients = countOption('clients', 2000, 20);
  const rate = numberOption('rate', 10);
  /** Of each phase at rest: before the kill, on long-poll, back on streams. */
  const seconds = numberOption('seconds', 8, 0.5);
  const redis = process.argv.includes('--target') ? undefined : await startRedis();
  const env: Readonly<Record<string, string>> = {
    ...(redis && { TURNOUT_REDIS_URL: redis.url }),
    TURNOUT_KILL_WINDOW_MS: String(numberOption('window', 2000, 500)),
  };
  const gateway = await openTarget(env, env);
  const { urls } = gateway;
  const [url = ''] = urls;
  const movers = new Movers();
  let stopOthers: Others['stop'] = () => undefined;
  let isKilled = false;
  try {
    await mustObey(url);
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
    const { noticed, stop, pid } = await startOthers({ urls, ...ofOthers });
    stopOthers = stop;
    const nodes = gateway.pids.map((nodePid, index) => [`node ${index + 1}`, nodePid]);
    const processes = { ...Object.fromEntries(nodes), ...(redis && { redis: redis.pid }) };
    const processorTime = new ProcessorTime({ ...processes, movers: process.pid, others: pid });
    const stalls = monitorEventLoopDelay({ resolution: 5 });
    stalls.enable();

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
    const watch = async (phase: () => Promise<unknown>): Promise<Phase> => {
      await noticed();
      processorTime.lap();
      stalls.reset();
      await phase();
      const machine = processorTime.lap();
      const { p50Ms, p99Ms } = await noticed();
      const loadStalledMs = Math.round(stalls.max / 1e6);
      return { othersP50Ms: p50Ms, othersP99Ms: p99Ms, loadStalledMs, machine };
    };
    /** Orders it, and waits for the last who moves. */
    const move = async (what: 'kill' | 'unkill', to: 'long-poll' | 'websocket') => {
      const orderedMs = performance.now();
      let announced: Announced = { windowMs: 0, users: 0 };
      const phase = await watch(async () => {
        isKilled = what === 'kill';
        announced = await order(url, what);
        await movers.allOn(to, movedWithinMs);
      });
      const { windowMs, users } = announced;
      return {
        ...phase,
        announcedWindowMs: round(windowMs),
        announcedUsersPerS: round(users / (windowMs / 1000)),
        busiestUsersPerS: movers.peakMovesPerS,
        lastMs: round(movers.lastMovedMs - orderedMs),
        busiestPollsPerS: movers.peakPollsPerS(orderedMs, movers.lastMovedMs),
      };
    };

    await pause(isQuick ? 200 : 2000);
    const before = await watch(() => pause(seconds * 1000));
    const down = await move('kill', 'long-poll');
    const restMs = performance.now();
    const polling = await watch(() => pause(seconds * 1000));
    const restPollsPerS = movers.peakPollsPerS(restMs, performance.now());
    const up = await move('unkill', 'websocket');
    over.abort();
    await publishing;
    const headOf = (org: string): number => publishers[orgs.indexOf(org)]?.published ?? 0;
    await settles(() => movers.missing(headOf) === 0, 10_000);
    endProgress();
    const wrong = movers.missing(headOf) + movers.misplaced + (await noticed()).wrong;
    for (const publisher of publishers) publisher.close();

    return {
      about: {
        clients,
        nodes: urls.length,
        rate,
        phases: { before, down, polling: { ...polling, busiestPollsPerS: restPollsPerS }, up },
        deliveries: movers.deliveries,
      },
      rows: [
        atMost(
          'kill to the last polling',
          down.lastMs,
          down.announcedWindowMs + budgets.lastMovedLateMs,
          'ms',
        ),
        atMost(
          'polls asked of a node in its busiest second',
          down.busiestPollsPerS,
          budgets.pollCapacity,
          '/s',
        ),
        atMost('others p99 before', before.othersP99Ms, budgets.othersP99Ms, 'ms'),
        atMost('others p99 during the kill', down.othersP99Ms, budgets.othersP99Ms, 'ms'),
        atMost(
          'unkill to the last on a stream',
          up.lastMs,
          up.announcedWindowMs + budgets.lastMovedLateMs,
          'ms',
        ),
        atMost('events lost, repeated or misplaced', wrong, budgets.wrongEvents, 'events'),
      ],
    };
  } finally {
    // A run that failed must not leave somebody's gateway killed.
    if (isKilled) await order(url, 'unkill').catch(() => undefined);
    stopOthers();
    movers.stop();
    await gateway.stop();
    await redis?.stop();
  }
}
