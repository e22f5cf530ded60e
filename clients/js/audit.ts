/** What the client reports of its own deliveries (docs/PROTOCOL.md, 10): one span of cursors without a break. */
import type { Envelope } from '../../schema/envelope.ts';
import type { Audit } from '../../schema/frames.ts';
import type { Place, Position } from './cursor.ts';

/** An empty span from `position` on; undefined while its place is not known. */
export function spanFrom(position: Position | undefined): Audit | undefined {
  if (position?.seq === undefined) return undefined;
  const { epoch, seq } = position;
  return { epoch, from: seq, to: seq, count: 0, sum: 0, repeats: 0 };
}

/** The span with what one frame brought: `fresh` went to the application, `repeats` were dropped. */
export function extended(span: Audit, place: Place, fresh: readonly Envelope[], repeats: number): Audit {
  return {
    ...span,
    to: Math.max(span.to, place.seq),
    count: span.count + fresh.length,
    sum: fresh.reduce((sum, { seq = 0 }) => sum + seq, span.sum),
    repeats: span.repeats + repeats,
  };
}
