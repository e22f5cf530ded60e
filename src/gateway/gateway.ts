/** One node, put together: the only file that may import every room. Opens them in order and closes them in reverse. */
import type { IncomingMessage } from 'node:http';
import { adminRolesNote } from '../auth/admin-roles.ts';
import { TokenBuckets } from '../async/token-buckets.ts';
import { createAuthenticator, randomSecret } from '../auth/authenticator.ts';
import { authServerReport } from '../auth/server.ts';
import { isolatingTimers, type OnFault } from '../async/faults.ts';
import type { Clock } from '../clock.ts';
import { type Config, madeUpNodeId } from '../config/config.ts';
import type { DemoPublish } from '../demo/backend.ts';
import { demoBackendIdentity, demoConfig, demoLines, demoTokens } from '../demo/demo.ts';
import { openStage } from '../demo/stage.ts';
import { openAdoption, readProfiles } from './adoption.ts';
import { openData, showData } from './data.ts';
import { openTransports } from './transports.ts';
import { tellFaults } from './faults.ts';
import { adminRoutes } from '../http/admin.ts';
import { joinFleet } from '../http/admin-fleet.ts';
import { allowedMethods, authenticating, createApp } from '../http/app.ts';
import { docsRoutes } from '../http/docs.ts';
import { negotiateRoute } from '../http/negotiate.ts';
import { opsRoutes, type Readiness } from '../http/ops.ts';
import { cookiePolicy } from '../http/origins.ts';
import { pollRoute } from '../http/poll.ts';
import { publishRoutes } from '../http/publish.ts';
import { atMost } from '../http/json-body.ts';
import { openServer } from '../http/server.ts';
import { refusingTargets, targetProblem } from '../http/target.ts';
import { FurthestReader } from '../hub/furthest-reader.ts';
import { Sessions } from '../hub/sessions.ts';
import { keyPrints } from '../auth/key-prints.ts';
import type { EventLog } from '../log/event-log.ts';
import { connectRedis } from '../log/open-log.ts';
import { droppedLines, type Logger } from '../logger.ts';
import { Metrics } from '../metrics/metrics.ts';
import { defaultRunFolder } from '../rollout/kill/local.ts';
import { createRollout } from '../rollout/rollout.ts';
import { RulesConnection } from '../rollout/rules/connection.ts';
import { Wheel } from '../transports/wheel.ts';

export interface GatewayOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Instead of the log that the settings describe. */
  readonly log?: EventLog;
  /** Called once it has drained and closed, whoever asked for it. */
  readonly onClosed?: () => void;
}

export interface Gateway {
  /** Where it listens: `http://127.0.0.1:4000`, the base path included. */
  readonly url: string;
  /** Lines to print: tokens of made-up users and commands to paste. Empty where a key is configured. */
  readonly banner: readonly string[];
  /** Sends all clients to other nodes, loses nothing, then closes. A second call returns the same promise. */
  drain(): Promise<void>;
  /** Counts and tells what a callback threw. */
  readonly onFault: OnFault;
}

