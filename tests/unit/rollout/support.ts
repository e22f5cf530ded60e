/** Hands for the rollout's tests: sessions that record their orders, rules in one line. */
import type { Transport } from '../../../schema/frames.ts';
import { systemClock } from '../../../src/clock.ts';
import { type Config, readConfig } from '../../../src/config/config.ts';
import { ServiceClaim, type Identity } from '../../../src/auth/identity.ts';
import type { MigrateOrder } from '../../../schema/frames.ts';
import { Sessions, type LiveSession } from '../../../src/hub/sessions.ts';
import { createRollout, type Rollout } from '../../../src/rollout/rollout.ts';
import { FakeClock } from '../../support/fake-clock.ts';

export const identity = (sub: string, org = 'acme', roles: readonly string[] = []): Identity => ({
  org,
  sub,
  expiresAtMs: Number.MAX_SAFE_INTEGER,
  reads: new ServiceClaim(['*']),
  publishes: new ServiceClaim([]),
  roles: new Set(roles as never[]),
  producerOrgs: [org],
});

export interface RecordedSession extends LiveSession {
  readonly orders: MigrateOrder[];
  isMoving: boolean;
}

/** A stream or a held poll that keeps the orders it is given. */
export function session(sub: string, transport: Transport, more: Partial<LiveSession> = {}): RecordedSession {
  const orders: MigrateOrder[] = [];
  const made: RecordedSession = {
    connection: systemClock.id(),
    org: 'acme',
    sub,
    transport,
    cohort: transport === 'websocket' ? 'canary' : 'control',
    session: undefined,
    assignment: undefined,
    supports: transport === 'websocket' ? ['websocket', 'long-poll'] : [],
    override: undefined,
    sinceMs: Date.UTC(2026, 0, 1),
    isMoving: false,
    position: () => undefined,
    behind: () => 0,
    end: () => undefined,
    ...more,
    orders,
    migrate(order) {
      made.isMoving = true;
      orders.push(order);
    },
  };
  return made;
}

export interface Stage {
  readonly rollout: Rollout;
  readonly sessions: Sessions;
  readonly clock: FakeClock;
  readonly config: Config;
  readonly logged: string[];
}

/** A rollout at work, from an environment. Close it. */
export function stage(env: Record<string, string> = {}): Stage {
  const config = readConfig(env);
  const clock = new FakeClock();
  const sessions = new Sessions();
  const logged: string[] = [];
  const log = (_fields: object, message: string): void => void logged.push(message);
  const logger = { info: log, warn: log, error: log };
  const rollout = createRollout({ config, clock, nodeId: 'node-a', logger, sessions });
  return { rollout, sessions, clock, config, logged };
}

export const by = { by: 'token' as const, who: 'acme/sre', reason: 'test' };
