/** What a log implementation brings to run the conformance suite, and the few words that the suite is written in. */
import { expect } from 'vitest';
import type { PublishEvent } from '../../schema/envelope.ts';
import type { ResetReason } from '../../schema/frames.ts';
import type { Position } from '../../src/log/cursor.ts';
import { type LogEntry, type PreparedEvent, prepareEvent } from '../../src/log/entry.ts';
import type { EventLog, ReadLimits, Start, TailMessage } from '../../src/log/event-log.ts';

export interface LogHarness {
  /** The log under test. Ask for it anew after `fork` and `loseEverything`: they may put another in its place. */
  readonly log: EventLog;
  /** The idempotency window that `log` was made with. It keeps 5,000 entries an org, for half a minute, at least. */
  readonly window: { readonly ms: number; readonly ids: number };
  /** Time passes, by the log's clock. */
  readonly advance: (ms: number) => Promise<void>;
  /**
   * Retention drops exactly the entries before `firstKept` (the head's seq + 1: all). The suite lets time pass before it
   * appends `firstKept`, so that this can be done by age.
   */
  readonly trim: (org: string, firstKept: number) => Promise<void>;
  /** A failover lost the entries after `seq`, and others took their places up to the same head. Nothing was trimmed. */
  readonly fork: (org: string, seq: number) => Promise<void>;
  /** Another log, which keeps so much of an org. */
  readonly bounded: (retention: {
    readonly retentionEvents?: number;
    readonly retentionBytes?: number;
  }) => Promise<EventLog>;
  /** The log comes back empty. */
  readonly loseEverything: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export type MakeHarness = () => Promise<LogHarness>;

export const roomy: ReadLimits = { maxEvents: 100_000, maxBytes: 256 * 1024 * 1024 };

export function event(id: string, fields: Partial<PublishEvent> = {}): PreparedEvent {
  return prepareEvent({ service: 'finance', type: 'revenue', payload: { id }, ...fields }, id);
}

/** `from`, `from + 1`, … `to` as ids and events. */
export function eventRun(from: number, to: number): PreparedEvent[] {
  return Array.from({ length: to - from + 1 }, (_, index) => event(`e${from + index}`));
}

export const fromCursor = (position: Position): Start => ({ at: 'cursor', position });
export const fromLastSeq = (seq: number, epoch?: string): Start =>
  epoch === undefined ? { at: 'lastSeq', seq } : { at: 'lastSeq', seq, epoch };

/** The place of the last of `entries`, or `from` where there is none. */
export function after(from: Position, entries: readonly LogEntry[]): Position {
  const last = entries.at(-1);
  return last === undefined ? from : { epoch: from.epoch, seq: last.seq, ms: last.ms, tag: last.tag };
}

export const seqsOf = (entries: readonly LogEntry[]): number[] => entries.map(({ seq }) => seq);
export const seqRun = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
export const bodyOf = ({ json }: { readonly json: Buffer }): Record<string, unknown> =>
  JSON.parse(json.toString('utf8')) as Record<string, unknown>;

/** A read that must be answered with entries. */
export async function page(log: EventLog, org: string, start: Start, limits: ReadLimits = roomy) {
  const answer = await log.read(org, start, limits);
  if (answer.kind !== 'page') throw new Error(`a page was due, not a reset: ${answer.reason}`);
  return answer;
}

/** Why a start no longer holds, once it is sure that the log's own head came with the answer; undefined if it does. */
export async function resetReason(
  log: EventLog,
  org: string,
  start: Start,
): Promise<ResetReason | undefined> {
  const answer = await log.read(org, start, roomy);
  expect(answer.head).toEqual((await page(log, org, { at: 'head' })).head);
  return answer.kind === 'reset' ? answer.reason : undefined;
}

/** A tail that keeps all it is told. */
export async function listen(log: EventLog, org: string) {
  const messages: TailMessage[] = [];
  const tail = await log.tail(org, (message) => messages.push(message));
  return {
    messages,
    entries: () => messages.flatMap((message) => (message.kind === 'appended' ? message.entries : [])),
    close: () => tail.close(),
  };
}