/** Opens a node and listens. @throws ConfigError, a profile's problems and a port that is taken among them */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const { logger } = options;
  const config = options.config.isDemo ? demoConfig(options.config) : options.config;
  for (const warning of config.warnings) logger.warn(warning);
  const note = adminRolesNote(config);
  if (note !== undefined) logger[note.level](`${note.message}: ${note.next}`);
  const profiles = readProfiles(config, logger);
  const madeUpSecret = randomSecret();
  const nodeId = config.TURNOUT_NODE_ID ?? madeUpNodeId(options.clock);
  const basePath = config.TURNOUT_BASE_PATH;

  const metrics = new Metrics();
  const { traffic } = metrics;
  const onFault = tellFaults(metrics, logger, options.clock);
  const clock = isolatingTimers(options.clock, onFault);
  const onAsked = authServerReport(metrics, logger, clock);
  const authenticator = createAuthenticator(config, clock, madeUpSecret, onAsked);
  const cookie = cookiePolicy(config.TURNOUT_AUTH_COOKIE, config.TURNOUT_ORIGINS);
  const sessions = new Sessions();
  const wheel = new Wheel(clock, onFault);
  const node = { config, clock, logger, metrics, nodeId, onFault };
  const data = await openData(node, authenticator, options.log, profiles);
  const { log, hub, publisher } = data;
  const count = (reason: string): void => metrics.decisions.inc({ reason });
  // A connection of its own: a kill must not wait behind pages of events.
  const rulesRedis = connectRedis(node);
  const rules = rulesRedis && new RulesConnection(rulesRedis, clock, onFault);
  const rollout = createRollout({
    config,
    clock,
    nodeId,
    logger,
    sessions,
    shared: rules && {
      redis: rules,
      prefix: config.TURNOUT_REDIS_PREFIX,
      channelEnd: rulesRedis.target.channelEnd,
    },
    local: { folder: config.TURNOUT_RUN_DIR ?? defaultRunFolder(), pid: process.pid },
    prints: keyPrints(config),
    onDecision: count,
  });
  const { limits, inFlight, connections, longPoll, stream } = openTransports({
    node,
    data,
    admission: rollout.admission,
    sessions,
    wheel,
    authenticator,
    cookie,
    isMalformed: (request) => problemOf(request) !== undefined,
  });

  let opened = (): void => undefined;
  const isOpen = new Promise<void>((resolve) => (opened = resolve));
  let draining: Promise<void> | undefined;
  // The fleet may ask for it while this node still opens: it opens to its end first.
  const drain = (): Promise<void> => (draining ??= isOpen.then(() => shutDown()));
  let phase: Readiness['phase'] = 'starting';
  void rollout.ready.finally(() => {
    if (phase === 'starting') phase = 'serving';
  });
  const version = (): number => rollout.decider.assignment;
  const furthest = new FurthestReader(sessions, clock);
  metrics.onCollect(() => showData(metrics, data, sessions, furthest));
  metrics.onCollect(() => {
    metrics.showInFlight(inFlight);
    metrics.showDropped(droppedLines());
    metrics.rulesVersion.set(version());
    metrics.bridges.set(adoption.bridges());
  });
  const authenticate = authenticating(authenticator, cookie, limits, (request, identity) =>
    connections.belongsTo(request, identity),
  );
  const { decider, store } = rollout;
  const { TURNOUT_ADMIN_TOKEN: adminToken, TURNOUT_PING_MS: pingMs } = config;
  const ops = opsRoutes({
    authenticate: config.isDemo ? undefined : authenticate,
    metrics,
    readiness: () => ({
      phase,
      log: data.health(),
      rules: { ...store.health(), version: version() },
      bridges: adoption.bridges(),
    }),
    feeds: () => hub.feeds,
  });
  const origins = config.TURNOUT_ORIGINS;
  const takesCookies = cookie !== undefined;
  const app = createApp({ basePath, origins, takesCookies, clock, logger, metrics, limits, atRoot: ops });
  app.route('/', pollRoute({ authenticate, longPoll, limits }));
  const negotiates = { authenticate, authenticator, decider, store, log, basePath, pingMs };
  app.route('/', negotiateRoute({ ...negotiates, onNegotiated: ({ reason }) => count(reason) }));
  app.route('/', publishRoutes({ authenticate, publisher }));
  // Users of the auth server have no role, so it isn't asked about an admin token that was mistyped.
  const signedOnly = { verifyToken: (token: string | undefined) => authenticator.verifySigned(token) };
  const beginDrain = (): void => void drain();
  const perMin = config.TURNOUT_MAX_CHANGES_PER_AUTHOR_PER_MIN;
  const changes = new TokenBuckets({ perSecond: perMin / 60, burst: perMin, clock });
  app.route('/', adminRoutes({ rollout, authenticator: signedOnly, adminToken, drain: beginDrain, changes }));
  app.route('/', ops);
  app.route('/', docsRoutes(app));
  const publish: DemoPublish = (org, event) =>
    publisher.publishOne(demoBackendIdentity(org), 'producer', event);
  const onFailure = (err: unknown, what: string): void => logger.warn({ err }, what);
  const demoParts = { config, clock, secret: madeUpSecret, publish, atMost, onFailure };
  const stage = config.isDemo ? await openStage(demoParts) : undefined;
  if (stage !== undefined) app.route('/', stage.routes);

  const isOwn = (path: string): boolean => allowedMethods(app, path).length > 0;
  const adoption = openAdoption({
    ...node,
    profiles,
    data,
    decider,
    longPoll,
    authenticator,
    onAsked,
    limits,
    isOwn,
  });
  const ownerOf = (path: string): unknown => (isOwn(path) ? app : adoption.ownerOf(path));
  const problemOf = (request: IncomingMessage): string | undefined => targetProblem(request, ownerOf);
  const onRefused = (): void => metrics.httpRequests.inc({ route: 'unmatched', status: 400 });

  joinFleet({ rollout, sessions, clock, drain: beginDrain, shadows: () => adoption.shadows() });
  const server = await openServer({
    fetch: app.fetch,
    config,
    clock,
    takes: refusingTargets({ problemOf, clock, onRefused, next: adoption.takes }),
    attach: (on) => stream.attach(on),
    connections,
  });
  await stage?.begin(server.url);

  const shutDown = async (): Promise<void> => {
    phase = 'draining';
    logger.info({ streams: stream.open, polls: traffic.pollsHeld }, 'draining');
    await stage?.end();
    const withinMs = config.TURNOUT_DRAIN_MS;
    const endMs = clock.monotonic() + withinMs;
    await Promise.all([longPoll.drain(withinMs), stream.drain(withinMs), adoption.drain(withinMs)]);
    // Legacy clients came until the others were done: those get the rest of the time.
    await adoption.drain(endMs - clock.monotonic());
    adoption.lastCall();
    await longPoll.close();
    await server.close();
    const adoptionClosed = adoption.close();
    await rollout.close();
    rules?.close();
    await hub.close();
    await adoptionClosed;
    await data.close();
    await authenticator.close();
    wheel.close();
    logger.info('closed');
    options.onClosed?.();
  };
  // Only a secret that was made up for this run signs for strangers.
  const banner = config.hasKey
    ? []
    : demoLines(server.url, await demoTokens(madeUpSecret, clock), config.isDemo);
  opened();
  return { url: server.url, banner, drain, onFault };
}
