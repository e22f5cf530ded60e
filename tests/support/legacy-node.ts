/** The old API's paths alone, behind a real server in this process: with bounds that a test can reach. */
import type { ProfileSource } from '../../schema/profile.ts';
import { type Profile, profileSchema } from '../../schema/profile.ts';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { createRequestLimits } from '../../src/http/limits.ts';
import { LegacyApi, type LegacyDeps } from '../../src/legacy/api.ts';
import { openServer } from '../../src/http/server.ts';
import { refusingTargets, targetProblem } from '../../src/http/target.ts';
import type { PassthroughBounds } from '../../src/legacy/proxy/connections.ts';
import { createLogger } from '../../src/logger.ts';
import { Metrics } from '../../src/metrics/metrics.ts';
import { openConnections } from './http-connections.ts';

export interface LegacyNodeOptions {
  readonly bounds?: Partial<PassthroughBounds>;
  /** Without them each poll is forwarded as it came. */
  readonly stands?: LegacyDeps['stands'];
  readonly trustedProxies?: readonly string[];
  readonly perSecond?: number;
  readonly isOwn?: (path: string) => boolean;
}

export interface LegacyNode {
  readonly url: string;
  readonly passthrough: LegacyApi['passthrough'];
  /** The lines of the old API's metrics. */
  readonly metrics: () => Promise<string>;
  readonly close: () => Promise<void>;
}

// One for all: each listens on standard output.
const silent = createLogger('silent');

/** A profile of a plain poll at `/api/updates`; everything below `/api/` passes through. */
export function plainProfile(upstream: string, more: { readonly source?: ProfileSource } = {}): Profile {
  return profileSchema.parse({
    name: 'plain',
    match: { method: 'GET', path: '/api/updates' },
    upstream,
    passthrough: ['/api/*', '/login'],
    request: {
      cursor: { in: 'query', name: 'since', format: 'integer' },
      services: { fixed: ['updates'] },
    },
    response: {
      idle: { status: 204 },
      events: { status: 200, body: { updates: '$events', next: '$cursor' } },
      event: { id: '$.id' },
    },
    ...more,
  });
}

export async function openLegacyNode(profile: Profile, options: LegacyNodeOptions = {}): Promise<LegacyNode> {
  const clock = systemClock;
  const metrics = new Metrics();
  const api = new LegacyApi({
    profiles: [profile],
    stands: options.stands ?? { offer: async () => ({}) },
    bounds: options.bounds ?? {},
    isOwn: options.isOwn ?? (() => false),
    limits: createRequestLimits({
      perSecond: options.perSecond ?? 2000,
      trustedProxies: options.trustedProxies ?? [],
      clock,
    }),
    metrics: metrics.legacy,
    clock,
    logger: silent,
  });
  const config = { ...readConfig({}), TURNOUT_PORT: 0 };
  const server = await openServer({
    fetch: () => new Response('not of the old API', { status: 404 }),
    config,
    clock,
    takes: refusingTargets({
      problemOf: (request) => targetProblem(request, (path) => api.ownerOf(path)),
      clock,
      onRefused: () => undefined,
      next: api.takes,
    }),
    attach: () => undefined,
    connections: openConnections().connections,
  });
  return {
    url: server.url,
    passthrough: api.passthrough,
    async metrics() {
      const lines = (await metrics.registry.metrics()).split('\n');
      return lines.filter((line) => line.startsWith('legacy_')).join('\n');
    },
    async close() {
      api.passthrough.close();
      await server.close();
    },
  };
}
