/** What passes between old clients and their old backend, measured: the control cohort's baseline. Labels are a profile's own names. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { ShadowSummary } from '../../schema/admin.ts';

/** Why a poll that was to be served was left to the old backend: a label. */
export type Unserved =
  | 'anonymous'
  | 'unavailable'
  | 'bad-request'
  | 'bridge-away'
  | 'cross-origin'
  | 'no-cursor'
  | 'unknown-cursor'
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

export class LegacyMetrics {
  private readonly seconds: Histogram<'profile' | 'route' | 'answered_by'>;
  private readonly requests: Counter<'profile' | 'route' | 'answered_by' | 'status'>;
  private readonly left: Counter<'profile' | 'why'>;
  private readonly shadows: Counter<'profile' | 'result'>;
  readonly open: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    const labels = ['profile', 'route', 'answered_by'] as const;
    this.seconds = new Histogram({
      name: 'legacy_request_seconds',
      help: "from a request of the old API to its answer's first byte, the hold included",
      labelNames: labels,
      buckets,
      registers,
    });
    this.requests = new Counter({
      name: 'legacy_requests_total',
      help: 'requests of the old API by class of status; refused: by us, broken: off by the backend, gone: the client',
      labelNames: [...labels, 'status'],
      registers,
    });
    this.left = new Counter({
      name: 'legacy_unserved_total',
      help: 'polls that the flag would have served and that were left to the old backend',
      labelNames: ['profile', 'why'],
      registers,
    });
    this.shadows = new Counter({
      name: 'legacy_shadow_total',
      help: 'answers of the old backend that were compared with what Turnout would have answered',
      labelNames: ['profile', 'result'],
      registers,
    });
    this.open = new Gauge({
      name: 'legacy_requests_open',
      help: 'requests of the old API that wait for their answer or its end',
      registers,
    });
  }

  unserved(profile: string, why: Unserved): void {
    this.left.inc({ profile, why });
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
