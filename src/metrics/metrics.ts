/**
 * Every metric of a node, declared in one place, each label bounded. The hot paths keep plain numbers in `Traffic`, which
 * is read when somebody asks; nothing here is called once an event. One instance a gateway: a process may hold several.
 */
import { type Counter, collectDefaultMetrics, Registry } from 'prom-client';
import { codes } from '../../schema/codes.ts';
import type { BytesInFlight } from '../async/bytes-in-flight.ts';
import type { Transport } from '../../schema/frames.ts';
import type { Cohort } from '../../schema/http.ts';
import { LegacyMetrics } from './legacy.ts';
import { BridgeMetrics } from './bridge.ts';
import { Instruments } from './instruments.ts';
import { Traffic } from './traffic.ts';
import { WeightedHistogram } from './weighted-histogram.ts';

/** How a stream ended; src/transports/close-report.ts adds whose it was. */
export interface StreamEnd {
  /** The close code: ours where we ended it, else the peer's (1006: cut). */
  readonly code: number;
  /** Why we ended it, a code of our table; undefined where the peer did. Never the peer's own words. */
  readonly reason: string | undefined;
  readonly durationMs: number;
  /** We had moved or drained it, whichever side closed in the end: told apart from faults in every figure. */
  readonly isPlanned: boolean;
  /** It was acknowledged: a stream that was refused says nothing about how long connections last. */
  readonly wasLive: boolean;
}

const s = 1;
const min = 60;
const h = 3600;
const durationBuckets = [s, 5, 15, 30, min, 5 * min, 15 * min, 30 * min, h, 2 * h, 4 * h, 8 * h, 24 * h];
const latencyBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** Close codes that a peer may send and that we tell apart; any other is one label. */
const peerCodes = new Set([1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013]);
const ourCodes: ReadonlySet<number> = new Set(
  Object.values(codes).flatMap((entry) => ('close' in entry ? [entry.close] : [])),
);

export class Metrics extends Instruments {
  /** What the transports count, read at each collection. */
  readonly traffic = new Traffic();
  /** From append to the write towards the client, seconds. */
  readonly appendToWrite = new WeightedHistogram({
    name: 'turnout_append_to_write_seconds',
    help: 'from the append of an event to its write towards the client',
    label: 'transport',
    buckets: latencyBuckets,
    registry: this.registry,
  });
  readonly eventsAppended = this.counter('turnout_events_appended_total', 'events that the log stored');
  readonly eventsDuplicate = this.counter(
    'turnout_events_duplicate_total',
    'published events that were known by their id and answered with the first seq',
  );
  readonly publishRejected = this.counter('turnout_publish_rejected_total', 'publishes refused', ['code']);
  readonly reconnectAdvice = this.counter(
    'ws_reconnect_advice_total',
    'streams that were advised to open another connection',
    ['why'],
  );
  readonly feedRepairs = this.counter(
    'turnout_feed_repairs_total',
    'times that a feed read the log because its tail had missed something',
    ['why'],
  );
  readonly feedDeaf = this.counter(
    'turnout_feed_deaf_total',
    'subscriptions to Redis that heard nothing any more and were made anew',
  );
  readonly redisErrors = this.counter(
    'turnout_redis_errors_total',
    'commands to Redis that failed, by what it said',
    ['what'],
  );
  readonly faults = this.counter(
    'turnout_faults_total',
    'callbacks that threw, by where they were caught: a fault of Turnout, which somebody must look at',
    ['where'],
  );
  private readonly linesDropped = this.counter(
    'turnout_log_lines_dropped_total',
    'log lines that standard output had no room for',
  );
  readonly authAsked = this.counter(
    'turnout_auth_asked_total',
    'questions to the auth server, by how they ended; crowded: never sent, too many waited',
    ['outcome'],
  );
  readonly longTickets = this.counter(
    'turnout_tickets_long_total',
    'tickets whose claims were too long for a URL, by what became of them: held, or unavailable: handed out long',
    ['outcome'],
  );
  readonly decisions = this.counter(
    'turnout_decisions_total',
    'decisions taken: by negotiate, and for streams that came without a ticket',
    ['reason'],
  );
  readonly httpRequests = this.counter('turnout_http_requests_total', 'requests answered', [
    'route',
    'status',
  ]);
  readonly pollsLimited = this.counter(
    'turnout_polls_limited_total',
    'polls refused, or answered early to make room for a newer one of their user, by whose limit it was',
    ['by'],
  );
  readonly connections = this.gauge('turnout_connections', 'sessions connected now', ['transport', 'cohort']);
  readonly feeds = this.gauge('turnout_feeds', 'orgs with an open feed');
  readonly subscriptions = this.gauge('turnout_log_subscriptions', 'subscriptions to the log');
  readonly ringBytes = this.gauge('turnout_ring_bytes', 'bytes that the rings hold');
  readonly readerLag = this.gauge(
    'turnout_reader_lag_events',
    'events that the furthest reader is behind its log',
  );
  readonly rulesVersion = this.gauge(
    'turnout_rules_version',
    'version of the rollout rules that this node holds',
  );
  private readonly bytesInFlight = this.gauge(
    'turnout_bytes_in_flight',
    'bytes that clients make this node hold: answers not read, requests sent ahead, frames that wait',
    ['kind'],
  );
  private readonly connectionsCut = this.counter(
    'turnout_connections_cut_total',
    'connections cut for what they made this node hold: stalled (read nothing), pipelined (sent too many requests ahead), or the bound of the node, address or user',
    ['cause'],
  );
  readonly isLogUp = this.gauge('turnout_log_up', '1 while the event log can be reached');
  /** What passes between old clients and their old backend. */
  readonly legacy = new LegacyMetrics(this.registry);
  readonly bridges = new BridgeMetrics(this.registry);
  private readonly closes = this.counter('ws_closes_total', 'streams that ended', ['code', 'reason']);
  private readonly durations = this.histogram(
    'ws_connection_duration_seconds',
    'how long streams lasted; planned: we moved or drained them',
    durationBuckets,
    ['planned'],
  );
  private readonly polls = this.histogram(
    'turnout_poll_first_byte_seconds',
    'from a poll to its answer, where events were waiting',
    latencyBuckets,
  );
  private readonly hooks: (() => void | Promise<void>)[] = [];

