/** Drops what the application was given before under its own key: a producer's retry, which the log can't know as one. */
import type { Envelope } from '../../schema/envelope.ts';

const keysKept = 200;

export class ApplicationDedup {
  private readonly types: ReadonlySet<string>;
  private readonly seen = new Set<string>();

  /** @param types of the events that carry a key. */
  constructor(types: readonly string[] = ['assistant_message']) {
    this.types = new Set(types);
  }

  /** True where an event with this key was seen among the last 200. */
  isRepeat(event: Envelope): boolean {
    const key = this.types.has(event.type) ? keyOf(event) : undefined;
    if (key === undefined) return false;
    const wasSeen = this.seen.delete(key);
    this.seen.add(key);
    const [oldest] = this.seen;
    if (this.seen.size > keysKept && oldest !== undefined) this.seen.delete(oldest);
    return wasSeen;
  }
}

/** `thread_id:meta.trace`, else `thread_id:in_reply_to`, with the type; undefined where the event carries no key. */
function keyOf({ type, thread_id: thread, meta, in_reply_to: replyTo }: Envelope): string | undefined {
  const key = meta?.trace ?? replyTo;
  return key === undefined ? undefined : JSON.stringify([type, thread ?? '', key]);
}
