/** Whether the nodes that live have the keys of this node's settings, by what each tells of itself in Redis. */
import type { Clock } from '../../clock.ts';
import type { Config } from '../../config/config.ts';
import { type KeyPrints, keyPrints, sharedTicketKey } from '../../auth/key-prints.ts';
import { openRedis } from '../../redis/connections.ts';
import { nodesScript, readNeighbours } from '../../rollout/fleet/nodes.ts';
import { rulesKeys } from '../../rollout/rules/redis.ts';
import { error, type Finding, ok, warning } from '../findings.ts';

const timeoutMs = 3000;
const about = 'fleet keys';

/** What the nodes that live say of themselves, by node id. */
export type FleetPrints = ReadonlyMap<string, { readonly prints: KeyPrints }>;

/** A Redis that is away is told by its own findings: nothing is said twice. */
export async function fleetFindings(config: Config, clock: Clock): Promise<Finding[]> {
  const { TURNOUT_REDIS_URL: url, TURNOUT_REDIS_PREFIX: prefix } = config;
  if (url === undefined) return [];
  let giveUp = (): void => undefined;
  const isAway = new Promise<void>((resolve) => {
    giveUp = resolve;
  });
  const connection = openRedis({ url, clock, timeoutMs, onError: () => giveUp() });
  // Of several Sentinels, or nodes of a Cluster, one may be away.
  const isOver = connection.target.kind === 'single' ? [isAway] : [];
  try {
    await Promise.race([connection.ready(timeoutMs), ...isOver]);
    if (!connection.isReady) return [];
    const keys = rulesKeys(prefix);
    const reply = await connection.commands.call('EVAL', [nodesScript.lua, 2, keys.acks, keys.nodes]);
    return printFindings(keyPrints(config), readNeighbours(reply));
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : 'it failed';
    const next = 'compare the fingerprints above with those that `turnout doctor` shows on each node';
    return [warning(about, `could not be compared: ${why}`, next)];
  } finally {
    connection.close();
  }
}

const kinds = [
  {
    key: 'signing',
    name: 'signing key',
    harm: "each refuses the other's tokens",
    next: 'the same TURNOUT_JWT_SECRET (or _PUBLIC_KEY, TURNOUT_JWKS_URL, TURNOUT_AUTH_URL) on every node; restart the one that is wrong',
  },
  {
    key: 'ticket',
    name: 'ticket key',
    harm: "each refuses the other's tickets, and so streams",
    next: 'the same TURNOUT_TICKET_SECRET on every node, or none on any; restart the one that is wrong',
  },
] as const;

/** Compares this node's prints with those of each node that tells its own: one of an older release tells none. */
function printFindings(own: KeyPrints, fleet: FleetPrints): Finding[] {
  const found: Finding[] = [];
  for (const [node, { prints }] of fleet)
    for (const { key, name, harm, next } of kinds) {
      const [ours, theirs] = [own[key], prints[key]];
      if (ours === undefined || theirs === undefined || ours === theirs) continue;
      const message = `${name} of ${node} is ${shown(theirs)}, these settings' is ${shown(ours)}: ${harm}`;
      found.push(error(about, message, next));
    }
  if (found.length > 0) return found;
  const compared = [...fleet.values()].filter(({ prints }) => prints.signing !== undefined).length;
  if (own.signing === undefined || compared === 0) return [ok(about, 'no node lives to compare keys with')];
  return [ok(about, `alike on the nodes that live (${compared})`)];
}

const shown = (print: string): string => (print === sharedTicketKey ? 'the one shared in Redis' : print);
