/** The SDK's small parts: waits, answers of HTTP, the application's keys. */
import { describe, expect, it } from 'vitest';
import type { Envelope } from '../../../schema/envelope.ts';
import { drawMs } from '../../../clients/js/backoff.ts';
import { verdictOfStatus } from '../../../clients/js/closes.ts';
import { ApplicationDedup } from '../../../clients/js/dedup.ts';

describe('waits', () => {
  it('spreads a base by ±20 %', () => {
    const delay = { baseMs: 1000, jitter: 0.2 };
    expect([0, 0.5, 0.999_999].map((random) => Math.round(drawMs(delay, random)))).toEqual([800, 1000, 1200]);
  });

  it('spreads what was asked for past it, never before', () => {
    const delay = { baseMs: 1000, jitter: 0.2, atLeastMs: 5000 };
    expect([0, 0.5].map((random) => Math.round(drawMs(delay, random)))).toEqual([5000, 5500]);
  });

  it('falls anywhere in a window', () => {
    expect([0, 0.25].map((random) => drawMs({ withinMs: 2000 }, random))).toEqual([0, 500]);
  });
});

describe('answers that are no success', () => {
  it.each([
    [401, 'reauth', 'reauth'],
    [503, 'backoff', 'backoff'],
    [409, 'now', 'window'],
    [403, 'never', 'never'],
    // Of something in between: no word of ours in the body.
    [401, undefined, 'reauth'],
    [403, undefined, 'never'],
    [404, undefined, 'backoff'],
    [502, undefined, 'backoff'],
  ] as const)('takes %i with %s for %s', (status, retry, verdict) => {
    expect(verdictOfStatus(status, retry)).toBe(verdict);
  });
});

describe('the application key', () => {
  const message = (trace: string | undefined, more: Partial<Envelope> = {}): Envelope => ({
    id: 'any',
    service: 'chat',
    type: 'assistant_message',
    timestamp: '2026-01-01T00:00:00.000Z',
    thread_id: 't-1',
    ...(trace === undefined ? {} : { meta: { trace } }),
    payload: {},
    ...more,
  });

  it('drops the second of the same thread and trace', () => {
    const dedup = new ApplicationDedup();
    expect(dedup.isRepeat(message('a'))).toBe(false);
    expect(dedup.isRepeat(message('a', { id: 'other' }))).toBe(true);
    expect(dedup.isRepeat(message('a', { thread_id: 't-2' }))).toBe(false);
  });

  it('falls back to what it replies to, and passes what carries neither', () => {
    const dedup = new ApplicationDedup();
    const reply = message(undefined, { in_reply_to: 'm-1' });
    expect([dedup.isRepeat(reply), dedup.isRepeat(reply)]).toEqual([false, true]);
    expect([dedup.isRepeat(message(undefined)), dedup.isRepeat(message(undefined))]).toEqual([false, false]);
  });

  it('leaves other types alone', () => {
    const dedup = new ApplicationDedup();
    const typing = message('a', { type: 'chat_status' });
    expect([dedup.isRepeat(typing), dedup.isRepeat(typing)]).toEqual([false, false]);
  });

  it('remembers 200 keys, those used last', () => {
    const dedup = new ApplicationDedup();
    for (let index = 0; index < 200; index += 1) dedup.isRepeat(message(`k${index}`));
    expect(dedup.isRepeat(message('k0'))).toBe(true);
    dedup.isRepeat(message('new'));
    expect(dedup.isRepeat(message('k0'))).toBe(true);
    expect(dedup.isRepeat(message('k1'))).toBe(false);
  });
});
