/** One run of the heart over two gateways and one Redis, as long as its test wants. Leaves nothing running. */
import { Heart } from './heart.ts';
import { Phoenix, Storm } from './heart-storm.ts';
import { testRandom } from './random.ts';
import { RedisServer } from './redis.ts';
import { startProxy } from './tcp-proxy.ts';

export interface HeartRun {
  /** Clients whose list is not what was published, each with what it lacks. */
  readonly incomplete: readonly string[];
  readonly resets: readonly string[];
  /** The log gave each event a seq of its own, without holes. */
  readonly isLogWhole: boolean;
  readonly counts: ReturnType<Heart['counts']>;
  readonly storm: Storm['counts'];
}

export async function runOnTwoNodes(forMs: number): Promise<HeartRun> {
  const random = testRandom('heart');
  const redis = await RedisServer.start({ appendOnly: true });
  const settings = { TURNOUT_REDIS_URL: redis.url, TURNOUT_REDIS_TIMEOUT_MS: '1000' };
  const nodes = await Promise.all([Phoenix.start(settings), Phoenix.start(settings)]);
  const proxy = await startProxy(...nodes.map(({ url }) => url));
  const heart = new Heart(proxy.url, random);
  try {
    await heart.join(200, 50);
    const cutTails = async () => Number(await redis.client.call('CLIENT', ['KILL', 'TYPE', 'pubsub']));
    const storm = new Storm({ nodes, proxy, random, forMs, restarts: true, cutTails });
    return await pulse(heart, storm);
  } finally {
    await heart.stop();
    await proxy.close();
    await Promise.all(nodes.map((node) => node.kill()));
    await redis.stop();
  }
}

/** 300 events a second through the storm; then everybody gets the time to have everything. */
export async function pulse(heart: Heart, storm: Storm): Promise<HeartRun> {
  let isOver = false;
  const publishing = heart.publishUntil(() => isOver);
  await storm.rage().finally(() => {
    isOver = true;
  });
  await publishing;
  const incomplete = await heart.incomplete();
  const counts = heart.counts();
  console.log(`heart: ${JSON.stringify({ ...counts, ...storm.counts })}`);
  return {
    incomplete,
    resets: heart.members.flatMap(({ user, resets }) => resets.map((reason) => `${user} ${reason}`)),
    isLogWhole: heart.backends.every(({ isWhole }) => isWhole),
    counts,
    storm: storm.counts,
  };
}
