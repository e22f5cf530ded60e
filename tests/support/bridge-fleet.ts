/**
 * Two nodes that bridge three sources under load: Redis streams, a Redis channel, an old long-poll API. All are real
 * processes; the fleet kills, pauses and restarts them, and keeps what was published to compare it with the log.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import { createRedisLog } from '../../src/log/redis-log.ts';
import { openRedis, type RedisConnection } from '../../src/redis/connections.ts';
import { bridgeProfile, pollSource, pubsubSource, streamSource } from './bridge-profiles.ts';
import { call } from './http-client.ts';
import { idsInLog } from './log-ids.ts';
import { type Gateway, startGateway } from './node-process.ts';
import { OldApi } from './old-api.ts';
import type { Random } from './random.ts';
import { RedisServer } from './redis.ts';
import { sleep, until } from './until.ts';

export const nodeIds = ['node-a', 'node-b'] as const;
export type NodeId = (typeof nodeIds)[number];
export const bridgeNames = ['streams', 'channel', 'polls'] as const;
export type BridgeName = (typeof bridgeNames)[number];

export const streamOrgs = ['stream-0', 'stream-1', 'stream-2'];
export const pollOrgs = ['poll-0', 'poll-1'];
export const channelOrg = 'channel-0';

interface ReadyBody {
  readonly bridges: readonly { readonly profile: string; readonly state: string; readonly leader: string }[];
}

export interface Published {
  readonly id: string;
  /** Who listened, as Redis counted when it was published. */
  readonly listeners: number;
}

export class BridgeFleet {
  readonly redis: RedisServer;
  readonly api: OldApi;
  readonly published: Published[] = [];
  readonly nodes = new Map<NodeId, Gateway>();
  /** Every process that there was. */
  private readonly runs: Gateway[] = [];
  private readonly folder: string;
  private readonly connection: RedisConnection;
  private readonly log: EventLog;
  private loads: Promise<void>[] = [];
  private isLoading = false;

  private constructor(redis: RedisServer, api: OldApi, folder: string) {
    this.redis = redis;
    this.api = api;
    this.folder = folder;
    const clock = systemClock;
    this.connection = openRedis({ url: redis.url, clock, timeoutMs: 5000, onError: () => undefined });
    this.log = createRedisLog({
      connection: this.connection,
      clock,
      prefix: 'turnout',
      nodeId: 'judge',
      timeoutMs: 5000,
      retentionMs: 3_600_000,
      retentionEvents: 1_000_000,
      retentionBytes: 256 * 1024 * 1024,
    });
  }

  static async start(): Promise<BridgeFleet> {
    const [redis, api, folder] = await Promise.all([
      RedisServer.start({ appendOnly: true }),
      OldApi.start(),
      mkdtemp(join(tmpdir(), 'turnout-bridge-')),
    ]);
    const sources = {
      streams: streamSource(redis.url),
      channel: pubsubSource(redis.url),
      polls: { ...pollSource(pollOrgs), url: `${api.url}/updates` },
    };
    for (const name of bridgeNames)
      await writeFile(join(folder, `${name}.json`), JSON.stringify(bridgeProfile(name, sources[name])));
    const fleet = new BridgeFleet(redis, api, folder);
    await fleet.connection.ready(5000);
    await Promise.all(nodeIds.map((nodeId) => fleet.startNode(nodeId)));
    await fleet.untilLed();
    return fleet;
  }

  async stop(): Promise<void> {
    await this.rest();
    for (const node of this.nodes.values()) {
      node.signal('SIGCONT');
      await node.kill();
    }
    await this.log.close();
    this.connection.close();
    await Promise.all([this.redis.stop(), this.api.stop(), rm(this.folder, { recursive: true })]);
  }

  async startNode(nodeId: NodeId): Promise<void> {
    const settings = {
      TURNOUT_REDIS_URL: this.redis.url,
      TURNOUT_NODE_ID: nodeId,
      TURNOUT_PROFILES: this.folder,
      TURNOUT_LOG_LEVEL: 'info',
    };
    const run = await startGateway(settings);
    this.runs.push(run);
    this.nodes.set(nodeId, run);
  }

  async killNode(nodeId: NodeId): Promise<void> {
    await this.nodes.get(nodeId)?.kill();
    this.nodes.delete(nodeId);
  }