  constructor() {
    super();
    const { traffic } = this;
    const frames = this.counter('ws_frames_sent_total', 'events sent on streams, by type', ['event']);
    const given = 'events given to clients, per client';
    const delivered = this.counter('turnout_events_delivered_total', given, ['transport']);
    const older = 'delivered events that were older than the connection';
    const replayed = this.counter('turnout_events_replayed_total', older, ['transport']);
    const compressed = this.counter('turnout_compressed_frames_total', 'compressed frames, per client');
    const accepted = this.counter('turnout_connections_accepted_total', 'streams accepted');
    const open = this.gauge('turnout_streams_open', 'open streams, counted from the upgrade on');
    const held = this.gauge('turnout_polls_held', 'polls that wait for an event, or for the log');
    this.onCollect(() => {
      copy(frames, 'event', traffic.frames);
      copy(delivered, 'transport', traffic.delivered);
      copy(replayed, 'transport', traffic.replayed);
      compressed.reset();
      compressed.inc(traffic.compressedFrames);
      accepted.reset();
      accepted.inc(traffic.acceptedStreams);
      open.set(traffic.activeStreams);
      held.set(traffic.pollsHeld);
    });
  }

  streamClosed(end: StreamEnd): void {
    this.closes.inc(closeLabels(end));
    if (!end.wasLive) return;
    this.durations.observe({ planned: String(end.isPlanned) }, end.durationMs / 1000);
  }

  pollAnswered(answer: { readonly hadEvents: boolean; readonly waitedMs: number }): void {
    if (answer.hadEvents) this.polls.observe(answer.waitedMs / 1000);
  }

  /** Sets how many sessions are connected now, by cohort and transport. */
  setConnections(connected: Readonly<Record<Cohort, Readonly<Record<Transport, number>>>>): void {
    for (const transport of ['websocket', 'long-poll'] as const)
      for (const cohort of ['canary', 'control'] as const)
        this.connections.set({ transport, cohort }, connected[cohort][transport]);
  }

  /** Shows what clients make this node hold, and how many connections were cut for it. */
  showInFlight({ held, cuts }: BytesInFlight): void {
    for (const [kind, bytes] of Object.entries(held)) this.bytesInFlight.set({ kind }, bytes);
    copy(this.connectionsCut, 'cause', cuts);
  }

  /** Sets how many log lines this process has dropped. */
  showDropped(lines: number): void {
    this.linesDropped.reset();
    this.linesDropped.inc(lines);
  }

  /** Runs `read` before each collection, which waits for it: it sets gauges from what the rooms hold. */
  onCollect(read: () => void | Promise<void>): void {
    this.hooks.push(read);
  }

  /** Returns all metrics in Prometheus's text format, the process's own included. */
  async text(): Promise<string> {
    await Promise.all(this.hooks.map(async (read) => read()));
    return `${await this.registry.metrics()}\n${await processRegistry().metrics()}`;
  }
}

/** Sets a counter to the plain numbers that the hot paths keep, one for each value of `label`. */
function copy<L extends string>(counter: Counter<L>, label: L, counts: Readonly<Record<string, number>>) {
  counter.reset();
  for (const [value, count] of Object.entries(counts))
    counter.inc({ [label]: value } as Record<L, string>, count);
}

/** Returns the labels of `ws_closes_total`: from our table, or one of a few for what a peer may send, never its words. */
export function closeLabels(end: Pick<StreamEnd, 'code' | 'reason'>): { code: string; reason: string } {
  const { code, reason } = end;
  const isKnown = peerCodes.has(code) || ourCodes.has(code);
  if (reason !== undefined && Object.hasOwn(codes, reason))
    return { code: isKnown ? String(code) : 'other', reason };
  return peerCodes.has(code)
    ? { code: String(code), reason: `peer_${code}` }
    : { code: 'other', reason: 'peer_other' };
}

let ofProcess: Registry | undefined;

/** Memory, CPU, event loop and GC belong to the process, however many gateways it holds: watched once. */
function processRegistry(): Registry {
  if (ofProcess === undefined) {
    ofProcess = new Registry();
    collectDefaultMetrics({ register: ofProcess });
  }
  return ofProcess;
}
