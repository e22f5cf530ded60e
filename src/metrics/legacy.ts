/** What passes between old clients and their old backend, measured: the control cohort's baseline. Labels are a profile's own names. */
import type { Code } from '../../schema/codes.ts';
import type { ShadowSummary } from '../../schema/admin.ts';
import { Instruments } from './instruments.ts';

/** Why a poll that was to be served was left to the old backend: a label. */
export type Unserved =
  | 'anonymous'
  | 'service-forbidden'
  | 'unavailable'
  | 'bad-request'
  | 'bridge-away'
  | 'cross-origin'
  | 'no-cursor'
  | 'unknown-cursor'
  | 'search-limit'
  | 'gap'
  | 'instant'
  | 'reset'
  | 'log-away'
  | 'overloaded';
/** What the shadow said of an answer: a label. */
type Shadowed = 'same' | keyof ShadowSummary['differences'];

interface LegacyAnswered {
  readonly profile: string;
  /** The pattern of the profile, never the path that was asked. */
  readonly route: string;
  /** The upstream, or Turnout in its words. */
  readonly answeredBy: 'upstream' | 'turnout';
  readonly outcome: 'answered' | 'refused' | 'broken' | 'gone';
  readonly status: number | undefined;
  readonly firstByteMs: number;
}

// A held poll's time is its hold: up to minutes.
const buckets = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300,
];

const labelNames = ['profile', 'route', 'answered_by'] as const;

export class LegacyMetrics extends Instruments {
  readonly open = this.gauge(
    'legacy_requests_open',
    'requests of the old API that wait for their answer or its end',
  );
  private readonly seconds = this.histogram(
    'legacy_request_seconds',
    "from a request of the old API to its answer's first byte, the hold included",
    buckets,
    [...labelNames],
  );
  private readonly requests = this.counter(
    'legacy_requests_total',
    'requests of the old API by class of status; refused: by us, broken: off by the backend, gone: the client',
    [...labelNames, 'status'],
  );
  private readonly left = this.counter(
    'legacy_unserved_total',
    'polls that the flag would have served and that were left to the old backend',
    ['profile', 'why'],
  );
  private readonly refusals = this.counter(
    'legacy_refused_total',
    'requests of the old API that Turnout refused by itself, by error code',
    ['profile', 'code'],
  );
  private readonly shadows = this.counter(
    'legacy_shadow_total',
    'answers of the old backend that were compared with what Turnout would have answered',
    ['profile', 'result'],
  );

  unserved(profile: string, why: Unserved): void {
    this.left.inc({ profile, why });
  }

  refused(profile: string, code: Code): void {
    this.refusals.inc({ profile, code });
  }

  shadowed(profile: string, result: Shadowed): void {
    this.shadows.inc({ profile, result });
  }

  answered({ profile, route, answeredBy, outcome, status, firstByteMs }: LegacyAnswered): void {
    const labels = { profile, route, answered_by: answeredBy };
    const kind = outcome === 'answered' ? `${Math.floor((status ?? 0) / 100)}xx` : outcome;
    this.requests.inc({ ...labels, status: kind });
    // One who left before an answer came tells nothing of how long it takes.
    if (status !== undefined) this.seconds.observe(labels, firstByteMs / 1000);
  }
}
