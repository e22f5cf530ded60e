/**
 * The shell around every route: request ids, the caller, rate limits, CORS, security headers, and one form for every error.
 * It knows no route but the stream's, which refuses what is no upgrade.
 */
import type { IncomingMessage } from 'node:http';
import type { HttpBindings } from '@hono/node-server';
import { type Context, Hono, type MiddlewareHandler } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { routePath } from 'hono/route';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { describeRoute } from 'hono-openapi';
import { codes } from '../../schema/codes.ts';
import { errorBodySchema } from '../../schema/http.ts';
import type { Clock } from '../clock.ts';
import { asTurnoutError, errorBody, fail, retryAfterOf, type TurnoutError } from '../errors.ts';
import { readCredential } from '../auth/credential.ts';
import type { Authenticator, Identity } from '../auth/identity.ts';
import type { Logger } from '../logger.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { answer, parameter } from './described.ts';
import type { RequestLimits } from './limits.ts';
import { type CookiePolicy, crossOrigin } from './origins.ts';

export interface AppEnv {
  /** Absent where a test asks the app without a server. */
  Bindings: Partial<HttpBindings>;
  Variables: {
    requestId: string;
    /** The headers of every answer, for a route that writes its answer itself. Unset where CORS adds to them. */
    shellHeaders?: Readonly<Record<string, string>>;
  };
}

export interface AppDeps {
  /** Stands before every path; empty or `/…` without a slash at its end. */
  readonly basePath: string;
  /** Browser origins that may call from elsewhere; `*` for all. None: same origin only. */
  readonly origins: readonly string[];
  /** True where pages of the named origins may send their cookies, and read the answers. */
  readonly takesCookies?: boolean;
  readonly clock: Pick<Clock, 'id'>;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'httpRequests'>;
  readonly limits: RequestLimits;
  /** Routes that are served without the base path, too, which probes and Prometheus don't know. */
  readonly atRoot?: Hono;
}

const fixedHeaders = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
};
const requestIdForm = /^[A-Za-z0-9._:-]{1,128}$/;

/** How the stream is opened, for OpenAPI. Its frames are in schema/frames.ts and docs/PROTOCOL.md, 8. */
const streamDescription = describeRoute({
  summary: 'The stream: upgrades to WebSocket',
  description:
    'A well-formed upgrade is accepted, and closed with a code where it is refused: a browser cannot read a status. The first frame is `{"services":["chat"],"version":1}`, with a `cursor` to resume.',
  tags: ['realtime'],
  security: [{ bearer: [] }, { accessToken: [] }, { ticket: [] }],
  parameters: [
    parameter('query', 'ticket', 'what negotiate gave; alone it opens the stream'),
    parameter('query', 'access_token', 'a token, where a browser cannot set headers'),
  ],
  responses: {
    101: { description: 'a WebSocket' },
    426: answer('upgrade_required: not an upgrade', errorBodySchema),
    429: answer('rate_limited: upgrades come in a flood', errorBodySchema),
  },
});

/** The app, its base path applied: mount each room's routes on it with `app.route('/', …)`. */
export function createApp(deps: AppDeps): Hono<AppEnv> {
  const root = new Hono<AppEnv>();
  root.onError((error, c) => answerError(c, asKnown(error), deps));
  root.notFound((c) => answerError(c, refusalOf(c, root), deps));

  root.use(async (c, next) => {
    const asked = c.req.header('x-request-id') ?? '';
    const requestId = requestIdForm.test(asked) ? asked : deps.clock.id();
    c.set('requestId', requestId);
    const headers = { 'x-request-id': requestId, ...fixedHeaders };
    for (const [name, value] of Object.entries(headers)) c.header(name, value);
    if (deps.origins.length === 0) c.set('shellHeaders', headers);
    await next();
    deps.metrics.httpRequests.inc({ route: routeOf(c), status: c.res.status });
  });
  const limited: MiddlewareHandler<AppEnv> = async (c, next) => {
    const { incoming } = c.env ?? {};
    const retryAfterS = incoming === undefined ? 0 : deps.limits.take(incoming);
    if (retryAfterS > 0) throw fail('rate_limited', undefined, { retryAfterS });
    await next();
  };
  if (deps.origins.length > 0) {
    // CORS answers preflights itself, so they are counted before it; all else behind it, where a page can read the 429.
    root.use((c, next) => (c.req.method === 'OPTIONS' ? limited(c, next) : next()));
    root.use(crossOrigin(deps.origins, deps.takesCookies ?? false));
  }
  root.use(limited);

  if (deps.basePath !== '' && deps.atRoot !== undefined) root.route('/', deps.atRoot);
  const app = deps.basePath === '' ? root : root.basePath(deps.basePath);
  // A real upgrade is taken from the server before the app is asked.
  app.get('/v2/realtime/stream', streamDescription, (c) => {
    c.header('upgrade', 'websocket');
    throw fail('upgrade_required');
  });
  return app;
}

