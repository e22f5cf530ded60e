/** What the nodes of a fleet say of themselves, as Redis keeps it. */
import { z } from 'zod';
import type { KeyPrints } from '../../auth/key-prints.ts';
import { RedisScript } from '../../redis/script.ts';
import type { Connected } from '../rules/open-changes.ts';

/** A node silent for so long is no longer waited for. */
const silentMs = 5000;

const replySchema = z.tuple([z.number(), z.array(z.string()), z.array(z.string())]).rest(z.string());
const factsSchema = z.object({
  capped: z.array(z.string()),
  streams: z.int().min(0).default(0),
  polls: z.int().min(0).default(0),
  // A node of an older release tells none.
  prints: z.object({ signing: z.string().exactOptional(), ticket: z.string().exactOptional() }).default({}),
  run: z.string().exactOptional(),
});

/** A node as Redis last told of it. */
export interface Neighbour extends Connected {
  readonly version: number;
  /** Variables that hold it at long-poll. */
  readonly capped: readonly string[];
  readonly prints: KeyPrints;
}

/** Answers what `readNeighbours` reads. KEYS acks, nodes. */
export const nodesScript = RedisScript.read(import.meta.url, 'nodes', 'fleet-nodes');

/** The nodes that live, from the reply of lua/nodes.lua or lua/report.lua. */
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

/** The run that stood under the node's id before its report; undefined: none, or an older release's. */
export function runBefore(reportReply: unknown): string | undefined {
  const before = replySchema.parse(reportReply)[3] ?? '';
  return before === '' ? undefined : readTold(before).run;
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