  /**
   * How often a running node lost that bridge to the other: one that stalls for longer than its lease does, as on a machine
   * that is busy, or behind a Redis that waits for its disk.
   */
  losses(name: BridgeName): number {
    const losses = this.runs.flatMap(({ logs }) => {
      const drain = logs.findIndex(({ msg }) => msg === 'draining');
      const running = drain < 0 ? logs : logs.slice(0, drain);
      return running.filter(({ msg, profile }) => msg === 'this node bridges no longer' && profile === name);
    });
    return losses.length;
  }

  /** What the nodes that answer say: who leads which bridge. */
  async leaders(): Promise<Map<string, NodeId[]>> {
    const leaders = new Map<string, NodeId[]>();
    for (const [nodeId, node] of this.nodes) {
      const { body } = await call<ReadyBody>(`${node.url}/readyz`, {
        signal: AbortSignal.timeout(1000),
      }).catch(() => ({ body: { bridges: [] } }));
      for (const { profile, state } of body.bridges)
        if (state === 'leading') leaders.set(profile, [...(leaders.get(profile) ?? []), nodeId]);
    }
    return leaders;
  }

  async leaderOf(name: BridgeName): Promise<NodeId> {
    await this.untilLed();
    const leader = (await this.leaders()).get(name)?.[0];
    if (leader === undefined) throw new Error(`nobody bridges ${name}`);
    return leader;
  }

  /** Each bridge has one node, and its leader listens. */
  async untilLed(): Promise<void> {
    await until(async () => {
      const leaders = await this.leaders();
      const areLed = bridgeNames.every((name) => leaders.get(name)?.length === 1);
      return areLed && (await this.publish('probe')) > 0;
    }, 'one leader a bridge');
  }

  /** Publishes on all three, until `rest`. */
  load(random: Random): void {
    this.isLoading = true;
    const go = async (step: () => Promise<unknown>): Promise<void> => {
      while (this.isLoading) {
        // A source that is away takes nothing: what it has is asked of it in the end.
        await step().catch(() => undefined);
        await sleep(random.int(1, 12));
      }
    };
    this.loads = [
      ...streamOrgs.map((org) => go(() => this.stream(org, random.int(1, 4)))),
      ...pollOrgs.map((org) => go(async () => this.api.add(org, { text: 'x'.repeat(random.int(1, 300)) }))),
      go(() => this.publish('under load')),
    ];
  }

  async rest(): Promise<void> {
    this.isLoading = false;
    await Promise.all(this.loads.splice(0));
  }

  async stream(org: string, count: number): Promise<void> {
    const data = JSON.stringify({ org });
    for (let n = 0; n < count; n += 1)
      await this.redis.client.xadd(`old-stream:${org}`, '*', 'kind', 'update', 'data', data);
  }

  /** What the stream itself has: an XADD whose answer was lost may have happened or not. */
  async streamed(org: string): Promise<string[]> {
    return (await this.redis.client.xrange(`old-stream:${org}`, '-', '+')).map(([id]) => id);
  }

  /** @returns how many listened */
  async publish(text: string): Promise<number> {
    const id = `message-${this.published.length + 1}`;
    const at = this.published.push({ id, listeners: 0 }) - 1;
    const message = JSON.stringify({ id, kind: 'update', data: { text } });
    const listeners = await this.redis.client.publish(`old-channel:${channelOrg}`, message);
    this.published[at] = { id, listeners };
    return listeners;
  }

  ids(org: string): Promise<string[]> {
    return idsInLog(this.log, org);
  }

  /** Resolves once the logs have as many events as there were items, whichever they are. */
  async untilBridged(): Promise<void> {
    const wanted = new Map<string, number>();
    for (const org of streamOrgs) wanted.set(org, (await this.streamed(org)).length);
    for (const org of pollOrgs) wanted.set(org, this.api.of(org).length);
    for (const [org, count] of wanted)
      await until(
        async () => (await this.ids(org)).length,
        `${count} events of ${org}`,
        (seen) => seen >= count,
      );
    const last = this.published.at(-1)?.id ?? '';
    await until(async () => (await this.ids(channelOrg)).includes(last), `${last} of the channel`);
  }
}