/** Returns the identity of the caller. @throws unauthorized */
export type Authenticate = (c: Context) => Promise<Identity>;

/**
 * Returns what authenticates the caller of a users' route: by the Authorization header, else by the cookie; a token in the
 * query is for the stream alone. It throws unauthorized, and origin_forbidden for a write or a negotiation that a cookie
 * authenticates, from a page of an origin that may not.
 * @param onKnown told of each caller that is known
 */
export function authenticating(
  authenticator: Pick<Authenticator, 'verify'>,
  cookie?: CookiePolicy,
  limits?: Pick<RequestLimits, 'networkOf'>,
  onKnown?: (request: IncomingMessage, identity: Identity) => void,
): Authenticate {
  return async (c: Context<AppEnv>) => {
    const header = (name: string): string | undefined => c.req.header(name);
    const brought = { authorization: header('authorization'), cookie: header('cookie') };
    const credential = readCredential(brought, cookie?.name);
    const page = { origin: header('origin'), host: header('host'), site: header('sec-fetch-site') };
    const isReading = c.req.method === 'GET' || c.req.method === 'HEAD';
    if (credential?.place === 'cookie' && !isReading && cookie?.mayChange(page) !== true)
      throw fail('origin_forbidden', 'a cookie changes nothing for a page of this origin');
    const { incoming } = c.env ?? {};
    const identity = await authenticator.verify(credential, incoming && limits?.networkOf(incoming));
    if (incoming !== undefined) onKnown?.(incoming, identity);
    return identity;
  };
}

function asKnown(error: unknown): TurnoutError {
  if (!(error instanceof HTTPException)) return asTurnoutError(error);
  if (error.status === 413) return fail('too_large', undefined, { cause: error });
  return error.status < 500 ? fail('bad_request', undefined, { cause: error }) : asTurnoutError(error);
}

/** The error for a path without a route, or without one for this method. */
function refusalOf(c: Context<AppEnv>, root: Hono<AppEnv>): TurnoutError {
  const allowed = allowedMethods(root, c.req.path);
  if (allowed.length === 0 || allowed.includes(c.req.method)) return fail('not_found');
  c.header('allow', allowed.join(', '));
  return fail('method_not_allowed');
}

function answerError(c: Context<AppEnv>, error: TurnoutError, { logger }: AppDeps): Response {
  const { status } = codes[error.code];
  // The limit of a body may refuse before the first middleware has run: there is no id yet.
  const requestId = c.get('requestId') ?? '';
  if (error.code === 'internal')
    logger.error({ err: error.cause ?? error, request_id: requestId, route: routeOf(c) }, 'a request failed');
  const retryAfterS = retryAfterOf(error);
  if (retryAfterS !== undefined) c.header('retry-after', String(retryAfterS));
  if (status === 401) c.header('www-authenticate', 'Bearer');
  if (error.code === 'draining') c.header('connection', 'close');
  // Hono's type excludes statuses without a body, which the table doesn't hold.
  return c.json(errorBody(error, requestId), status as ContentfulStatusCode);
}

/** Returns the route's pattern, never the path of the request: callers must not be able to make up labels. */
function routeOf(c: Context): string {
  const pattern = routePath(c, -1);
  return pattern === '' || pattern.endsWith('*') ? 'unmatched' : pattern;
}

/** Returns the methods of the routes of `app` for `path`, sorted; middleware, which takes all methods, doesn't count. */
export function allowedMethods({ routes, router }: Hono<AppEnv>, path: string): string[] {
  const methods = new Set(routes.map(({ method }) => method));
  const allowed = [...methods].filter((method) =>
    router.match(method, path)[0].some(([[, route]]) => route.method === method && method !== 'ALL'),
  );
  return (allowed.includes('GET') ? [...allowed, 'HEAD'] : allowed).toSorted();
}
