/**
 * Connections to Redis, made from one URL: a single server, a Cluster, or a master that Sentinels name. It knows no keys
 * and no scripts; whoever uses it decides what an error means. Commands are never queued while Redis is away: they fail.
 */
import { createRequire } from 'node:module';
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import { backoffMs } from '../async/retry.ts';
import { type Clock, pause } from '../clock.ts';
import { parseRedisUrl, type RedisTarget } from './url.ts';

/** What both kinds of client have in common here. Replies are strings, UTF-8. */
export interface RedisCommands {
  call(command: string, args: (string | number)[]): Promise<unknown>;
}

export interface RedisConnection {
  readonly target: RedisTarget;
  readonly commands: RedisCommands;
  /** Commands can be sent now. */
  readonly isReady: boolean;
  /** How the last connection failed, in the server's or the system's words; undefined: it did not. */
  readonly failure: string | undefined;
  /** Resolves once it is ready, or after `withinMs`, whichever comes first. */
  ready(withinMs: number): Promise<void>;
  /** On a Cluster `host:port` of the master that serves `key`'s slot, undefined while unknown; else one word for all. */
  ownerOf(key: string): string | undefined;
  /** On a Cluster: asks for the slots anew. */
  refreshOwners(): void;
  /**
   * A connection for subscribing, not yet connected, that reconnects by itself and resubscribes to nothing.
   * @param owner of `ownerOf`; absent on a Cluster: any node, for the pub/sub that all nodes hear.
   */
  openSubscriber(owner?: string): Redis;
  close(): void;
}

export interface RedisConnectionOptions {
  /** Of one of the forms that redis-url.ts tells. */
  readonly url: string;
  readonly clock: Clock;
  /** How long a command may take. */
  readonly timeoutMs: number;
  /** A connection failed; it heals itself. The error names no secret. */
  readonly onError: (error: Error) => void;
}

// Without the one option whose `undefined` ioredis's own constructors refuse.
type Options = Omit<RedisOptions, 'replyMapping'>;
type Shared = Omit<NonNullable<ClusterOptions['redisOptions']>, 'replyMapping'>;

/** ioredis hangs the command that failed on its error. */
type CommandFailure = Error & { readonly command?: { readonly name: string } };

/** What the kinds of Redis differ in. */
type Kind = Pick<RedisConnection, 'ownerOf' | 'refreshOwners' | 'openSubscriber'> & {
  readonly client: Redis | Cluster;
};

// A frozen server says nothing: its socket is given up after this much silence, over and above a command's own time.
const silenceMs = 3000;
const backoff = { firstMs: 50, maxMs: 1000 };
const slotsRefreshMs = 2000;
const require = createRequire(import.meta.url);
/** The hash slot of a key, as ioredis finds it. The package has no types. */
const slotOf = require('cluster-key-slot') as (key: string) => number;

/**
 * ioredis ends for good where its connection is called off before there is one: a failover that is told while it asks the
 * Sentinels for the master. This one ends only when it is told to.
 */
class LastingRedis extends Redis {
  isOver = false;

  override disconnect(reconnect = false): void {
    if (!reconnect) this.isOver = true;
    super.disconnect(reconnect);
  }
}

/** A command that found no connection: it says nothing of why there is none. */
export const wasNotSent = ({ message }: Error): boolean => message.includes("isn't writeable");

