/** Every route that the API describes, mounted as the gateway mounts them, to be described and never asked. */
import type { Hono } from 'hono';
import { systemClock } from '../../src/clock.ts';
import { adminRoutes } from '../../src/http/admin.ts';
import { type AppEnv, createApp } from '../../src/http/app.ts';
import { openApiDocument } from '../../src/http/docs.ts';
import { negotiateRoute } from '../../src/http/negotiate.ts';
import { opsRoutes } from '../../src/http/ops.ts';
import { pollRoute } from '../../src/http/poll.ts';
import { publishRoutes } from '../../src/http/publish.ts';
import { createLogger } from '../../src/logger.ts';
import { Metrics } from '../../src/metrics/metrics.ts';

function describedApp(): Hono<AppEnv> {
  // No route is asked here, so what only its answer needs may be missing.
  const unasked = {} as never;
  const metrics = new Metrics();
  const app = createApp({
    basePath: '',
    origins: [],
    clock: systemClock,
    logger: createLogger('silent'),
    metrics,
    limits: unasked,
  });
  const authenticate = () => Promise.reject(new Error('no route is asked here'));
  app.route(
    '/',
    negotiateRoute({
      authenticate,
      authenticator: unasked,
      decider: unasked,
      store: unasked,
      log: unasked,
      basePath: '',
      pingMs: 30_000,
    }),
  );
  app.route('/', pollRoute({ authenticate, longPoll: unasked, limits: unasked }));
  app.route('/', publishRoutes({ authenticate, publisher: unasked }));
  app.route(
    '/',
    adminRoutes({
      authenticator: unasked,
      adminToken: undefined,
      rollout: unasked,
      drain: () => undefined,
    }),
  );
  app.route('/', opsRoutes({ authenticate, metrics, readiness: () => unasked, feeds: () => 0 }));
  return app;
}

/** schema/openapi.json as the routes describe it now. */
export async function openApiText(): Promise<string> {
  return `${JSON.stringify(await openApiDocument(describedApp()), null, 2)}\n`;
}
