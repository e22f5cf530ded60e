/** One node, put together: the only file that may import every room. Opens them in order and closes them in reverse. */
import { hostname } from 'node:os';
import type { Profile } from '../schema/profile.ts';
import { createAuthenticator, createDemoSecret } from './auth.ts';
import { authServerReport } from './auth-report.ts';
import type { Clock } from './clock.ts';
import { type Config, environment, isLoopbackHost } from './config.ts';
import { demoBackendIdentity, demoConfig, demoLines, type DemoPublish, demoTokens } from './demo/demo.ts';
import { openStage } from './demo/stage.ts';
import { adminRoutes } from './http/admin.ts';
import { joinFleet } from './http/admin-fleet.ts';
import { authenticating, createApp } from './http/app.ts';
import { allowedMethods } from './http/allowed-methods.ts';
import { docsRoutes } from './http/docs.ts';
import { openLegacyApi } from './http/legacy.ts';
import { LegacyStands } from './http/legacy-hooks.ts';
import { createRequestLimits } from './http/limits.ts';
import { negotiateRoute } from './http/negotiate.ts';
import { opsRoutes, type Readiness } from './http/ops.ts';
import { cookiePolicy, originPolicy } from './http/origins.ts';
import { pollRoute } from './http/poll.ts';
import { publishRoutes } from './http/publish.ts';
import { openServer } from './http/server.ts';
import { Hub } from './hub/hub.ts';
import { Sessions } from './hub/sessions.ts';
import { type Bridges, openBridges } from './legacy/bridge.ts';
import { loadProfiles } from './legacy/load-profiles.ts';
import type { EventLog, LogHealth } from './log/event-log.ts';
import { connectRedis, openLog } from './log/open-log.ts';
import { type Logger, logClose } from './logger.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { Publisher } from './publisher.ts';
import { RightsWatch } from './redis-rights.ts';
import { defaultRunFolder } from './rollout/local-kill.ts';
import { createRollout } from './rollout/rollout.ts';
import { RulesConnection } from './rollout/rules-connection.ts';
import { shareTicketKey } from './ticket-key.ts';
import { Traffic } from './traffic.ts';
import { threadOf } from './transports/close-report.ts';
import { LongPoll } from './transports/long-poll.ts';
import { WebSocketTransport } from './transports/websocket.ts';
import { Wheel } from './transports/wheel.ts';

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
  /** Lines to paste: people to be and what to do as them. Empty where a key was configured. */
  readonly banner: readonly string[];
  /** Sends everybody elsewhere, loses nothing, then closes. Whoever asks again waits for the same. */
  drain(): Promise<void>;
}

// A Redis that is there is waited for; one that is away must not keep the node from serving.
const startMs = 2000;
const maxPerUser = { loopback: 5000, elsewhere: 256 };

/** The APIs of before that this node speaks for. @throws ConfigError */
function readProfiles(config: Config, logger: Logger): readonly Profile[] {
  const { TURNOUT_PROFILES: places, TURNOUT_HOST: host, TURNOUT_PORT: port } = config;
  const { profiles, warnings } = loadProfiles(places, environment(), { host, port });
  for (const warning of warnings) logger.warn(warning);
  if (profiles.length > 0) logger.info({ profiles: profiles.map(({ name }) => name) }, 'profiles are read');
  return profiles;
}

