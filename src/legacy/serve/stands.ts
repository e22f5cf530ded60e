/**
 * What happens to a poll of a legacy API: answered from the log where the flag says so, else forwarded, perhaps watched by
 * the shadow. Whatever goes wrong here leaves the poll to the upstream.
 */
import type { IncomingMessage } from 'node:http';
import type { ShadowSummary } from '../../../schema/admin.ts';
import type { Profile } from '../../../schema/profile.ts';
import { firstInexactNumber } from '../../log/exact-numbers.ts';
import type { LegacyMetrics } from '../../metrics/legacy.ts';
import type { Decider } from '../../rollout/decide/decide.ts';
import type { LongPoll } from '../../transports/long-poll.ts';
import { pollClientOf } from '../../transports/poll-request.ts';
import type { LegacyAnswer } from '../dialect/dialect.ts';
import { createDialect } from '../dialect/profile-dialect.ts';
import type { AnswerTap, TapRoom } from '../proxy/answer-tap.ts';
import { askedOf, type LegacyExchange } from '../proxy/exchange.ts';
import type { Forwarding } from '../proxy/relay.ts';
import { ownCursor, unchanged, type UpstreamRewrite, withoutCursor, withWait } from '../proxy/rewrite.ts';
import { Shadow } from '../shadow/shadow.ts';
import { LegacyIdentity, type LegacyIdentityDeps } from './identity.ts';
import { Places } from './places.ts';
import { LegacyRelease } from './release.ts';
import { SearchBudget } from './search-budget.ts';
import { LegacyServe, type LegacyServeDeps, type Served, unserved } from './serve.ts';

export interface LegacyStandsDeps extends Required<LegacyIdentityDeps>, Pick<LegacyServeDeps, 'log'> {
  readonly profiles: readonly Profile[];
  readonly decider: Pick<Decider, 'servesLegacy' | 'servesAnyLegacy'>;
  readonly longPoll: Pick<LongPoll, 'hold' | 'mustClose'>;
  /** Some bridge feeds the upstream's events into the log. */
  readonly isFed: (profile: string) => boolean;
  /** Pages of the log that looking for cursors may read a second, all profiles together. */
  readonly searchReadsPerS: number;
  readonly metrics: Pick<LegacyMetrics, 'unserved' | 'shadowed'>;
}

/** What becomes of a poll: an answer in Turnout's name, or how it is forwarded. */
export interface PollOutcome extends Pick<Forwarding, 'rewrite' | 'tap'> {
  readonly answer?: LegacyAnswer;
}

const maxWatchedBytes = 256 * 1024;
const maxWatchedBytesTogether = 32 * 1024 * 1024;

export class LegacyStands {
  private readonly stands: ReadonlyMap<Profile, Stand>;
  private readonly room: TapRoom = { leftBytes: maxWatchedBytesTogether };

  constructor(private readonly deps: LegacyStandsDeps) {
    const budget = new SearchBudget({ clock: deps.clock, readsPerS: deps.searchReadsPerS });
    this.stands = new Map(deps.profiles.map((profile) => [profile, openStand(profile, deps, budget)]));
  }

  /** What the shadows found on this node, by profile. */
  shadows(): Record<string, ShadowSummary> {
    const found = [...this.stands].flatMap(([{ name }, { shadow }]) =>
      shadow === undefined ? [] : [[name, shadow.report.summary()] as const],
    );
    return Object.fromEntries(found);
  }

  /** Answers a poll, or tells how to forward it. The poll's body is read only where the profile needs it. */
  async offer(poll: LegacyExchange): Promise<PollOutcome> {
    const { decider, longPoll, metrics } = this.deps;
    const stand = this.stands.get(poll.profile);
    if (stand === undefined) return {};
    const served = await this.serve(stand, poll);
    if (served?.isServed === true) {
      const { answer } = served;
      if (!longPoll.mustClose) return { answer };
      return { answer: { ...answer, headers: { ...answer.headers, connection: 'close' } } };
    }
    // Nothing is counted of a poll that was taken back while it was held.
    if (served !== undefined && decider.servesAnyLegacy()) metrics.unserved(poll.profile.name, served.why);
    const rewrite = await this.rewrite(stand, poll, served?.leftMs);
    return { rewrite, tap: await this.tap(stand, poll) };
  }

  async close(): Promise<void> {
    await Promise.all(
      [...this.stands.values()].map(({ identity, release }) => {
        release.close();
        return identity.close();
      }),
    );
  }

