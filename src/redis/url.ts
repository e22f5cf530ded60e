/**
 * The URLs that name a Redis, and what they say.
 *
 *   redis://user:password@host:6379/0                      one server; `rediss://` with TLS
 *   redis+cluster://user:password@host:7000,host:7001      a Cluster, by some of its nodes; `rediss+cluster://`
 *   redis+sentinel://user:password@host:26379,host:26380/mymaster/0?sentinelPassword=…    `rediss+sentinel://`
 *
 * Name and password are the data servers', percent-encoded; a port that is left out is 6379, a Sentinel's 26379. A list
 * of hosts without `+sentinel` is a Cluster's.
 */
interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

export interface RedisTarget {
  readonly kind: 'single' | 'cluster' | 'sentinel';
  readonly addresses: readonly RedisAddress[];
  readonly isTls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly db: number;
  /** Ends the name of every channel: a server's pub/sub is one for all its databases. */
  readonly channelEnd: string;
  /** Sentinel: the name of the master's group, and the Sentinels' own password. */
  readonly master: string;
  readonly sentinelPassword: string | undefined;
}

const form = /^(rediss?)(\+cluster|\+sentinel)?:\/\/(?:([^@/]*)@)?([^/?@]+)((?:\/[^/?]*)*)(?:\?(.*))?$/;

/** @throws Error that says what is wrong, without the URL: it may hold a password. */
export function parseRedisUrl(url: string): RedisTarget {
  const parts = form.exec(url.trim());
  if (parts === null) throw new Error('must be a redis URL');
  const [, scheme = '', variant, auth = '', hosts = '', path = '', query] = parts;
  const isList = hosts.includes(',');
  const kind = variant === '+sentinel' ? 'sentinel' : variant === '+cluster' || isList ? 'cluster' : 'single';
  const colon = auth.indexOf(':');
  const segments = path.split('/').filter((segment) => segment !== '');
  const [master = '', dbText = '0'] = kind === 'sentinel' ? segments : ['', ...segments];
  if (kind === 'sentinel' && master === '') throw new Error('must name the master: …/mymaster');
  if (!/^\d{1,5}$/.test(dbText)) throw new Error('must name a database by number');
  if (kind === 'cluster' && Number(dbText) > 0) throw new Error('must name no database: a Cluster has one');
  return {
    kind,
    addresses: hosts.split(',').map((host) => parseAddress(host, kind === 'sentinel' ? 26_379 : 6379)),
    isTls: scheme === 'rediss',
    username: colon > 0 ? decodeURIComponent(auth.slice(0, colon)) : undefined,
    password: auth === '' ? undefined : decodeURIComponent(auth.slice(colon + 1)),
    db: Number(dbText),
    channelEnd: Number(dbText) === 0 ? '' : `:db-${Number(dbText)}`,
    master: decodeURIComponent(master),
    sentinelPassword: new URLSearchParams(query).get('sentinelPassword') ?? undefined,
  };
}

function parseAddress(text: string, defaultPort: number): RedisAddress {
  const parts = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text);
  if (parts === null) throw new Error('must name hosts as host:port');
  const [, host = '', port = defaultPort] = parts;
  if (Number(port) < 1 || Number(port) > 65_535) throw new Error('must name ports from 1 to 65535');
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}
