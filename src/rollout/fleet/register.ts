/** Which nodes live and what they decide by, kept in Redis: each says so every second, and at once after new rules. */
import { z } from 'zod';
import { type CappedNode, cappedNodeSchema } from '../../../schema/admin.ts';
import type { KeyPrints } from '../../auth/key-prints.ts';
import { type Cancel, type Clock, pause } from '../../clock.ts';
import { RedisScript } from '../../redis/script.ts';
import type { Connected } from '../rules/open-changes.ts';
import type { RulesKeys, RulesRedis } from '../rules/redis.ts';
import type { Acknowledged, FleetNode } from './fleet.ts';
import { TwinWatch } from './twin-watch.ts';

const script = (file: string): RedisScript => RedisScript.read(import.meta.url, file, `fleet-${file}`);
const scripts = { report: script('report'), leave: script('leave') };
/** Answers what `readNeighbours` reads. */
export const nodesScript = script('nodes');

/** A node silent for so long is no longer waited for. */
const silentMs = 5000;
const forgetMs = 60_000;
const reportMs = 1000;
/** How soon a node says that others are connected to it now: windows are made from it. */
const lookHereMs = 200;
/** Time between two looks: short at first, because nodes take a millisecond or two. */
const lookMs = { first: 2, longest: 40, growth: 1.5 };

const replySchema = z.tuple([z.number(), z.array(z.string()), z.array(z.string())]);
const reportReplySchema = z.tuple([...replySchema.def.items, z.string()]);
const factsSchema = z.object({
  capped: z.array(z.string()),
  streams: z.int().min(0).default(0),
  polls: z.int().min(0).default(0),
  // A node of an older release tells none.
  prints: z.object({ signing: z.string().exactOptional(), ticket: z.string().exactOptional() }).default({}),
  run: z.string().exactOptional(),
});

export interface NodeRegisterParts extends FleetNode {
  readonly redis: RulesRedis;
  readonly keys: RulesKeys;
  readonly clock: Clock;
  /** Of the keys that all nodes must share: never the keys. */
  readonly prints: KeyPrints;
  /** Another living node has this one's id, or has no longer. */
  readonly onTwin: (isThere: boolean) => void;
}

/** A node as Redis last told of it. */
interface Neighbour extends Connected {
  readonly version: number;
  readonly capped: readonly string[];
  readonly prints: KeyPrints;
}

export class NodeRegister {
  private readonly parts: NodeRegisterParts;
  private readonly twin: TwinWatch;
  private neighbours: ReadonlyMap<string, Neighbour> = new Map();
  private applied = 0;
  private reporting: Promise<void> | undefined;
  private isStale = false;
  private told: Connected = { streams: 0, polls: 0 };
  private readonly stops: readonly Cancel[];

  /** Begins to report. */
  constructor(parts: NodeRegisterParts) {
    this.parts = parts;
    this.twin = new TwinWatch(parts.clock, parts.onTwin);
    this.report();
    const { clock, connectedHere } = parts;
    this.stops = [
      clock.every(reportMs, () => this.report()),
      clock.every(lookHereMs, () => {
        const { streams, polls } = connectedHere();
        if (streams !== this.told.streams || polls !== this.told.polls) this.report();
      }),
    ];
  }

  connected(): Connected {
    const { nodeId, connectedHere } = this.parts;
    let { streams, polls } = connectedHere();
    for (const [node, there] of this.neighbours) {
      if (node === nodeId) continue;
      streams += there.streams;
      polls += there.polls;
    }
    return { streams, polls };
  }

  acknowledge(version: number): void {
    this.applied = version;
    this.report();
  }

  /** The other nodes that lived when Redis was last asked. */
  get others(): readonly string[] {
    return [...this.neighbours.keys()].filter((node) => node !== this.parts.nodeId);
  }

  /** Asks Redis who lives. @throws what the client throws while Redis is away */
  async look(): Promise<void> {
    const { redis, keys } = this.parts;
    this.neighbours = readNeighbours(await redis.run(nodesScript, [keys.acks, keys.nodes], []));
  }