/** Opens a node and listens. @throws ConfigError, a profile's problems among them, or what listening throws (EADDRINUSE). */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const { clock, logger } = options;
  const config = options.config.isDemo ? demoConfig(options.config) : options.config;
  if (config.TURNOUT_DEMO === true && !config.isDemo)
    logger.warn('TURNOUT_DEMO is off: it lets anybody be anybody, and a key is configured');
  const profiles = readProfiles(config, logger);
  const madeUpSecret = createDemoSecret();
  const nodeId = config.TURNOUT_NODE_ID ?? `${hostname().replaceAll(/[^A-Za-z0-9._-]/g, '-')}-${process.pid}`;
  const basePath = config.TURNOUT_BASE_PATH;

  const metrics = createMetrics(new Traffic());
  const { traffic } = metrics;
  const onAsked = authServerReport(metrics, logger, clock);
  const authenticator = createAuthenticator(config, clock, madeUpSecret, onAsked);
  const cookie = cookiePolicy(config.TURNOUT_AUTH_COOKIE, config.TURNOUT_ORIGINS);
  const sessions = new Sessions();
  const wheel = new Wheel(clock);
  const node = { config, clock, logger, metrics, nodeId };
  const redis = connectRedis(node);
  const log = options.log ?? openLog(redis, node);
  await redis?.ready(startMs);
  const rights = redis && new RightsWatch({ redis, prefix: config.TURNOUT_REDIS_PREFIX, clock, logger });
  await rights?.begin();
  const stopSharing =
    redis !== undefined && authenticator.needsTicketSecret
      ? shareTicketKey({
          redis,
          prefix: config.TURNOUT_REDIS_PREFIX,
          clock,
          onSecret: (secret) => authenticator.useTicketSecret(secret),
        })
      : () => undefined;
  const hub = openHub(log, options, config, metrics);
  const publisher = new Publisher({ log, clock, metrics });
  const count = (reason: string): void => metrics.decisions.inc({ reason });
  // A connection of its own: a kill must not wait behind pages of events.
  const rulesRedis = connectRedis(node);
  const rules = rulesRedis && new RulesConnection(rulesRedis, clock);
  const rollout = createRollout({
    config,
    clock,
    nodeId,
    logger,
    sessions,
    shared: rules && { redis: rules, prefix: config.TURNOUT_REDIS_PREFIX },
    local: { folder: config.TURNOUT_RUN_DIR ?? defaultRunFolder(), pid: process.pid },
    onDecision: count,
  });
  const limits = createRequestLimits({
    perSecond: config.TURNOUT_MAX_REQUESTS_PER_ADDRESS_S,
    trustedProxies: config.TURNOUT_TRUSTED_PROXIES,
    clock,
  });

  const shared = { hub, sessions, admission: rollout.admission, clock, wheel, traffic };
  const longPoll = new LongPoll({
    ...shared,
    maxHeld: config.TURNOUT_MAX_HELD_POLLS,
    onAnswered: (answer) => metrics.pollAnswered(answer),
  });
  const stream = new WebSocketTransport({
    ...shared,
    authenticator,
    path: `${basePath}/v2/realtime/stream`,
    pingMs: config.TURNOUT_PING_MS,
    maxConnections: config.TURNOUT_MAX_CONNECTIONS,
    maxPerUser: config.TURNOUT_MAX_CONNECTIONS_PER_USER ?? maxPerUser[placeOf(config)],
    compressMinBytes: config.TURNOUT_COMPRESS_MIN_BYTES,
    maxPerAddress: config.TURNOUT_MAX_CONNECTIONS_PER_ADDRESS,
    addressOf: (request) => limits.addressOf(request),
    isOriginAllowed: originPolicy(config.TURNOUT_ORIGINS),
    cookie,
    mayUpgrade: (request) => limits.take(request) === 0,
    verifyToken: (token) => authenticator.verifyToken(token),
    publish: (identity, event) => publisher.publishOne(identity, 'user', event),
    onClosed(report) {
      metrics.streamClosed(report);
      logClose(logger, { ...report, transport: 'websocket', threadId: threadOf(report) });
    },
    onFault: (error) => logger.error({ err: error.cause ?? error }, 'a stream failed'),
    onAdvice: (why) => metrics.reconnectAdvice.inc({ why }),
  });

  let phase: Readiness['phase'] = 'starting';
  void rollout.ready.finally(() => {
    if (phase === 'starting') phase = 'serving';
  });
  const version = (): number => rollout.decider.assignment;
  const bridges: Bridges = openBridges({
    profiles,
    log,
    redis,
    prefix: config.TURNOUT_REDIS_PREFIX,
    nodeId,
    clock,
    logger,
    isOn: config.TURNOUT_BRIDGE,
  });
  metrics.onCollect(() => {
    collect(metrics, hub, sessions, log, version());
    metrics.bridges.set(bridges.report());
  });
  const authenticate = authenticating(authenticator, cookie);
  const asBackend: DemoPublish = (org, event) =>
    publisher.publishOne(demoBackendIdentity(org), 'producer', event);
  const { decider, store } = rollout;
  const { TURNOUT_ADMIN_TOKEN: adminToken, TURNOUT_PING_MS: pingMs } = config;
  const onNegotiated = ({ reason }: { reason: string }): void => count(reason);
  const negotiate = { authenticate, authenticator, decider, store, log, basePath, pingMs, onNegotiated };
  const ops = opsRoutes({
    authenticate: config.isDemo ? undefined : authenticate,
    metrics,
    readiness: () => ({
      phase,
      log: withDetail(log.health(), rights?.detail),
      rules: { ...store.health(), version: version() },
      bridges: bridges.report(),
    }),
    feeds: () => hub.feeds,
  });
  const origins = config.TURNOUT_ORIGINS;
  const takesCookies = cookie !== undefined;
  const app = createApp({ basePath, origins, takesCookies, clock, logger, metrics, limits, atRoot: ops });
  app.route('/', pollRoute({ authenticate, longPoll }));
  app.route('/', negotiateRoute(negotiate));
  app.route('/', publishRoutes({ authenticate, publisher }));
  // Nobody whom the auth server knows has a role: a mistyped admin token is none of its business.
  const signedOnly = { verifyToken: (token: string | undefined) => authenticator.verifySigned(token) };
  const drainThis = (): void => void drain();
  app.route('/', adminRoutes({ rollout, authenticator: signedOnly, adminToken, drain: drainThis }));
  const hooks = new LegacyStands({
    profiles,
    decider,
    longPoll,
    log,
    clock,
    authenticator,
    onAsked,
    metrics: metrics.legacy,
  });
  joinFleet({ rollout, sessions, drain: drainThis, shadows: () => hooks.shadows() });
  app.route('/', ops);
  app.route(
    '/',
    docsRoutes(() => app),
  );
  const onDemoFailure = (err: unknown, what: string): void => logger.warn({ err }, what);
  const staged = { config, clock, secret: madeUpSecret, publish: asBackend, onFailure: onDemoFailure };
  const stage = config.isDemo ? await openStage(staged) : undefined;
  if (stage !== undefined) app.route('/', stage.routes);

  const isOwn = (path: string): boolean => allowedMethods(app.routes, path).length > 0;
  const legacy = openLegacyApi({ config, profiles, hooks, isOwn, limits, metrics, clock, logger });

  const server = await openServer({
    fetch: app.fetch,
    config,
    clock,
    takes: legacy?.takes,
    attach: (on) => stream.attach(on),
  });
  await stage?.begin(server.url);

  const shutDown = async (): Promise<void> => {
    phase = 'draining';
    logger.info({ streams: stream.open, polls: traffic.pollsHeld }, 'draining');
    // Another node goes on with it meanwhile.
    const bridgesClosed = bridges.close();
    await stage?.end();
    const withinMs = config.TURNOUT_DRAIN_MS;
    await Promise.all([longPoll.drain(withinMs), stream.drain(withinMs), legacy?.drain(withinMs)]);
    await server.close();
    legacy?.close();
    await hooks.close();
    await rollout.close();
    rules?.close();
    await hub.close();
    await bridgesClosed;
    await log.close();
    stopSharing();
    rights?.close();
    redis?.close();
    await authenticator.close();
    wheel.close();
    logger.info('closed');
    options.onClosed?.();
  };
  let draining: Promise<void> | undefined;
  const drain = (): Promise<void> => {
    draining ??= shutDown();
    return draining;
  };
  // Only a secret that was made up for this run signs for strangers.
  const banner = config.hasKey
    ? []
    : demoLines(server.url, await demoTokens(madeUpSecret, clock), config.isDemo);
  return { url: server.url, banner, drain };
}

