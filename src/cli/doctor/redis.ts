/** What a Redis says about itself, judged as the place of the log and the rules. Pure. */
import { clockFinding } from './network.ts';
import { type Finding, findingsAbout } from '../findings.ts';
import { spanText } from '../spans.ts';

const testedVersion = '7.0.15';
const nearLimit = 0.8;
const slowMs = 20;

export interface RedisMeasurement {
  /** Where it is, without a password. */
  readonly place: string;
  /** The answer to INFO. */
  readonly info: string;
  /** Round trip of a small command, the median of some. */
  readonly latencyMs: number;
  /** Its clock minus ours. */
  readonly offsetMs: number;
}

export function redisFindings({ place, info, latencyMs, offsetMs }: RedisMeasurement): Finding[] {
  const fields = parseInfo(info);
  const slow = findingsAbout('redis latency').warning(
    `${spanText(latencyMs)}: every publish takes that longer`,
    'move the nodes and Redis together; see SLOWLOG and `redis-cli --latency`',
  );
  return [
    findingsAbout('redis').ok(`${place} answers in ${spanText(latencyMs)}`),
    ...(latencyMs > slowMs ? [slow] : []),
    versionFinding(fields),
    evictionFinding(fields),
    roleFinding(fields),
    persistenceFinding(fields),
    memoryFinding(fields),
    clockFinding('redis clock', 'Redis', offsetMs),
  ];
}

/** `name:value` lines; sections and blanks are skipped. */
const parseInfo = (info: string): Fields =>
  new Map(
    [...info.matchAll(/^([^#:\r\n][^:\r\n]*):(.*)$/gm)].map(([, name = '', value = '']) => [name, value]),
  );

type Fields = ReadonlyMap<string, string>;

/** Undefined where the field is missing or no number: a service may hide it. */
function numberOf(fields: Fields, name: string): number | undefined {
  const value = Number(fields.get(name) ?? Number.NaN);
  return Number.isFinite(value) ? value : undefined;
}

function versionFinding(fields: Fields): Finding {
  const { ok, warning } = findingsAbout('redis version');
  const version = fields.get('redis_version');
  if (version === undefined)
    return warning('not told', `Turnout is tested with ${testedVersion}: make sure it is as new`);
  if (!isOlder(version, testedVersion)) return ok(version);
  return warning(
    `${version} is older than ${testedVersion}, which Turnout is tested with`,
    'upgrade: before 7.0 a Cluster has no sharded pub/sub, before 6.2 streams cannot be trimmed by age',
  );
}

/** Compares by the numbers between the dots. */
export const isOlder = (version: string, than: string): boolean =>
  version.localeCompare(than, 'en', { numeric: true }) < 0;

function evictionFinding(fields: Fields): Finding {
  const { ok, warning, error } = findingsAbout('redis eviction');
  const policy = fields.get('maxmemory_policy');
  if (policy === 'noeviction') return ok('none: it refuses writes rather than drop what was acknowledged');
  if (policy === undefined) return warning('maxmemory-policy is not told', 'make sure that it is noeviction');
  return error(
    `maxmemory-policy is ${policy}: it drops acknowledged events and the rules`,
    'CONFIG SET maxmemory-policy noeviction, and in its configuration file',
  );
}

function roleFinding(fields: Fields): Finding {
  if (fields.get('loading') === '1')
    return findingsAbout('redis loading').warning('it is still reading its data', 'wait until it has');
  const { ok, error } = findingsAbout('redis role');
  if (fields.get('role') !== 'slave') return ok('takes writes');
  const master = `${fields.get('master_host') ?? '?'}:${fields.get('master_port') ?? '?'}`;
  const link = fields.get('master_link_status') ?? 'unknown';
  return error(
    `a read-only replica of ${master} (link ${link}): nothing can be published`,
    'point TURNOUT_REDIS_URL at the master, or use redis+sentinel:// so that it is followed',
  );
}

function persistenceFinding(fields: Fields): Finding {
  const { ok, warning, error } = findingsAbout('redis persistence');
  const aof = fields.get('aof_enabled');
  if (aof === undefined) return warning('not told', 'make sure that appendonly is yes');
  if (aof !== '1')
    return warning(
      'AOF is off: a Redis that ends takes acknowledged events with it',
      'CONFIG SET appendonly yes, and in its configuration file',
    );
  if (fields.get('aof_last_write_status') === 'err')
    return error('the last write to the AOF failed', 'is its disk full? see its log');
  return ok('AOF is on');
}

function memoryFinding(fields: Fields): Finding {
  const { ok, warning, error } = findingsAbout('redis memory');
  const used = numberOf(fields, 'used_memory');
  const limit = numberOf(fields, 'maxmemory') ?? 0;
  const room = limit > 0 ? limit : (numberOf(fields, 'total_system_memory') ?? 0);
  const whose = limit > 0 ? 'maxmemory' : "the machine's memory (maxmemory is not set)";
  if (used === undefined || room <= 0) return warning('not told', 'watch it by other means');
  const mebibytes = Math.round(room / 1024 / 1024);
  const share = `${Math.round((used / room) * 100)} % of ${mebibytes} MiB, ${whose}`;
  const next = 'give it more, or keep less: TURNOUT_RETENTION_MS, TURNOUT_RETENTION_EVENTS';
  if (used >= room) return error(`full: ${share}; publishes are refused`, next);
  return used >= nearLimit * room ? warning(`near its limit: ${share}`, next) : ok(share);
}