/** Opens at once, whether Redis is there or not: it goes on trying until `close`. @throws what `parseRedisUrl` throws */
export function openRedis({ url, clock, timeoutMs, onError }: RedisConnectionOptions): RedisConnection {
  const target = parseRedisUrl(url);
  let failure: string | undefined;
  const failed = (error: Error): void => {
    if (!wasNotSent(error)) failure = error.message;
    // Of a refused log-in the command is the password.
    Reflect.deleteProperty(error, 'command');
    onError(error);
  };
  const works = (): void => {
    failure = undefined;
  };
  const delay = (attempts: number): number => Math.ceil(backoffMs(attempts, backoff, clock));
  const shared: Shared = {
    commandTimeout: timeoutMs,
    socketTimeout: timeoutMs + silenceMs,
    connectTimeout: timeoutMs + silenceMs,
    // A user with few rights would leave a refusal in the ACL log at every connection.
    disableClientInfo: true,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    // A master that was demoted: its connection must find the new one.
    reconnectOnError: (error) => error.message.includes('READONLY'),
    ...(target.username === undefined ? {} : { username: target.username }),
    ...(target.password === undefined ? {} : { password: target.password }),
    ...(target.isTls ? { tls: {} } : {}),
  };
  const connect = (more: Options): Redis => {
    const client = new LastingRedis({
      ...more,
      ...shared,
      // Else one Sentinel that says nothing would be waited for, and no other asked.
      sentinelCommandTimeout: timeoutMs,
      retryStrategy: delay,
      lazyConnect: true,
    });
    client.on('error', (error: CommandFailure) => {
      // ioredis would go on in database 0: another's, whose events and rules would be taken for ours.
      const isElsewhere = error.command?.name === 'select';
      failed(error);
      if (isElsewhere) client.disconnect(true);
    });
    client.on('ready', works);
    client.on('end', () =>
      clock.after(delay(1), () => {
        if (!client.isOver) client.connect().catch(() => undefined);
      }),
    );
    return client;
  };
  const { client, ...kind } =
    target.kind === 'cluster' ? openCluster(target, shared, delay, connect) : openMaster(target, connect);
  if (client instanceof Cluster) client.on('ready', works).on('error', failed).on('node error', failed);
  // Its failure is told by `error`; it tries again by itself.
  client.connect().catch(() => undefined);
  return {
    ...kind,
    target,
    commands: client,
    get isReady() {
      return client.status === 'ready';
    },
    get failure() {
      return failure;
    },
    ready: (withinMs) => untilReady(client, clock, withinMs),
    close: () => client.disconnect(),
  };
}

function openMaster(target: RedisTarget, connect: (more: Options) => Redis): Kind {
  const [address] = target.addresses;
  const where: Options =
    target.kind === 'sentinel'
      ? {
          sentinels: target.addresses.map(({ host, port }) => ({ host, port })),
          name: target.master,
          failoverDetector: true,
          enableTLSForSentinelMode: target.isTls,
          ...(target.isTls ? { sentinelTLS: {} } : {}),
          sentinelRetryStrategy: () => backoff.maxMs / 2,
          ...(target.sentinelPassword === undefined ? {} : { sentinelPassword: target.sentinelPassword }),
        }
      : { host: address?.host ?? '', port: address?.port ?? 0 };
  return {
    client: connect({ ...where, db: target.db, enableOfflineQueue: false }),
    ownerOf: () => 'single',
    refreshOwners: () => undefined,
    openSubscriber: () => connect({ ...where, db: target.db }),
  };
}

function openCluster(
  target: RedisTarget,
  shared: Shared,
  delay: (attempts: number) => number,
  connect: (more: Options) => Redis,
): Kind {
  const cluster = new Cluster(
    target.addresses.map(({ host, port }) => ({ host, port })),
    {
      redisOptions: shared,
      clusterRetryStrategy: delay,
      enableOfflineQueue: false,
      slotsRefreshInterval: slotsRefreshMs,
      // A few tries within a second: past that the caller is told.
      maxRedirections: 8,
      retryDelayOnFailover: 100,
      lazyConnect: true,
      // A certificate names hosts, which a look-up would turn into addresses.
      ...(target.isTls ? { dnsLookup: (address, callback) => callback(null, address) } : {}),
    },
  );
  const addressOf = (owner: string | undefined): Options => {
    const known = owner ?? cluster.slots[0]?.[0];
    const [first] = target.addresses;
    if (known === undefined) return { host: first?.host ?? '', port: first?.port ?? 0 };
    const colon = known.lastIndexOf(':');
    return { host: known.slice(0, colon), port: Number(known.slice(colon + 1)) };
  };
  return {
    client: cluster,
    ownerOf: (key) => cluster.slots[slotOf(key)]?.[0],
    refreshOwners: () => cluster.refreshSlotsCache(() => undefined),
    openSubscriber: (owner) => connect(addressOf(owner)),
  };
}

async function untilReady(client: Redis | Cluster, clock: Clock, withinMs: number): Promise<void> {
  if (client.status === 'ready') return;
  const ready = new AbortController();
  const onReady = (): void => ready.abort();
  client.once('ready', onReady);
  await pause(clock, withinMs, ready.signal);
  client.off('ready', onReady);
}