const withDetail = (health: LogHealth, more = ''): LogHealth =>
  more === '' ? health : { ...health, detail: `${health.detail}; ${more}` };

const placeOf = (config: Config): keyof typeof maxPerUser =>
  isLoopbackHost(config.TURNOUT_HOST) ? 'loopback' : 'elsewhere';

function openHub(log: EventLog, { clock, logger }: GatewayOptions, config: Config, metrics: Metrics): Hub {
  return new Hub({
    log,
    clock,
    ringBytes: config.TURNOUT_RING_BYTES,
    lingerMs: config.TURNOUT_FEED_LINGER_MS,
    retention: {
      ageMs: config.TURNOUT_RETENTION_MS,
      events: config.TURNOUT_RETENTION_EVENTS,
      bytes: config.TURNOUT_RETENTION_BYTES,
    },
    onRepair(org, why) {
      metrics.feedRepairs.inc({ why });
      logger.warn({ org, why }, 'a feed reads the log again');
    },
    onFlushed: (form, sinceMs, readers) =>
      metrics.appendToWrite.observe(form.transport, (clock.now() - sinceMs) / 1000, readers),
  });
}

function collect(metrics: Metrics, hub: Hub, sessions: Sessions, log: EventLog, version: number): void {
  const health = log.health();
  metrics.feeds.set(hub.feeds);
  metrics.ringBytes.set(hub.ringBytes);
  metrics.subscriptions.set(health.subscriptions);
  metrics.isLogUp.set(health.isUp ? 1 : 0);
  metrics.rulesVersion.set(version);
  metrics.setConnections(sessions.all());
  let lag = 0;
  for (const session of sessions.all()) lag = Math.max(lag, session.behind());
  metrics.readerLag.set(lag);
}
