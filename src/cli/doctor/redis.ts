/** What a Redis says about itself, judged as the place of the log and the rules. Pure. */
import { clockFinding } from './network.ts';
import { error, type Finding, ok, warning } from '../findings.ts';
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
  return [
    ok('redis', `${place} answers in ${spanText(latencyMs)}`),
    ...(latencyMs > slowMs
      ? [
          warning(
            'redis latency',
            `${spanText(latencyMs)}: every publish takes that longer`,
            'move the nodes and Redis together; see SLOWLOG and `redis-cli --latency`',
          ),
        ]
      : []),
    versionFinding(fields),
    evictionFinding(fields),
    ...roleFindings(fields),
    ...persistenceFindings(fields),
    memoryFinding(fields),
    clockFinding('redis clock', 'Redis', offsetMs),
  ];
}

/** `name:value` lines; sections and blanks are skipped. */
function parseInfo(info: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of info.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0 && !line.startsWith('#')) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}

type Fields = ReadonlyMap<string, string>;

/** Undefined where the field is missing or no number: a service may hide it. */
function numberOf(fields: Fields, name: string): number | undefined {
  const value = Number(fields.get(name) ?? Number.NaN);
  return Number.isFinite(value) ? value : undefined;
}

function versionFinding(fields: Fields): Finding {
  const version = fields.get('redis_version');
  if (version === undefined)
    return warning(
      'redis version',
      'not told',
      `Turnout is tested with ${testedVersion}: make sure it is as new`,
    );
  if (!isOlder(version, testedVersion)) return ok('redis version', version);
  return warning(
    'redis version',
    `${version} is older than ${testedVersion}, which Turnout is tested with`,
    'upgrade: before 7.0 a Cluster has no sharded pub/sub, before 6.2 streams cannot be trimmed by age',
  );
}

export function isOlder(version: string, than: string): boolean {
  const [one, other] = [version, than].map((text) =>
    text.split('.').map((part) => Number.parseInt(part, 10) || 0),
  );
  for (let place = 0; place < 3; place += 1) {
    const difference = (one?.[place] ?? 0) - (other?.[place] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

function evictionFinding(fields: Fields): Finding {
  const policy = fields.get('maxmemory_policy');
  if (policy === 'noeviction')
    return ok('redis eviction', 'none: it refuses writes rather than drop what was acknowledged');
  const next = 'CONFIG SET maxmemory-policy noeviction, and in its configuration file';
  if (policy === undefined)
    return warning('redis eviction', 'maxmemory-policy is not told', 'make sure that it is noeviction');
  return error(
    'redis eviction',
    `maxmemory-policy is ${policy}: it drops acknowledged events and the rules`,
    next,
  );
}

function roleFindings(fields: Fields): Finding[] {
  if (fields.get('loading') === '1')
    return [warning('redis loading', 'it is still reading its data', 'wait until it has')];
  if (fields.get('role') !== 'slave') return [ok('redis role', 'takes writes')];
  const master = `${fields.get('master_host') ?? '?'}:${fields.get('master_port') ?? '?'}`;
  const link = fields.get('master_link_status') ?? 'unknown';
  return [
    error(
      'redis role',
      `a read-only replica of ${master} (link ${link}): nothing can be published`,
      'point TURNOUT_REDIS_URL at the master, or use redis+sentinel:// so that it is followed',
    ),
  ];
}

function persistenceFindings(fields: Fields): Finding[] {
  const aof = fields.get('aof_enabled');
  if (aof === undefined)
    return [warning('redis persistence', 'not told', 'make sure that appendonly is yes')];
  if (aof !== '1')
    return [
      warning(
        'redis persistence',
        'AOF is off: a Redis that ends takes acknowledged events with it',
        'CONFIG SET appendonly yes, and in its configuration file',
      ),
    ];
  if (fields.get('aof_last_write_status') === 'err')
    return [error('redis persistence', 'the last write to the AOF failed', 'is its disk full? see its log')];
  return [ok('redis persistence', 'AOF is on')];
}

function memoryFinding(fields: Fields): Finding {
  const used = numberOf(fields, 'used_memory');
  const limit = numberOf(fields, 'maxmemory') ?? 0;
  const machine = numberOf(fields, 'total_system_memory') ?? 0;
  const room = limit > 0 ? limit : machine;
  const whose = limit > 0 ? 'maxmemory' : "the machine's memory (maxmemory is not set)";
  if (used === undefined || room <= 0) return warning('redis memory', 'not told', 'watch it by other means');
  const share = `${Math.round((used / room) * 100)} % of ${mebibytes(room)} MiB, ${whose}`;
  const next = 'give it more, or keep less: TURNOUT_RETENTION_MS, TURNOUT_RETENTION_EVENTS';
  if (used >= room) return error('redis memory', `full: ${share}; publishes are refused`, next);
  return used >= nearLimit * room
    ? warning('redis memory', `near its limit: ${share}`, next)
    : ok('redis memory', share);
}

const mebibytes = (bytes: number): number => Math.round(bytes / 1024 / 1024);
