/** The two transports of a node, and what bounds those who come to them. */
import type { IncomingMessage } from 'node:http';
import { BytesInFlight } from '../async/bytes-in-flight.ts';
import type { KeyedAuthenticator } from '../auth/authenticator.ts';
import { isLoopbackHost } from '../config/loopback.ts';
import { HttpConnections } from '../http/connections.ts';
import { createRequestLimits } from '../http/limits.ts';
import { type CookiePolicy, originPolicy } from '../http/origins.ts';
import type { Sessions } from '../hub/sessions.ts';
import type { Admission } from '../transports/admission.ts';
import { logClose } from '../transports/close-report.ts';
import { LongPoll } from '../transports/long-poll.ts';
import { WebSocketTransport } from '../transports/websocket.ts';
import type { Wheel } from '../transports/wheel.ts';
import type { NodeData, NodeParts } from './data.ts';

export interface TransportParts {
  readonly node: NodeParts;
  readonly data: Pick<NodeData, 'log' | 'hub' | 'publisher'>;
  readonly admission: Admission;
  readonly sessions: Sessions;
  readonly wheel: Wheel;
  readonly authenticator: KeyedAuthenticator;
  readonly cookie: CookiePolicy | undefined;
  /** True where an upgrade's target is refused whatever it asks for. */
  readonly isMalformed: (request: IncomingMessage) => boolean;
}

export function openTransports(parts: TransportParts) {
  const { node, data, admission, sessions, wheel, authenticator, cookie, isMalformed } = parts;
  const { config, clock, logger, metrics } = node;
  const { log, hub, publisher } = data;
  const { traffic } = metrics;
  const limits = createRequestLimits({
    perSecond: config.TURNOUT_MAX_REQUESTS_PER_ADDRESS_PER_S,
    trustedProxies: config.TURNOUT_TRUSTED_PROXIES,
    clock,
  });

  const inFlight = new BytesInFlight({
    node: config.TURNOUT_MAX_BYTES_IN_FLIGHT,
    address: config.TURNOUT_MAX_BYTES_IN_FLIGHT_PER_ADDRESS,
    user: config.TURNOUT_MAX_BYTES_IN_FLIGHT_PER_USER,
  });
  const connections = new HttpConnections({
    inFlight,
    stallMs: config.TURNOUT_STALLED_ANSWER_MS,
    addressOf: limits.networkOf,
  });
  // A user of a test or a demo on loopback may be a whole crowd.
  const perUser = isLoopbackHost(config.TURNOUT_HOST) ? 5000 : 256;
  const shared = { hub, sessions, admission, clock, wheel, traffic };
  const longPoll = new LongPoll({
    ...shared,
    isLogReachable: () => log.health().isReachable,
    maxHeld: config.TURNOUT_MAX_HELD_POLLS,
    maxHeldPerUser: config.TURNOUT_MAX_HELD_POLLS_PER_USER ?? perUser,
    onLimited: (by) => metrics.pollsLimited.inc({ by }),
    onAnswered: (answer) => metrics.pollAnswered(answer),
  });
  const stream = new WebSocketTransport({
    ...shared,
    authenticator,
    path: `${config.TURNOUT_BASE_PATH}/v2/realtime/stream`,
    pingMs: config.TURNOUT_PING_MS,
    maxConnections: config.TURNOUT_MAX_CONNECTIONS,
    maxPerUser: config.TURNOUT_MAX_CONNECTIONS_PER_USER ?? perUser,
    compressMinBytes: config.TURNOUT_COMPRESS_MIN_BYTES,
    maxPerAddress: config.TURNOUT_MAX_CONNECTIONS_PER_ADDRESS,
    addressOf: limits.networkOf,
    inFlight,
    isAnswering: (request) => connections.isAnswering(request),
    isOriginAllowed: originPolicy(config.TURNOUT_ORIGINS),
    cookie,
    mayUpgrade: (request) => limits.take(request) === 0,
    isMalformed,
    verifyToken: (token, asker) => authenticator.verifyToken(token, asker),
    publish: (identity, event) => publisher.publishOne(identity, 'user', event),
    onClosed(report) {
      metrics.streamClosed(report);
      logClose(logger, report);
    },
    onFault: (error) => logger.error({ err: error.cause ?? error }, 'a stream failed'),
    onAdvice: (why) => metrics.reconnectAdvice.inc({ why }),
  });
  return { limits, inFlight, connections, longPoll, stream };
}
