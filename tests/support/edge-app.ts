/** The HTTP side of a node over a memory log, without its transports and its rollout: asked through `app.request`. */
import { createAuthenticator } from '../../src/auth/authenticator.ts';
import { readConfig } from '../../src/config/config.ts';
import { type AppDeps, authenticating, createApp } from '../../src/http/app.ts';
import { docsRoutes } from '../../src/http/docs.ts';
import { createRequestLimits } from '../../src/http/limits.ts';
import { opsRoutes, type Readiness } from '../../src/http/ops.ts';
import { publishRoutes } from '../../src/http/publish.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import { createMemoryLog } from '../../src/log/memory-log.ts';
import { createLogger } from '../../src/logger.ts';
import { Metrics } from '../../src/metrics/metrics.ts';
import { Publisher, type PublisherDeps } from '../../src/publish/publisher.ts';
import { PublishRate } from '../../src/publish/publish-rate.ts';
import { FakeClock } from './fake-clock.ts';
import { makeToken, testSecret, type TokenClaims } from './tokens.ts';

export interface EdgeOptions {
  readonly log?: EventLog;
  readonly basePath?: string;
  readonly origins?: readonly string[];
  readonly perSecond?: number;
  readonly trustedProxies?: readonly string[];
  readonly isDemo?: boolean;
  /** What an end user may publish. */
  readonly eventsPerS?: number;
  readonly bytesPerS?: number;
  readonly bridged?: PublisherDeps['bridged'];
}

export function edgeApp(options: EdgeOptions = {}) {
  const clock = new FakeClock();
  const log =
    options.log ??
    createMemoryLog({
      clock,
      retentionMs: 3_600_000,
      retentionEvents: 10_000,
      retentionBytes: 64 * 1024 * 1024,
    });
  const lines: string[] = [];
  const logger = createLogger('debug', { write: (line) => void lines.push(line) });
  const metrics = new Metrics();
  const authenticator = createAuthenticator(readConfig({ TURNOUT_JWT_SECRET: testSecret }), clock);
  const authenticate = authenticating(authenticator);
  const { eventsPerS = 100, bytesPerS = 1024 * 1024 } = options;
  const rate = new PublishRate({ eventsPerS, bytesPerS, clock });
  const publisher = new Publisher({
    log,
    clock,
    metrics,
    rate,
    ...(options.bridged && { bridged: options.bridged }),
  });
  const limits = createRequestLimits({
    perSecond: options.perSecond ?? 1000,
    trustedProxies: options.trustedProxies ?? [],
    clock,
  });
  const deps: AppDeps = {
    basePath: options.basePath ?? '',
    origins: options.origins ?? [],
    clock,
    logger,
    metrics,
    limits,
  };
  const app = createApp(deps);
  const state: { phase: Readiness['phase']; isRulesUp: boolean } = { phase: 'serving', isRulesUp: true };
  app.route('/', publishRoutes({ authenticate, publisher }));
  app.route(
    '/',
    opsRoutes({
      authenticate: options.isDemo === true ? undefined : authenticate,
      metrics,
      readiness: () => ({
        phase: state.phase,
        log: log.health(),
        rules: { isUp: state.isRulesUp, detail: 'in memory', version: 18 },
      }),
      feeds: () => 3,
    }),
  );
  app.route('/', docsRoutes(app));

  const token = (claims: TokenClaims = {}) => makeToken(claims, { nowMs: clock.now() });
  const identity = async (claims: TokenClaims = {}) => authenticator.verifyToken(await token(claims));
  /** Posts `body` as JSON; text goes as it is. */
  const post = async (path: string, body: unknown, claims: TokenClaims = {}, headers = {}) => {
    const response = await app.request(path, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${await token(claims)}`,
        'content-type': 'application/json',
        ...headers,
      },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    // Each answer of these routes is JSON of a shape that the test is about to look at.
    return { status: response.status, body: (await response.json()) as Record<string, never>, response };
  };
  return { app, clock, log, lines, metrics, publisher, state, token, identity, post };
}
