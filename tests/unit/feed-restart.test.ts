/** What a feed that begins anew owes to those who were reading the log at that moment. */
import { expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { Hub } from '../../src/hub/hub.ts';
import { Reader } from '../../src/hub/reader.ts';
import { prepareEvent } from '../../src/log/entry.ts';
import type { EventLog, TailMessage } from '../../src/log/event-log.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { streamForm } from '../../src/transports/frames.ts';
import { ReadingClient } from '../support/reading-client.ts';
import { until } from '../support/until.ts';

const org = 'acme';
const retention = { ageMs: 60_000, events: 10_000, bytes: 64 * 1024 * 1024 };
const memory = (): EventLog =>
  createMemoryLog({
    clock: systemClock,
    retentionMs: retention.ageMs,
    retentionEvents: retention.events,
    retentionBytes: retention.bytes,
  });
const fill = (log: EventLog, count: number) =>
  log.append(
    org,
    'p',
    Array.from({ length: count }, (_, n) => prepareEvent({ service: 'a', type: 't', payload: n }, `id-${n}`)),
  );

it('tells reset to a reader that joins a read of the log which began before the log was lost', async () => {
  const [lost, found] = [memory(), memory()];
  await fill(lost, 10);
  await fill(found, 3);
  let log = lost;
  let listener: (message: TailMessage) => void = () => undefined;
  let answerOld: () => void = () => undefined;
  let pagesOfOld = 0;
  const swapped: EventLog = {
    append: (...call) => log.append(...call),
    publishEphemeral: (...call) => log.publishEphemeral(...call),
    async read(name, start, limits) {
      const answer = await log.read(name, start, limits);
      if (log === lost && start.at === 'lastSeq' && start.seq === 0 && limits.maxEvents > 1) {
        pagesOfOld += 1;
        await new Promise<void>((resolve) => {
          answerOld = resolve;
        });
      }
      return answer;
    },
    async tail(_name, told) {
      listener = told;
      return { close: async () => undefined };
    },
    health: () => log.health(),
    close: async () => undefined,
  };
  const hub = new Hub({ log: swapped, clock: systemClock, ringBytes: 1 << 20, lingerMs: 0, retention });
  const feed = await hub.acquire(org);
  const { position } = await feed.place({ at: 'earliest' });
  const reading = (client: ReadingClient): Reader =>
    new Reader({
      feed,
      form: streamForm(undefined),
      sub: 'u',
      services: new Set(['a']),
      position,
      sink: client,
      clock: systemClock,
    });
  const [first, second] = [new ReadingClient(), new ReadingClient()];
  reading(first).pump();
  reading(second);
  await until(() => pagesOfOld === 1, 'the read of the old log');

  log = found;
  const newHead = await found.read(org, { at: 'head' }, { maxEvents: 1, maxBytes: 1 });
  listener({ kind: 'interrupted' });
  await until(() => feed.head.epoch === newHead.head.epoch, 'the new epoch');
  answerOld();

  await until(() => first.resets.length > 0, 'the reset of the one that was reading');
  await until(() => second.resets.length > 0, 'the reset of the one that joined its read', 2000);
  expect(second.seqs).toEqual([]);
});
