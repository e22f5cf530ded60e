/**
 * Those who poll anyhow, and their backend, in a process of their own: what they notice must be the gateway's doing, not that
 * of the thousands of clients who are moved. Started by `startOthers`; ends with its parent.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { PollSwarm } from '../poll-swarm.ts';
import { LoadPublisher } from '../publisher.ts';
import { newHistogram, quantileMs } from '../report.ts';

interface Plan {
  /** The nodes: each serves its part of them, the first the backend. */
  readonly urls: readonly string[];
  readonly org: string;
  readonly tokens: readonly string[];
  readonly producer: string;
  readonly services: readonly string[];
  readonly ratePerS: number;
}

interface Noticed {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Since the beginning: events out of place, and polls that failed. */
  readonly wrong: number;
}

export interface Others {
  /** What they noticed since the last call. */
  readonly noticed: () => Promise<Noticed>;
  readonly pid: number;
  readonly stop: () => void;
}

const flag = '--as-others';

export async function startOthers(plan: Plan): Promise<Others> {
  const child = fork(fileURLToPath(import.meta.url), [flag], { execArgv: ['--import', 'tsx'] });
  const gone = new AbortController();
  child.once('exit', () => gone.abort());
  const answer = async (message: object | string): Promise<Noticed> => {
    const answered = once(child, 'message', { signal: gone.signal });
    if (child.connected) child.send(message);
    const [noticed] = (await answered.catch((cause: unknown) => {
      throw new Error('those who poll anyhow have ended: what they said is above', { cause });
    })) as [Noticed];
    return noticed;
  };
  await answer(plan);
  return {
    noticed: () => answer('noticed'),
    pid: child.pid ?? 0,
    stop: () => {
      child.kill();
    },
  };
}

async function serve({ urls, org, tokens, producer, services, ratePerS }: Plan): Promise<void> {
  const latency = newHistogram();
  const swarms = await Promise.all(
    urls.map((url, index) => {
      const seated = tokens.filter((_, seat) => seat % urls.length === index);
      return PollSwarm.open({ url, tokens: seated, services, latency });
    }),
  );
  const publisher = await LoadPublisher.open({
    url: urls[0] ?? '',
    token: producer,
    org,
    services,
    padBytes: 100,
    wires: 2,
  });
  void publisher.run(ratePerS, Number.POSITIVE_INFINITY);
  const tell = (): void => {
    const wrong = swarms.reduce((sum, { misplaced, failed }) => sum + misplaced + failed, 0);
    process.send?.({ p50Ms: quantileMs(latency, 50), p99Ms: quantileMs(latency, 99), wrong });
    latency.reset();
  };
  process.on('message', tell);
  tell();
}

if (process.argv.includes(flag)) {
  process.once('disconnect', () => process.exit());
  process.once('message', (plan) => void serve(plan as Plan));
}
