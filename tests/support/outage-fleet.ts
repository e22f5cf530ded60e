/** Two gateways on one Redis whose every write is on disk before it is acknowledged, and the faults that it can have. */
import { afterAll, beforeAll } from 'vitest';
import { type Gateway, startGateway } from './node-process.ts';
import { Outage, type OutageOptions, type Outcome, tellOutcome } from './outage.ts';
import { testRandom } from './random.ts';
import { RedisServer } from './redis.ts';
import { sleep, until } from './until.ts';

export type Fault = Pick<OutageOptions, 'name' | 'keeps' | 'isFelt' | 'strike'>;

/** As a test starts it: publishes wait for a second at most. */
export const startNodes = (url: string): Promise<Gateway[]> =>
  Promise.all(
    ['node-a', 'node-b'].map((nodeId) =>
      startGateway({ TURNOUT_REDIS_URL: url, TURNOUT_REDIS_TIMEOUT_MS: '1000', TURNOUT_NODE_ID: nodeId }),
    ),
  );

/** One outage, its line printed. */
export async function survive(gateways: readonly Gateway[], fault: Fault): Promise<Outcome> {
  const outcome = await Outage.run({ ...fault, gateways, random: testRandom(`outage, ${fault.name}`) });
  console.log(tellOutcome(outcome));
  return outcome;
}

/**
 * A Redis and its two nodes, for the tests of the suite that calls it. What it returns makes them suffer one fault.
 * @param frozenMs how long a frozen one stays so
 */
export function suiteFleet(frozenMs: number) {
  let redis: RedisServer;
  let gateways: readonly Gateway[];
  let faults: ReturnType<typeof faultsOf>;
  beforeAll(async () => {
    redis = await RedisServer.start({ appendOnly: true });
    gateways = await startNodes(redis.url);
    faults = faultsOf(redis, frozenMs);
  }, 240_000);
  afterAll(async () => {
    await Promise.all(gateways.map((gateway) => gateway.kill()));
    await redis.stop();
  });
  return (fault: keyof typeof faults, more = ''): Promise<Outcome> =>
    survive(gateways, { ...faults[fault], name: `${faults[fault].name}${more}` });
}

/** Nothing that the protocol forbids, whatever the log lost. */
export const sound = { faults: [], repeated: 0 };
/** Nor did it lose anything. */
export const lossless = { ...sound, lost: 0, resets: '0' };

const now = (): number => performance.now();

/** What a single Redis can suffer; it stays frozen for `frozenMs`. */
function faultsOf(redis: RedisServer, frozenMs: number) {
  const faults = {
    killed: {
      name: 'kill -9, back with its file',
      keeps: 'all',
      isFelt: true,
      strike: async (outage) => {
        await redis.kill();
        await outage.untilFelt();
        await redis.restart();
        return now();
      },
    },
    emptied: {
      name: 'back empty',
      keeps: 'later',
      isFelt: true,
      strike: async (outage) => {
        await redis.kill();
        await outage.untilFelt();
        await redis.restartEmpty();
        return now();
      },
    },
    rewound: {
      name: 'back with an older file',
      keeps: 'later',
      isFelt: true,
      strike: async (outage) => {
        await redis.snapshot();
        await outage.untilRead();
        await sleep(500);
        await redis.kill();
        await outage.untilFelt();
        await redis.restartRewound();
        return now();
      },
    },
    frozen: {
      name: `frozen for ${frozenMs / 1000} s`,
      keeps: 'all',
      isFelt: true,
      strike: async (outage) => {
        redis.freeze();
        const thawMs = now() + frozenMs;
        await outage.untilFelt();
        await sleep(Math.max(0, thawMs - now()));
        redis.thaw();
        return now();
      },
    },
    full: {
      name: 'full (maxmemory, noeviction)',
      keeps: 'all',
      isFelt: true,
      strike: async (outage) => {
        await redis.client.config('SET', 'maxmemory', '1mb');
        await outage.untilFelt();
        await sleep(500);
        await redis.client.config('SET', 'maxmemory', '0');
        return now();
      },
    },
    tailKilled: {
      name: 'CLIENT KILL of the tails',
      keeps: 'all',
      isFelt: false,
      strike: (outage) => killClients(redis, 'pubsub', outage),
    },
    commandsKilled: {
      name: 'CLIENT KILL of the commands',
      keeps: 'all',
      isFelt: false,
      strike: (outage) => killClients(redis, 'normal', outage),
    },
  } satisfies Record<string, Fault>;
  return faults;
}

/** Three times, each as soon as the nodes are connected again and something was published over it. */
async function killClients(redis: RedisServer, type: 'pubsub' | 'normal', outage: Outage): Promise<number> {
  const connected = async (): Promise<number> => {
    const list = String(await redis.client.call('CLIENT', ['LIST', 'TYPE', type]));
    return list.split('\n').filter((line) => line !== '').length;
  };
  const whole = await connected();
  for (let turn = 0; turn < 3; turn += 1) {
    await until(
      () => connected(),
      'the nodes to be connected again',
      (seen) => seen >= whole,
    );
    const killed = Number(await redis.client.call('CLIENT', ['KILL', 'TYPE', type, 'SKIPME', 'yes']));
    if (killed < 2) throw new Error(`CLIENT KILL found ${killed} connections of two nodes`);
    const before = outage.publisher.all.length;
    await until(
      () => outage.publisher.all.length,
      'a publish after the kill',
      (seen) => seen > before,
    );
  }
  return now();
}
