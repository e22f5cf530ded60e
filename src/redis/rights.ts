/**
 * What Turnout needs to be allowed in Redis: each command and why, as data for the guide, the start of a node and
 * `turnout doctor`. Asks Redis which of them its user lacks; touches no key for it.
 */
import type { Cancel, Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { RedisConnection } from './connections.ts';

export interface RedisRight {
  /** As an ACL names it. */
  readonly command: string;
  readonly why: string;
  /** What follows the command in one that is typical, `KEY` and `CHANNEL` standing for names under the prefix. */
  readonly sample: readonly string[];
}

const right = (command: string, why: string, ...sample: readonly string[]): RedisRight => ({
  command,
  why,
  sample,
});

/** Of every Redis. */
export const redisRights: readonly RedisRight[] = [
  right('eval', 'teaches Redis a script that it does not know yet', 'return 1', '0'),
  right(
    'evalsha',
    'every append, read, lease of a bridge and change of the rules is a script',
    '0'.repeat(40),
    '0',
  ),
  right('time', "append times are Redis's own; clocks are compared by it"),
  right('info', 'asked once a connection: is it still loading; and by `turnout doctor`'),
  right(
    'get',
    'the key of tickets, long claims of theirs, leases of bridges, whether a question is still waited for',
    'KEY',
  ),
  right(
    'set',
    'the key of tickets, long claims of theirs, leases of bridges, a sign of life each second, questions to the nodes',
    'KEY',
    '1',
  ),
  right('del', 'answers of nodes that were gathered, leases that are given back', 'KEY'),
  right('unlink', 'known ids that are too old, what is left of an org whose log was lost', 'KEY'),
  right('pexpire', 'the end of what nobody uses any more', 'KEY', '1'),
  right('hget', 'the rules, how far a bridge is', 'KEY', 'f'),
  right(
    'hset',
    "a log's head, the ids that it knows, the rules, nodes, how far a bridge is",
    'KEY',
    'f',
    'v',
  ),
  right('hmget', "a log's head, the ids that it knows", 'KEY', 'f'),
  right('hgetall', 'the nodes that live and what they decide by', 'KEY'),
  right('hlen', 'how many ids a log knows', 'KEY'),
  right('hdel', 'nodes that have ended', 'KEY', 'f'),
  right('xadd', 'appends an event; a line of the audit trail', 'KEY', '*', 'f', 'v'),
  right('xrange', 'reads events', 'KEY', '-', '+'),
  right('xrevrange', 'reads the audit trail', 'KEY', '+', '-'),
  right('xdel', "the audit trail: an author's oldest entries, past their share", 'KEY', '0-1'),
  right('xtrim', 'retention', 'KEY', 'MAXLEN', '~', '1'),
  right('rpush', "a node's answer to another one's question", 'KEY', 'v'),
  right('lrange', 'the same, gathered', 'KEY', '0', '-1'),
  right('publish', 'tells the nodes what was appended, and new rules', 'CHANNEL', 'm'),
  right('subscribe', 'hears it', 'CHANNEL'),
  right('unsubscribe', 'hears an org no more that nobody reads', 'CHANNEL'),
];

/** Of a Cluster besides. */
const clusterRights: readonly RedisRight[] = [
  right('cluster|slots', 'which master has which keys'),
  right('spublish', 'tells the nodes what was appended', 'CHANNEL', 'm'),
  right('ssubscribe', 'hears it', 'CHANNEL'),
  right('sunsubscribe', 'hears an org no more that nobody reads', 'CHANNEL'),
];

/** What the user of the connection lacks; undefined: this Redis can't tell (before 7.0). */
export type RightsAnswer = readonly string[] | undefined;

/**
 * KEYS none. ARGV a JSON list of commands, each a list of words.
 * Returns nil where Redis is too old to be asked, else the places in the list, from 1, of those that are refused.
 */
const askLua = `
if not redis.acl_check_cmd then return nil end
local refused = {}
for at, words in ipairs(cjson.decode(ARGV[1])) do
  local known, isAllowed = pcall(redis.acl_check_cmd, unpack(words))
  if known and not isAllowed then refused[#refused + 1] = at end
end
return refused`;

/** @throws whatever the connection says, but for a refusal */
export async function missingRights(
  { commands, target }: Pick<RedisConnection, 'commands' | 'target'>,
  prefix: string,
): Promise<RightsAnswer> {
  const rights = target.kind === 'cluster' ? [...redisRights, ...clusterRights] : redisRights;
  const name = `${prefix}:{!rights}:probe`;
  const words = rights.map(({ command, sample }) => [
    ...command.split('|'),
    ...sample.map((word) => (word === 'KEY' || word === 'CHANNEL' ? name : word)),
  ]);
  try {
    const reply = await commands.call('EVAL', [askLua, 0, JSON.stringify(words)]);
    if (!Array.isArray(reply)) return undefined;
    return reply.map((at) => rights[Number(at) - 1]?.command ?? '');
  } catch (error) {
    // Without it the others can't be asked for.
    if (isRefusal(error)) return ['eval'];
    throw error;
  }
}

export const isRefusal = (error: unknown): boolean =>
  error instanceof Error && error.message.startsWith('NOPERM');

const rightsText = (missing: readonly string[]): string =>
  `the Redis user may not ${missing.join(', ')} under the prefix (docs/guides/redis.md)`;

const lookMs = 30_000;

interface RightsWatchOptions {
  readonly redis: RedisConnection;
  readonly prefix: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Looks at start and now and then: a right that is taken away is told before somebody misses it. */
export class RightsWatch {
  private missing: readonly string[] = [];
  private readonly stop: Cancel;

  constructor(private readonly options: RightsWatchOptions) {
    this.stop = options.clock.every(lookMs, () => void this.look());
  }

  /** Looks once. Never rejects. */
  async look(): Promise<void> {
    const { redis, prefix, logger } = this.options;
    try {
      const missing = (await missingRights(redis, prefix)) ?? [];
      const isNews = missing.join() !== this.missing.join();
      this.missing = missing;
      if (isNews && missing.length > 0) logger.error({ missing }, rightsText(missing));
    } catch {
      // It is away, and the log's health says so.
    }
  }

  /** For `/readyz`; empty where nothing is missing. */
  get detail(): string {
    return this.missing.length === 0 ? '' : rightsText(this.missing);
  }

  close(): void {
    this.stop();
  }
}
