/** The long-poll transport of one node, asked without HTTP, over a log that a test can break. */
import { ServiceClaim } from '../../src/auth/identity.ts';
import { Hub } from '../../src/hub/hub.ts';
import { Sessions } from '../../src/hub/sessions.ts';
import { prepareEvent } from '../../src/log/entry.ts';
import type { Start } from '../../src/log/event-log.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { Traffic } from '../../src/metrics/traffic.ts';
import type { LongPollDeps, PollLimit } from '../../src/transports/deps.ts';
import { LongPoll } from '../../src/transports/long-poll.ts';
import type { PollRequest } from '../../src/transports/poll-request.ts';
import { Wheel } from '../../src/transports/wheel.ts';
import { FakeClock } from './fake-clock.ts';
import { faultyLog } from './faulty-log.ts';

interface Asked {
  readonly sub?: string;
  readonly network?: string;
  readonly waitMs?: number;
  readonly limit?: number;
  readonly services?: readonly string[];
  readonly start?: Start;
  readonly form?: PollRequest['form'];
}

export async function openLongPolls(options: Partial<Pick<LongPollDeps, 'maxHeld' | 'maxHeldPerUser'>> = {}) {
  const clock = new FakeClock({ runs: true });
  const retention = { ageMs: 60_000, events: 10_000, bytes: 1 << 24 };
  const log = faultyLog(
    createMemoryLog({ clock, retentionMs: 60_000, retentionEvents: 10_000, retentionBytes: 1 << 24 }),
  );
  const hub = new Hub({ log, clock, ringBytes: 1 << 24, lingerMs: 0, retention });
  const wheel = new Wheel(clock);
  const traffic = new Traffic();
  const limited: PollLimit[] = [];
  const due = { transport: 'long-poll', cohort: 'control', assignment: 1, mayMoveUp: false } as const;
  const longPoll = new LongPoll({
    hub,
    clock,
    wheel,
    traffic,
    isLogReachable: () => log.health().isReachable,
    sessions: new Sessions(),
    admission: {
      stream: async () => ({ isAdmitted: true, cohort: 'canary', assignment: 1 }),
      poll: () => due,
      assignment: () => 1,
    },
    maxHeld: 1000,
    maxHeldPerUser: 1000,
    onLimited: (by) => limited.push(by),
    onAnswered: () => undefined,
    ...options,
  });
  let published = 0;
  const publish = async (service = 'a', payload: string | number = 1): Promise<void> => {
    published += 1;
    await log.append('acme', 'p', [prepareEvent({ service, type: 't', payload }, `id-${published}`)]);
  };
  await publish();
  const { head } = await log.read('acme', { at: 'head' }, { maxEvents: 1, maxBytes: 1 });
  const requestOf = (asked: Asked): PollRequest => ({
    identity: {
      org: 'acme',
      sub: asked.sub ?? 'ann',
      expiresAtMs: clock.now() + 3_600_000,
      reads: new ServiceClaim(['*']),
      publishes: new ServiceClaim([]),
      roles: new Set(),
      producerOrgs: [],
    },
    services: new Set(asked.services ?? ['a']),
    start: asked.start ?? { at: 'cursor', position: head },
    waitMs: asked.waitMs ?? 60_000,
    limit: asked.limit ?? 500,
    session: undefined,
    assignment: undefined,
    client: { network: asked.network, isGone: false, onGone: () => () => undefined },
    ...(asked.form === undefined ? {} : { form: asked.form }),
  });
  return {
    clock,
    log,
    hub,
    traffic,
    limited,
    publish,
    ask: (asked: Asked = {}) => longPoll.answer(requestOf(asked)),
    /** Returns the answer as a client reads it. */
    poll: async (asked: Asked = {}) => {
      const { body } = await longPoll.answer(requestOf(asked));
      return JSON.parse(body.toString('utf8')) as { events: { id: string }[]; seq: number; more?: boolean };
    },
    async close() {
      await longPoll.close();
      log.heal();
      wheel.close();
      await hub.close();
    },
  };
}
