/** The rules document where it lies in Redis, and its audit trail: what the scripts are given, and what they answer. */
import { z } from 'zod';
import { type AuditEntry, auditEntrySchema, type TrailEntry } from '../../../schema/audit.ts';
import { RedisScript } from '../../redis/script.ts';
import type { RulesKeys, RulesRedis } from './redis.ts';
import { isKilled, type Rules, rulesSchema } from './rules.ts';
import { trailLimits } from './trail.ts';

const script = (file: string): RedisScript => RedisScript.read(import.meta.url, file, `rules-${file}`);
const scripts = {
  read: script('read'),
  change: script('change'),
  restore: script('restore'),
  note: script('note'),
  trail: script('trail'),
};
const trailArgs = [String(trailLimits.entries), String(trailLimits.ofOneAuthor)];

/** The document is left out where the node holds it. */
const readReply = z.tuple([z.number()], z.string());
const numberAndText = z.tuple([z.number(), z.string()]);
/** Ids and lines by turns. */
const trailReply = z.array(z.string());

/** Every call throws log_unavailable where Redis does not answer. */
export class RulesDocument {
  constructor(
    private readonly redis: Pick<RulesRedis, 'run'>,
    private readonly keys: RulesKeys,
  ) {}

  /** What stands there, for `storedRules`, and Redis's time; `json` is undefined where `held` stands: it isn't sent again. */
  async read(
    held: Rules | undefined,
  ): Promise<{ readonly nowMs: number; readonly json: string | undefined }> {
    const reply = await this.redis.run(scripts.read, [this.keys.document], marks(held));
    const [nowMs, json] = readReply.parse(reply);
    return { nowMs, json };
  }

  /**
   * Compare-and-set: writes `rules` and tells the nodes where `before` still stands (undefined: nothing does). Else the answer
   * holds what stands there.
   */
  async replace(before: Rules | undefined, rules: Rules, entry: AuditEntry) {
    const args = [
      ...marks(before),
      ...documentArgs(rules),
      JSON.stringify(entry),
      this.keys.changed,
      ...trailArgs,
    ];
    const keys = [this.keys.document, this.keys.audit, this.keys.auditOf(entry.who)];
    const reply = await this.redis.run(scripts.change, keys, args);
    const [isWritten, other] = numberAndText.parse(reply);
    return { isWritten: isWritten === 1, stored: storedRules(other) };
  }

  /** Writes `rules` again where older ones, or none, stand. @returns whether it did. */
  async putBack(rules: Rules): Promise<boolean> {
    const args = [...documentArgs(rules), this.keys.changed];
    return (await this.redis.run(scripts.restore, [this.keys.document], args)) === 1;
  }

  async note(line: AuditEntry): Promise<void> {
    const keys = [this.keys.audit, this.keys.auditOf(line.who)];
    await this.redis.run(scripts.note, keys, [JSON.stringify(line), ...trailArgs]);
  }

  /** Newest first. @param before the id of an entry: those that are older */
  async trail(limit: number, before?: string): Promise<readonly TrailEntry[]> {
    const args = [String(limit), before === undefined ? '+' : `(${before}`];
    const reply = trailReply.parse(await this.redis.run(scripts.trail, [this.keys.audit], args));
    const entries: TrailEntry[] = [];
    for (let at = 0; at + 1 < reply.length; at += 2)
      entries.push({ ...auditEntrySchema.parse(JSON.parse(reply[at + 1] ?? '')), id: reply[at] ?? '' });
    return entries;
  }
}

/** @throws what zod throws on a document that another kind of node wrote */
export const parseRules = (json: string): Rules => rulesSchema.parse(JSON.parse(json));

/** Undefined: nothing stands there. @throws as `parseRules` */
export const storedRules = (json: string): Rules | undefined => (json === '' ? undefined : parseRules(json));

/** What the scripts tell a document by. */
const marks = (rules: Rules | undefined): string[] =>
  rules === undefined ? ['', ''] : [String(rules.version), orderable(rules.nonce)];

const documentArgs = (rules: Rules): string[] => [
  ...marks(rules),
  isKilled(rules) ? '1' : '0',
  JSON.stringify(rules),
];

// Lua compares strings by the locale of its Redis; of hexadecimal digits every locale thinks alike, and as `isNewer` does.
const orderable = (nonce: string): string => Buffer.from(nonce).toString('hex');
