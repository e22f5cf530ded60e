/** The faults that other tests rely on happen as they are named. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { event, eventRun, listen, page, roomy, seqsOf } from '../conformance/event-log-harness.ts';
import { type FaultyLog, faultyLog } from '../support/faulty-log.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { until } from '../support/until.ts';

const unavailable = { code: 'log_unavailable' };

describe('faulty log', () => {
  let log: FaultyLog;
  beforeEach(() => {
    const retention = { retentionMs: 60_000, retentionEvents: 1000, retentionBytes: 1 << 20 };
    log = faultyLog(createMemoryLog({ clock: new FakeClock(), ...retention }));
  });
  afterEach(() => log.close());

  it('keeps nothing of a refused append, and all of one whose answer was refused', async () => {
    log.refuse('append');
    await expect(log.append('acme', 'api', [event('lost')])).rejects.toMatchObject(unavailable);
    expect(log.health().isUp).toBe(false);
    log.heal();
    log.refuseAnswers('append');
    await expect(log.append('acme', 'api', [event('kept')])).rejects.toMatchObject(unavailable);
    log.heal();
    const { results } = await log.append('acme', 'api', [event('kept'), event('lost')]);
    expect(results).toEqual([
      { seq: 1, id: 'kept', duplicate: true },
      { seq: 2, id: 'lost' },
    ]);
  });

  it('holds a read before the log, or its answer behind it', async () => {
    log.hold('read');
    const before = page(log, 'acme', { at: 'earliest' });
    await until(() => log.waiting('read'), 'it', 1);
    await log.append('acme', 'api', eventRun(1, 1));
    log.heal();
    expect(seqsOf((await before).entries)).toEqual([1]);

    log.holdAnswers('read');
    const stale = log.read('acme', { at: 'earliest' }, roomy);
    await until(() => log.waiting('read'), 'it', 1);
    await log.append('acme', 'api', eventRun(2, 2));
    log.heal();
    expect((await stale).head.seq).toBe(1);
    expect(log.calls('read')).toBe(2);
  });

  it('loses what is appended meanwhile, and interrupts', async () => {
    const tail = await listen(log, 'acme');
    log.loseTail();
    await log.append('acme', 'api', eventRun(1, 2));
    log.heal();
    log.interrupt();
    await log.append('acme', 'api', eventRun(3, 3));
    await until(() => tail.messages.length, 'as many', 2);
    expect(tail.messages).toMatchObject([
      { kind: 'interrupted' },
      { kind: 'appended', previous: { seq: 2 }, entries: [{ seq: 3 }] },
    ]);
  });

  it('leaves no tail open behind a refused answer', async () => {
    log.refuseAnswers('tail');
    await expect(log.tail('acme', () => undefined)).rejects.toMatchObject(unavailable);
    expect(log.health().subscriptions).toBe(0);
  });
});
