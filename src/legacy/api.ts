/**
 * The paths of the legacy APIs. They are taken in front of the app: none of its headers and CORS may change what a legacy
 * client is answered. The rate limit of its address holds here too, refused in the legacy API's words. A poll is offered to the stands first; each other request is forwarded to the upstream.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { codes } from '../../schema/codes.ts';
import type { Profile } from '../../schema/profile.ts';
import type { Clock } from '../clock.ts';
import { asTurnoutError, errorBody, fail, retryAfterOf, type TurnoutError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { LegacyMetrics } from '../metrics/legacy.ts';
import type { Dialect, LegacyAnswer } from './dialect/dialect.ts';
import { createDialect } from './dialect/profile-dialect.ts';
import { defaultBounds, type PassthroughBounds } from './proxy/connections.ts';
import { LegacyExchange } from './proxy/exchange.ts';
import { Passthrough } from './proxy/passthrough.ts';
import type { Forwarding, RelayEnd } from './proxy/relay.ts';
import { type FindRoute, legacyRoutes } from './proxy/routes.ts';
import type { LegacyStands } from './serve/stands.ts';

export interface LegacyDeps {
  readonly profiles: readonly Profile[];
  readonly stands: Pick<LegacyStands, 'offer'>;
  readonly bounds?: Partial<PassthroughBounds>;
  /** Paths of the app, base path included. */
  readonly isOwn: (path: string) => boolean;
  readonly limits: {
    trustsPeer(request: IncomingMessage): boolean;
    /** Undefined where the limits by address are off. */
    networkOf(request: IncomingMessage): string | undefined;
    /** Counts the request. Returns 0 where it may pass, else the seconds after which the next may. */
    take(request: IncomingMessage): number;
  };
  readonly metrics: LegacyMetrics;
  readonly clock: Pick<Clock, 'monotonic' | 'after' | 'id'>;
  readonly logger: Logger;
}

export class LegacyApi {
  private readonly findRoute: FindRoute;
  private readonly bodyMs: number;
  /** Of all that goes to the upstreams. */
  readonly passthrough: Passthrough;
  private readonly dialects: ReadonlyMap<Profile, Dialect>;
  /** Backends whose failure has been told and whose return has not. */
  private readonly down = new Set<string>();

  /** @throws ConfigError where profiles want one path, or Turnout's own */
  constructor(private readonly deps: LegacyDeps) {
    const { clock, limits, profiles, isOwn } = deps;
    const bounds = { ...defaultBounds, ...deps.bounds };
    this.bodyMs = bounds.bodyMs;
    this.dialects = new Map(profiles.map((profile) => [profile, createDialect(profile)]));
    this.findRoute = legacyRoutes(profiles, isOwn);
    this.passthrough = new Passthrough({
      bounds,
      clock,
      isTrusted: (request) => limits.trustsPeer(request),
      refuse: (exchange, error) => this.refuse(exchange, error),
    });
  }

  /** Takes what belongs to a legacy API. False: it is not. */
  readonly takes = (request: IncomingMessage, response: ServerResponse): boolean => {
    const route = this.findRoute(request.method ?? '', request.url ?? '');
    if (route === undefined) return false;
    const { limits, clock } = this.deps;
    const network = limits.networkOf(request);
    const exchange = new LegacyExchange(route.profile, request, response, {
      network,
      bodyMs: this.bodyMs,
      clock,
    });
    const retryAfterS = limits.take(request);
    if (retryAfterS > 0) this.refuse(exchange, fail('rate_limited', undefined, { retryAfterS }));
    else if (route.isPoll) void this.offer(route.pattern, exchange);
    else this.forward(route.pattern, exchange);
    return true;
  };

  /** Returns the profile that takes a path, whatever the method; undefined: none does. */
  ownerOf(path: string): Profile | undefined {
    return this.findRoute('', path)?.profile;
  }

  private async offer(route: string, poll: LegacyExchange): Promise<void> {
    const { stands, clock, metrics, logger } = this.deps;
    const { profile, response } = poll;
    const beganMs = clock.monotonic();
    try {
      const { answer, ...how } = await stands.offer(poll);
      if (answer === undefined) return this.forward(route, poll, how);
      write(response, answer);
      metrics.answered({
        profile: profile.name,
        route,
        answeredBy: 'turnout',
        outcome: response.destroyed ? 'gone' : 'answered',
        status: answer.status,
        firstByteMs: clock.monotonic() - beganMs,
      });
    } catch (thrown) {
      const error = asTurnoutError(thrown);
      if (error.code !== 'internal' || response.headersSent) return this.refuse(poll, error);
      // Who has gone may have gone in the middle of the body: half a request is nobody's.
      if (response.destroyed) return;
      logger.error({ err: error.cause ?? error, profile: profile.name }, 'a legacy poll failed');
      // A fault of ours is nothing that a legacy client should notice.
      this.forward(route, poll);
    }
  }

  private forward(
    route: string,
    exchange: LegacyExchange,
    how: Pick<Forwarding, 'rewrite' | 'tap'> = {},
  ): void {
    const { profile } = exchange;
    const onEnd = (end: RelayEnd): void => {
      this.deps.metrics.answered({ profile: profile.name, route, answeredBy: 'upstream', ...end });
      this.tell(profile, end);
    };
    this.passthrough.forward({ exchange, ...how, onEnd });
  }

  /** Once when a backend goes away, once when it is back: not for each of a thousand clients. */
  private tell({ name, upstream }: Profile, { outcome, error }: RelayEnd): void {
    const { logger } = this.deps;
    if (outcome === 'answered') {
      if (this.down.delete(upstream)) logger.info({ profile: name }, 'the old backend answers again');
    } else if ((error?.code ?? '').startsWith('upstream_') && !this.down.has(upstream)) {
      this.down.add(upstream);
      logger.warn({ profile: name, err: error?.cause ?? error }, 'the old backend failed a request');
    }
  }

  /** In the legacy API's words, where the profile names them. */
  private refuse({ profile, response }: LegacyExchange, error: TurnoutError): void {
    if (response.destroyed || response.headersSent) return;
    this.deps.metrics.refused(profile.name, error.code);
    const { status } = codes[error.code];
    const headers: Record<string, string> = {};
    const retryAfterS = retryAfterOf(error);
    if (retryAfterS !== undefined) headers['retry-after'] = String(retryAfterS);
    // Behind a request that isn't whole no other can be read.
    if (error.code === 'draining' || error.code === 'request_timeout') headers['connection'] = 'close';
    const theirs = this.dialects.get(profile)?.error(status);
    try {
      if (theirs !== undefined)
        return write(response, { ...theirs, headers: { ...headers, ...theirs.headers } });
    } catch (err) {
      this.deps.logger.error({ err, profile: profile.name }, 'an error of the profile cannot be sent');
    }
    const requestId = this.deps.clock.id();
    headers['content-type'] = 'application/json';
    headers['cache-control'] = 'no-store';
    headers['x-request-id'] = requestId;
    write(response, { status, headers, body: Buffer.from(JSON.stringify(errorBody(error, requestId))) });
  }
}

function write(response: ServerResponse, { status, headers, body }: LegacyAnswer): void {
  if (response.destroyed) return;
  response.writeHead(status, body === undefined ? headers : { ...headers, 'content-length': body.length });
  response.end(body);
}
