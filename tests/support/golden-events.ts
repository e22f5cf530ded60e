/** What a backend publishes to make the golden frames of tests/golden/ws/v1.0, and the log that gives them their places. */
import type { PublishEvent } from '../../schema/envelope.ts';
import type { Clock } from '../../src/clock.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';

export const goldenOrg = 'acme';
export const goldenMs = Date.parse('2026-01-01T00:00:00.000Z');

/** By golden file, in the order to publish them: the first becomes seq 1. */
export const goldenEvents: Readonly<Record<string, PublishEvent>> = {
  '001-assistant_message-show_listings': {
    id: 'msg-0001',
    service: 'chat',
    type: 'assistant_message',
    thread_id: 'thread-7',
    agent: 'real_estate',
    in_reply_to: 'user-msg-1',
    meta: { trace: 'trace-0001' },
    payload: {
      text: 'I found 4 properties in Lisbon with two bedrooms or more, up to 450,000 EUR.',
      actions: [
        {
          type: 'show_listings',
          recommendations: [
            listing('lis-101', 'Two-bedroom flat with a balcony, Alfama', 389_000, 2, 78),
            listing('lis-102', 'Three-bedroom flat near the river, Belém', 445_000, 3, 104),
            listing('lis-103', 'Two-bedroom flat, renovated, Graça', 342_500, 2, 71),
            listing('lis-104', 'Two-bedroom duplex with a terrace, Campo de Ourique', 428_000, 2, 92),
          ],
        },
      ],
    },
  },
  '002-chat_status-typing': {
    id: 'status-0001',
    service: 'chat',
    type: 'chat_status',
    thread_id: 'thread-7',
    agent: 'real_estate',
    payload: { status: 'typing' },
  },
};

function listing(id: string, title: string, price: number, bedrooms: number, areaM2: number) {
  return { id, title, city: 'Lisbon', price, currency: 'EUR', bedrooms, area_m2: areaM2 };
}

/** A memory log whose epoch and tags are known beforehand. */
export function goldenLog(clock: Clock): EventLog {
  let tags = 0;
  return createMemoryLog({
    clock,
    retentionMs: 3_600_000,
    retentionEvents: 1000,
    retentionBytes: 1024 * 1024,
    newEpoch: () => 'golden-epoch',
    newTag: () => `tag${String(++tags).padStart(5, '0')}`,
  });
}
