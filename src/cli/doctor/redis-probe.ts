/** Asks Redis servers the few things that `doctor` judges. Writes nothing. */
import { type Clock, pause } from '../../clock.ts';
import { openRedis, type RedisConnection } from '../../redis/connections.ts';
import { isRefusal, missingRights } from '../../redis/rights.ts';
import { parseRedisUrl, type RedisTarget } from '../../redis/url.ts';
import { redisFindings } from './redis.ts';
import { type Finding, findingsAbout } from '../findings.ts';

const timeoutMs = 3000;
const pings = 5;

/** One server, a Sentinel's master, or every node of a Cluster that the URL names. */
export async function redisUrlFindings(url: string, prefix: string, clock: Clock): Promise<Finding[]> {
  let urls: readonly string[];
  try {
    urls = serversOf(url);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : 'cannot be read';
    return [findingsAbout('settings').error(`TURNOUT_REDIS_URL ${why}`, 'such as redis://host:6379/0')];
  }
  return (await Promise.all(urls.map((one) => serverFindings(one, prefix, clock)))).flat();
}

/** Each node of a Cluster has its own memory, policy and disk, and a Cluster's connection asks any of them. */
function serversOf(url: string): readonly string[] {
  const target = parseRedisUrl(url);
  if (target.kind !== 'cluster') return [url];
  const [, scheme = '', auth = ''] = /^(rediss?)[^:]*:\/\/([^@/]*@)?/.exec(url.trim()) ?? [];
  return hostsOf(target).map((host) => `${scheme}://${auth}${host}`);
}

const hostsOf = ({ addresses }: RedisTarget): string[] =>
  addresses.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`);

/**
 * Runs `ask` once the connection is ready, or can't become so in time.
 * @param ask is given what went wrong so far, too, the first first
 */
export async function askRedis<T>(
  url: string,
  clock: Clock,
  ask: (connection: RedisConnection, problems: readonly string[]) => Promise<T>,
): Promise<T> {
  const problems: string[] = [];
  const failed = new AbortController();
  const onError = ({ message }: Error): void => {
    problems.push(message);
    failed.abort();
  };
  const connection = openRedis({ url, clock, timeoutMs, onError });
  try {
    // Of several Sentinels, or nodes of a Cluster, one may be away, and the next one answer.
    const isLast = connection.target.kind === 'single';
    await Promise.race([
      connection.ready(timeoutMs),
      pause(clock, timeoutMs, isLast ? failed.signal : undefined),
    ]);
    return await ask(connection, problems);
  } finally {
    connection.close();
  }
}

function serverFindings(url: string, prefix: string, clock: Clock): Promise<Finding[]> {
  return askRedis(url, clock, async (connection, problems) => {
    const { target, isReady } = connection;
    const hosts = hostsOf(target).join(',');
    const place = target.kind === 'sentinel' ? `${target.master} of the Sentinels ${hosts}` : hosts;
    try {
      // A server that awaits TLS, or none, says nothing to the other.
      if (!isReady) throw new Error(`no answer within ${timeoutMs / 1000} s`);
      const rights = rightsFinding(await missingRights(connection, prefix), prefix);
      try {
        return [...redisFindings({ place, ...(await measure(connection, clock)) }), rights];
      } catch (thrown) {
        // TIME or INFO is among what its user may not, and was told.
        if (isRefusal(thrown)) return [rights];
        throw thrown;
      }
    } catch (thrown) {
      const why = problems[0] ?? (thrown instanceof Error ? thrown.message : 'it failed');
      const next =
        'publishes are refused and reads wait until it can; check TURNOUT_REDIS_URL, rediss for TLS';
      return [findingsAbout('redis').error(`${place} cannot be asked: ${why}`, next)];
    }
  });
}

function rightsFinding(missing: readonly string[] | undefined, prefix: string): Finding {
  const { ok, warning, error } = findingsAbout('redis rights');
  if (missing === undefined)
    return warning('not told', 'docs/guides/redis.md says what its user must be allowed');
  if (missing.length === 0) return ok('its user may all that Turnout does');
  const cure = `ACL SETUSER … ~${prefix}:* &${prefix}:* ${missing.map((command) => `+${command}`).join(' ')}`;
  return error(`its user may not: ${missing.join(', ')}`, cure);
}

async function measure({ commands }: RedisConnection, clock: Clock) {
  const tripsMs: number[] = [];
  let offsetMs = 0;
  for (let turn = 0; turn < pings; turn += 1) {
    const startMs = clock.now();
    const started = clock.monotonic();
    const answer = await commands.call('TIME', []);
    const tripMs = clock.monotonic() - started;
    const [seconds, micros] = Array.isArray(answer) ? answer.map(Number) : [];
    // The quickest trip tells the clock best.
    if (tripsMs.every((before) => tripMs < before))
      offsetMs = (seconds ?? Number.NaN) * 1000 + (micros ?? 0) / 1000 - (startMs + tripMs / 2);
    tripsMs.push(tripMs);
  }
  const latencyMs = tripsMs.toSorted((one, other) => one - other)[Math.floor(pings / 2)] ?? 0;
  return { info: String(await commands.call('INFO', [])), latencyMs, offsetMs };
}
