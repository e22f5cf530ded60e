/**
 * What the audit trail keeps of the deeds of operators, and how long. Each deed is a line of the log besides, which goes where
 * the operator keeps it: the trail is for looking, and ends.
 */
import type { AuditEntry } from '../../../schema/audit.ts';
import type { LeveledLogger } from '../../logger.ts';

/** Deeds that are kept, about; and of one author, so that one who does a great many keeps the others' in the trail. */
export const trailLimits = { entries: 10_000, ofOneAuthor: 2000 } as const;

const [toldChars, toldNames] = [4096, 20];

/** A change of a list of names as the trail tells it: both lists, or where they are long, what was added and removed. */
export function toldLists(before: readonly string[], after: readonly string[]) {
  if (JSON.stringify([before, after]).length <= toldChars) return { from: before, to: after };
  const [had, has] = [new Set(before), new Set(after)];
  const removed = before.filter((name) => !has.has(name));
  const added = after.filter((name) => !had.has(name));
  return {
    from: { names: before.length, removed: removed.length, first: removed.slice(0, toldNames) },
    to: { names: after.length, added: added.length, first: added.slice(0, toldNames) },
  };
}

export function logDeed(
  logger: LeveledLogger,
  { version, by, who, action, from, to, reason }: Omit<AuditEntry, 'at'>,
  what = 'the rules were changed',
): void {
  logger.info({ audit: { version, by, who, action, from: short(from), to: short(to), reason } }, what);
}

/** A line of the log is no place for long lists. */
function short(value: unknown): unknown {
  const json = JSON.stringify(value) ?? '';
  return json.length <= toldChars ? value : `${json.slice(0, 200)}…`;
}
