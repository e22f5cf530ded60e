/** What following a stream is made of, whatever carries it: where to begin, and what comes of it. */
import { codes } from '../../schema/codes.ts';
import type { Envelope } from '../../schema/envelope.ts';
import type { ResetReason } from '../../schema/frames.ts';
import type { GatewayClient } from './gateway-client.ts';
import type { Terminal } from './terminal.ts';

/** Where to begin: from now on, from all that is kept, after a seq, or where a cursor stands. */
export type Position =
  | { readonly at: 'now' | 'earliest' }
  | { readonly at: 'seq'; readonly seq: number }
  | { readonly at: 'cursor'; readonly cursor: string };

export interface Batch {
  /** In seq order; those without a seq are ephemeral. */
  readonly events: readonly Envelope[];
  /** Everything up to here has been handed over, this batch included. Absent: the one before stands. */
  readonly cursor?: string;
  /** The position that was asked for is no longer served; the cursor is where it goes on. */
  readonly reset?: ResetReason;
  /** Something that the reader should know. */
  readonly note?: string;
}

/** The close code that says: this user's transport is long-poll. */
export const notAssigned = codes.transport_not_assigned.close;

export interface FollowOptions {
  readonly client: GatewayClient;
  readonly services: readonly string[];
  readonly terminal: Terminal;
}

/** `earliest`, a seq, a cursor; undefined: now. */
export function parsePosition(text: string | undefined): Position {
  if (text === undefined || text === 'now') return { at: 'now' };
  if (text === 'earliest') return { at: 'earliest' };
  return /^\d{1,15}$/.test(text) ? { at: 'seq', seq: Number(text) } : { at: 'cursor', cursor: text };
}
