/**
 * A place in an org's log, and its form on the wire: the cursor. It names epoch, seq, append time and the random tag of
 * the entry there, so that a forked or restored log is noticed. Opaque to clients; only this file reads or writes one.
 */
import { limits } from '../../schema/codes.ts';
import { fail } from '../errors.ts';

export interface Position {
  /** The log's incarnation. */
  readonly epoch: string;
  /** The last seq that was seen; 0 is before the first. */
  readonly seq: number;
  /** Append time of the entry at `seq`, Unix milliseconds; 0 at seq 0. With `seq` it is the entry's id in Redis. */
  readonly ms: number;
  /** The random tag of the entry at `seq`; empty at seq 0. */
  readonly tag: string;
}

/** The place before the first entry of an epoch. */
export const origin = (epoch: string): Position => ({ epoch, seq: 0, ms: 0, tag: '' });

/** The place of an entry of that epoch. */
export const placeOf = (epoch: string, { seq, ms, tag }: Omit<Position, 'epoch'>): Position => ({
  epoch,
  seq,
  ms,
  tag,
});

/** The same entry of the same history; its time follows from that. */
export const isSamePlace = (a: Position, b: Position): boolean =>
  a.seq === b.seq && a.tag === b.tag && a.epoch === b.epoch;

const form = /^1\.([A-Za-z0-9_-]{1,32})\.([0-9a-z]{1,11})\.([0-9a-z]{1,11})\.([A-Za-z0-9_-]{0,16})$/;

/** `1.<epoch>.<seq in base 36>.<ms in base 36>.<tag>`: at most 76 characters, all URL-safe. */
export function encodeCursor(at: Position): string {
  return `1.${at.epoch}.${at.seq.toString(36)}.${at.ms.toString(36)}.${at.tag}`;
}

/** @throws bad_cursor when `text` was not made by `encodeCursor`. */
export function decodeCursor(text: string): Position {
  const parts = text.length <= limits.cursorChars ? form.exec(text) : null;
  if (parts === null) throw fail('bad_cursor');
  const [, epoch = '', seqText = '', msText = '', tag = ''] = parts;
  const seq = Number.parseInt(seqText, 36);
  const ms = Number.parseInt(msText, 36);
  const isWhole = Number.isSafeInteger(seq) && Number.isSafeInteger(ms);
  if (!isWhole || (seq === 0) !== (tag === '')) throw fail('bad_cursor');
  const position = { epoch, seq, ms, tag };
  // One place has one form: a number with leading zeros is not ours.
  if (encodeCursor(position) !== text) throw fail('bad_cursor');
  return position;
}
