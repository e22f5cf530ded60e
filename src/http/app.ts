/**
 * The shell around every route: request ids, who is asking from where, limits, CORS, security headers, and one form for
 * everything that goes wrong. It knows no route but the stream's refusal.
 */
import type { HttpBindings } from '@hono/node-server';
import { type Context, Hono } from 'hono';
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
    /** What every answer carries, for a route that writes its own. Unset where CORS adds to it. */
    shellHeaders?: Readonly<Record<string, string>>;
  };
}

export interface AppDeps {
  /** Stands before every path; empty or `/…` without a slash at its end. */
  readonly basePath: string;
  /** Browser origins that may call from elsewhere; `*` for all. None: same origin only. */
  readonly origins: readonly string[];
  /** Pages of the origins that are named may send their cookies, and read what those bring. */
  readonly takesCookies?: boolean;
  readonly clock: Pick<Clock, 'id'>;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'httpRequests'>;
  readonly limits: RequestLimits;
  /** Routes that are asked by the machine around the node, which knows no base path: health and metrics. */
  readonly atRoot?: Hono;
}

const fixedHeaders = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
};
const requestIdForm = /^[A-Za-z0-9._:-]{1,128}$/;

/** What OpenAPI can say of the stream: how it is opened. Its frames are in schema/frames.ts and docs/PROTOCOL.md, 8. */
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
  if (deps.origins.length > 0) root.use(crossOrigin(deps.origins, deps.takesCookies ?? false));
  root.use(async (c, next) => {
    const { incoming } = c.env ?? {};
    const retryAfterS = incoming === undefined ? 0 : deps.limits.take(incoming);
    if (retryAfterS > 0) throw fail('rate_limited', undefined, { retryAfterS });
    await next();
  });

  if (deps.basePath !== '' && deps.atRoot !== undefined) root.route('/', deps.atRoot);
  const app = deps.basePath === '' ? root : root.basePath(deps.basePath);
  // A real upgrade is taken from the server before the app is asked.
  app.get('/v2/realtime/stream', streamDescription, (c) => {
    c.header('upgrade', 'websocket');
    throw fail('upgrade_required');
  });
  return app;
}

/** Says who calls. @throws unauthorized */
export type Authenticate = (c: Context) => Promise<Identity>;

/**
 * Says who calls a users' route: by the Authorization header, else by the cookie; a token in the query is read on the
 * stream alone. The function it gives throws unauthorized, and origin_forbidden where a cookie would change something, or
 * bring a ticket, for a page that may not.
 */
export function authenticating(
  authenticator: Pick<Authenticator, 'verify'>,
  cookie?: CookiePolicy,
): Authenticate {
  return (c) => {
    const header = (name: string): string | undefined => c.req.header(name);
    const brought = { authorization: header('authorization'), cookie: header('cookie') };
    const credential = readCredential(brought, cookie?.name);
    const page = { origin: header('origin'), host: header('host'), site: header('sec-fetch-site') };
    const isReading = c.req.method === 'GET' || c.req.method === 'HEAD';
    if (credential?.place === 'cookie' && !isReading && cookie?.mayChange(page) !== true)
      throw fail('origin_forbidden', 'a cookie changes nothing for a page of this origin');
    return authenticator.verify(credential);
  };
}

function asKnown(error: unknown): TurnoutError {
  if (!(error instanceof HTTPException)) return asTurnoutError(error);
  if (error.status === 413) return fail('too_large', undefined, { cause: error });
  return error.status < 500 ? fail('bad_request', undefined, { cause: error }) : asTurnoutError(error);
}

/** Nothing is at this path, or not for this method. */
function refusalOf(c: Context<AppEnv>, root: Hono<AppEnv>): TurnoutError {
  const allowed = allowedMethods(root, c.req.path);
  if (allowed.length === 0 || allowed.includes(c.req.method)) return fail('not_found');
  c.header('allow', allowed.join(', '));
  return fail('method_not_allowed');
}

function answerError(c: Context<AppEnv>, error: TurnoutError, { logger }: AppDeps): Response {
  const { status } = codes[error.code];
  // The body's limit may refuse before the first middleware has run; then there is no id yet.
  const requestId = c.get('requestId') ?? '';
  if (error.code === 'internal')
    logger.error({ err: error.cause ?? error, request_id: requestId, route: routeOf(c) }, 'a request failed');
  const retryAfterS = retryAfterOf(error);
  if (retryAfterS !== undefined) c.header('retry-after', String(retryAfterS));
  if (status === 401) c.header('www-authenticate', 'Bearer');
  if (error.code === 'draining') c.header('connection', 'close');
  // Hono can't tell that the table holds no status without a body.
  return c.json(errorBody(error, requestId), status as ContentfulStatusCode);
}

/** The pattern of the route, never the path that was asked: a label must not grow with what callers make up. */
function routeOf(c: Context): string {
  const pattern = routePath(c, -1);
  return pattern === '' || pattern.endsWith('*') ? 'unmatched' : pattern;
}

/** Methods of the routes of `app` that take `path`, sorted; middleware, which takes all methods, doesn't count. */
export function allowedMethods({ routes, router }: Hono<AppEnv>, path: string): string[] {
  const methods = new Set(routes.map(({ method }) => method));
  const allowed = [...methods].filter((method) =>
    router.match(method, path)[0].some(([[, route]]) => route.method === method && method !== 'ALL'),
  );
  return (allowed.includes('GET') ? [...allowed, 'HEAD'] : allowed).toSorted();
}
