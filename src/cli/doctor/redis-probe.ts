/** Asks Redis servers the few things that `doctor` judges. Writes nothing. */
import type { Clock } from '../../clock.ts';
import { openRedis, type RedisConnection } from '../../redis/connections.ts';
import { isRefusal, missingRights } from '../../redis/rights.ts';
import { parseRedisUrl } from '../../redis/url.ts';
import { redisFindings } from './redis.ts';
import { error, type Finding, ok, warning } from '../findings.ts';

const timeoutMs = 3000;
const pings = 5;

/** One server, a Sentinel's master, or every node of a Cluster that the URL names. */
export async function redisUrlFindings(url: string, prefix: string, clock: Clock): Promise<Finding[]> {
  let urls: readonly string[];
  try {
    urls = serversOf(url);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : 'cannot be read';
    return [error('settings', `TURNOUT_REDIS_URL ${why}`, 'such as redis://host:6379/0')];
  }
  return (await Promise.all(urls.map((one) => serverFindings(one, prefix, clock)))).flat();
}

/** Each node of a Cluster has its own memory, policy and disk, and a Cluster's connection asks any of them. */
function serversOf(url: string): readonly string[] {
  const { kind, addresses } = parseRedisUrl(url);
  if (kind !== 'cluster') return [url];
  const [, scheme = '', auth = ''] = /^(rediss?)[^:]*:\/\/([^@/]*@)?/.exec(url.trim()) ?? [];
  return addresses.map(({ host, port }) => `${scheme}://${auth}${literal(host)}:${port}`);
}

const literal = (host: string): string => (host.includes(':') ? `[${host}]` : host);

async function serverFindings(url: string, prefix: string, clock: Clock): Promise<Finding[]> {
  const problems: string[] = [];
  let refused = (): void => undefined;
  const firstProblem = new Promise<void>((resolve) => {
    refused = resolve;
  });
  const onError = ({ message }: Error): void => {
    problems.push(message);
    refused();
  };
  const connection = openRedis({ url, clock, timeoutMs, onError });
  const { kind, addresses, master } = connection.target;
  const hosts = addresses.map(({ host, port }) => `${literal(host)}:${port}`).join(',');
  const place = kind === 'sentinel' ? `${master} of the Sentinels ${hosts}` : hosts;
  try {
    // Of several Sentinels one may be away, and the next one answer.
    const isOver = kind === 'sentinel' ? [] : [firstProblem];
    await Promise.race([connection.ready(timeoutMs), ...isOver]);
    // A server that awaits TLS, or none, says nothing to the other.
    if (!connection.isReady) throw new Error(`no answer within ${timeoutMs / 1000} s`);
    const missing = await missingRights(connection, prefix);
    const findings = [rightsFinding(missing, prefix)];
    try {
      return [...redisFindings({ place, ...(await measure(connection, clock)) }), ...findings];
    } catch (thrown) {
      // TIME or INFO is among what its user may not, and was told.
      if (isRefusal(thrown)) return findings;
      throw thrown;
    }
  } catch (thrown) {
    const why = problems[0] ?? (thrown instanceof Error ? thrown.message : 'it failed');
    return [
      error(
        'redis',
        `${place} cannot be asked: ${why}`,
        'publishes are refused and reads wait until it can; check TURNOUT_REDIS_URL, rediss for TLS',
      ),
    ];
  } finally {
    connection.close();
  }
}

function rightsFinding(missing: readonly string[] | undefined, prefix: string): Finding {
  if (missing === undefined)
    return warning('redis rights', 'not told', 'docs/guides/redis.md says what its user must be allowed');
  if (missing.length === 0) return ok('redis rights', 'its user may all that Turnout does');
  return error(
    'redis rights',
    `its user may not: ${missing.join(', ')}`,
    `ACL SETUSER … ~${prefix}:* &${prefix}:* ${missing.map((command) => `+${command}`).join(' ')}`,
  );
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