  /**
   * Resolves once every living node decides by `version` or newer, or after `withinMs`, or when Redis goes away: then with
   * those as laggards that lived when it was last asked.
   */
  async acknowledged(version: number, withinMs: number): Promise<Acknowledged> {
    try {
      await lookUntil(this.parts.clock, withinMs, async () => {
        await this.look();
        return this.known(version).laggards.length === 0;
      });
    } catch {
      // Counted where the store reads: what is known still names the nodes that have not answered.
    }
    return this.known(version);
  }

  /** The same from what is known here, without asking. */
  known(version: number): Acknowledged {
    const { nodeId, caps, prints, connectedHere } = this.parts;
    const all = new Map(this.neighbours);
    // This node knows itself best: what it has said may not have arrived.
    all.set(nodeId, { version: this.applied, capped: caps, prints, ...connectedHere() });
    const nodes = [...all].toSorted(([one], [other]) => (one < other ? -1 : 1));
    const capped: CappedNode[] = nodes
      .filter(([, node]) => node.capped.length > 0)
      .map(([node, { capped: variables }]) => cappedNodeSchema.parse({ node, variables }));
    return {
      acks: Object.fromEntries(nodes.map(([node, { version: acked }]) => [node, acked])),
      laggards: nodes.filter(([, { version: acked }]) => acked < version).map(([node]) => node),
      capped,
    };
  }

  /** Takes this node's name back, so that nobody waits for it. */
  async close(): Promise<void> {
    for (const stop of this.stops) stop();
    const { redis, keys, nodeId } = this.parts;
    await this.reporting;
    try {
      await redis.run(scripts.leave, [keys.acks, keys.nodes], [nodeId]);
    } catch {
      // Redis is away: the others stop waiting after `silentMs`.
    }
  }

  /** One report at a time; what has changed meanwhile is told by the next. */
  private report(): void {
    this.isStale = true;
    this.reporting ??= this.reportAll();
  }

  private async reportAll(): Promise<void> {
    const { redis, keys, nodeId, caps, prints, connectedHere } = this.parts;
    try {
      while (this.isStale) {
        this.isStale = false;
        this.told = connectedHere();
        const facts = JSON.stringify({ capped: caps, prints, run: this.twin.run, ...this.told });
        const args = [nodeId, String(this.applied), facts, String(forgetMs)];
        const reply = await redis.run(scripts.report, [keys.acks, keys.nodes], args);
        const [nowMs, acks, nodes, before] = reportReplySchema.parse(reply);
        this.neighbours = readNeighbours([nowMs, acks, nodes]);
        this.twin.reported(before === '' ? undefined : readTold(before).run);
      }
    } catch {
      // The next second reports again; the store's own reads say that Redis is away.
    } finally {
      this.reporting = undefined;
    }
  }
}

/** Looks until `isDone` says so, or until `withinMs` are over. @throws what `isDone` throws */
export async function lookUntil(
  clock: Clock,
  withinMs: number,
  isDone: () => Promise<boolean>,
): Promise<void> {
  const deadlineMs = clock.monotonic() + withinMs;
  for (let pauseMs: number = lookMs.first; !(await isDone()); ) {
    const leftMs = deadlineMs - clock.monotonic();
    if (leftMs <= 0) return;
    await pause(clock, Math.min(pauseMs, leftMs));
    pauseMs = Math.min(pauseMs * lookMs.growth, lookMs.longest);
  }
}

/** The nodes that live, from the reply of `nodesScript`. */
export function readNeighbours(reply: unknown): ReadonlyMap<string, Neighbour> {
  const [nowMs, acks, nodes] = replySchema.parse(reply);
  const versions = new Map(pairs(acks));
  const living = new Map<string, Neighbour>();
  for (const [node, told] of pairs(nodes)) {
    const { toldMs, run: _, ...facts } = readTold(told);
    if (nowMs - toldMs > silentMs) continue;
    living.set(node, { version: Number(versions.get(node) ?? 0), ...facts });
  }
  return living;
}

/** What a node said of itself, and when by Redis's clock. */
function readTold(told: string): z.output<typeof factsSchema> & { readonly toldMs: number } {
  const space = told.indexOf(' ');
  return {
    ...factsSchema.parse(JSON.parse(told.slice(space + 1))),
    toldMs: Number(told.slice(0, space)),
  };
}

function* pairs(flat: readonly string[]): Generator<[string, string]> {
  for (let at = 0; at + 1 < flat.length; at += 2) yield [flat[at] ?? '', flat[at + 1] ?? ''];
}