  /** Undefined: the flag leaves this caller to the upstream. */
  private async serve(stand: Stand, poll: LegacyExchange): Promise<Served | undefined> {
    const { decider, isFed } = this.deps;
    // While nobody is served, nobody is asked about.
    if (!decider.servesAnyLegacy()) return undefined;
    const caller = await stand.identity.resolve(poll.head, poll.network);
    if (typeof caller === 'string') return unserved(caller);
    if (!decider.servesLegacy(caller)) return undefined;
    if (!isFed(poll.profile.name)) return unserved('bridge-away');
    if (isCrossOrigin(poll.request) && !allowsOrigins(poll.profile)) return unserved('cross-origin');
    const request = await poll.read();
    // Without the cursor that may stand in its body it would be taken for a new client's, and miss what lies behind.
    const asked = request && askedOf(stand.dialect, request);
    // The upstream has words of its own for what it doesn't understand.
    if (asked === undefined) return unserved('bad-request');
    const client = pollClientOf(poll.response, poll.network);
    return stand.serve.answer(caller, asked, stand.release.watched(client));
  }

  /** @param leftMs of the wait of a poll that was held here */
  private async rewrite(
    stand: Stand,
    poll: LegacyExchange,
    leftMs: number | undefined,
  ): Promise<UpstreamRewrite | undefined> {
    const { wait } = poll.profile.request;
    const fresh = await this.asNew(stand, poll);
    if (leftMs === undefined || wait === undefined) return fresh;
    const text = wait.in === 'body' ? await poll.text() : undefined;
    // Written again a number could be another: better held for longer than asked for something else.
    if (text !== undefined && firstInexactNumber(text) !== undefined) return fresh;
    const request = await poll.read();
    return withWait(wait, leftMs, fresh ?? unchanged(poll.request.url ?? '/'), request?.body);
  }

  /** Without Turnout's own cursor, where the poll carries one. */
  private async asNew({ dialect }: Stand, poll: LegacyExchange): Promise<UpstreamRewrite | undefined> {
    const { cursor } = poll.profile.request;
    if (cursor.format !== 'opaque') return undefined;
    const request = await poll.read();
    const value = request && askedOf(dialect, request)?.cursor;
    if (value === undefined || ownCursor(value) === undefined) return undefined;
    return withoutCursor(cursor, poll.request.url ?? '/', request?.body);
  }

  private async tap(
    { dialect, identity, shadow }: Stand,
    poll: LegacyExchange,
  ): Promise<AnswerTap | undefined> {
    if (shadow?.wants() !== true) return undefined;
    const request = await poll.read();
    if (request === undefined) return undefined;
    const cursor = askedOf(dialect, request)?.cursor;
    // Asked about while the upstream is at it: its answer is compared with what this user would have been given.
    const resolved = identity.resolve(request, poll.network);
    return {
      maxBytes: maxWatchedBytes,
      room: this.room,
      onAnswer: (seen) => {
        const answeredMs = this.deps.clock.now();
        void resolved.then((caller) => {
          if (typeof caller === 'string' || !seen.isWhole || seen.status >= 400) return undefined;
          return shadow.watch({ org: caller.org, user: caller.sub, cursor, answer: seen, answeredMs });
        });
      },
    };
  }
}

type Stand = ReturnType<typeof openStand>;

/** Everything that serves one profile. */
function openStand(profile: Profile, deps: LegacyStandsDeps, budget: SearchBudget) {
  const { decider, isFed, log, clock, longPoll, authenticator, onAsked, metrics } = deps;
  const dialect = createDialect(profile);
  const places = new Places({ log, dialect, clock, budget });
  const mayHold = (): boolean => decider.servesAnyLegacy() && isFed(profile.name);
  const watch = { dialect, places, log, clock };
  return {
    dialect,
    release: new LegacyRelease(mayHold, clock),
    identity: new LegacyIdentity(profile, { clock, authenticator, onAsked }),
    serve: new LegacyServe({ dialect, places, longPoll, log, clock, mayHold }),
    /** Undefined: the profile has none. */
    shadow: profile.shadow && new Shadow(watch, (result) => metrics.shadowed(profile.name, result)),
  };
}

/** A page of another origin asks: a browser names its origin then. */
function isCrossOrigin({ headers: { origin, host } }: IncomingMessage): boolean {
  return origin !== undefined && !(URL.canParse(origin) && new URL(origin).host === host);
}

/** Without that header the browser keeps the answer from the page; the upstream may have it for some origins. */
const allowsOrigins = ({ response: { events, idle } }: Profile): boolean =>
  [events, idle].every(({ headers }) =>
    Object.keys(headers).some((name) => name.toLowerCase() === 'access-control-allow-origin'),
  );
