/**
 * What is done with the polls of an old API besides passing them through: answered from the log where the flag says so,
 * and watched by the shadow. Whatever goes wrong here leaves the poll to the old backend.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { ShadowSummary } from '../../schema/admin.ts';
import type { Profile } from '../../schema/profile.ts';
import type { AskOutcome } from '../auth/server.ts';
import type { KeyedAuthenticator } from '../auth/authenticator.ts';
import type { Clock } from '../clock.ts';
import { firstInexactNumber } from '../log/exact-numbers.ts';
import { type AnswerTap, TapRoom } from './proxy/answer-tap.ts';
import {
  type Dialect,
  type LegacyAnswer,
  type LegacyRequest,
  LegacyRequestError,
} from './dialect/dialect.ts';
import { parseExact } from './dialect/exact-json.ts';
import { createLegacyIdentity, type LegacyIdentity } from './serve/identity.ts';
import { type Onward, ownCursor, unchanged, withoutCursor, withWait } from './proxy/onward.ts';
import { Places } from './serve/places.ts';
import { createDialect } from './dialect/profile-dialect.ts';
import { Shadow } from './shadow/shadow.ts';
import type { LegacyMetrics } from '../metrics/legacy.ts';
import type { EventLog } from '../log/event-log.ts';
import type { Decider } from '../rollout/decide/decide.ts';
import type { LongPoll } from '../transports/long-poll.ts';
import type { LegacyHooks, LegacyPoll, ReadBody } from './api.ts';
import { LegacyRelease } from './serve/release.ts';
import { LegacyServe } from './serve/serve.ts';
import { pollClientOf } from '../transports/poll-request.ts';

export interface LegacyHooksDeps {
  readonly profiles: readonly Profile[];
  readonly decider: Pick<Decider, 'servesLegacy' | 'servesAnyLegacy'>;
  readonly longPoll: Pick<LongPoll, 'hold' | 'mustClose'>;
  readonly log: Pick<EventLog, 'read' | 'health'>;
  readonly clock: Clock;
  readonly authenticator: Pick<KeyedAuthenticator, 'verifiedClaims'>;
  /** Somebody brings what the old backend has into the log. */
  readonly isFed: (profile: string) => boolean;
  readonly onAsked: (outcome: AskOutcome, why: string) => void;
  readonly metrics: Pick<LegacyMetrics, 'unserved' | 'shadowed'>;
}

/** All that stands behind one profile. */
interface Stand {
  readonly dialect: Dialect;
  readonly identity: LegacyIdentity;
  readonly serve: LegacyServe;
  readonly release: LegacyRelease;
  /** Absent: the profile has none. */
  readonly shadow: Shadow | undefined;
}

const maxWatchedBytes = 256 * 1024;
const maxWatchedBytesTogether = 32 * 1024 * 1024;

export class LegacyStands implements LegacyHooks {
  private readonly deps: LegacyHooksDeps;
  private readonly stands: ReadonlyMap<Profile, Stand>;
  private readonly room = new TapRoom(maxWatchedBytesTogether);
  /** Of polls that were held here, and are the old backend's by now: what is left of their wait. */
  private readonly left = new WeakMap<IncomingMessage, number>();

  constructor(deps: LegacyHooksDeps) {
    this.deps = deps;
    this.stands = new Map(deps.profiles.map((profile) => [profile, this.stand(profile)]));
  }

  /** What the shadows found on this node, by profile. */
  shadows(): Record<string, ShadowSummary> {
    const found = [...this.stands.values()].flatMap(({ dialect, shadow }) =>
      shadow === undefined ? [] : [[dialect.profile.name, shadow.report.summary()] as const],
    );
    return Object.fromEntries(found);
  }

  async serve(poll: LegacyPoll, readBody: ReadBody): Promise<LegacyAnswer | undefined> {
    const { decider, longPoll } = this.deps;
    const stand = this.stands.get(poll.profile);
    // While nobody is served, nobody is asked about.
    if (stand === undefined || !decider.servesAnyLegacy()) return undefined;
    const caller = await stand.identity.resolve(headOf(poll.request));
    if (typeof caller === 'string') return this.unserved(poll, caller);
    if (!decider.servesLegacy({ org: caller.org, sub: caller.user })) return undefined;
    if (!this.deps.isFed(poll.profile.name)) return this.unserved(poll, 'bridge-away');
    if (isCrossOrigin(poll.request) && !allowsOrigins(poll.profile))
      return this.unserved(poll, 'cross-origin');
    const request = await readRequest(poll, readBody);
    // Without the cursor that may stand in its body it would be taken for a new client's, and miss what lies behind.
    const asked = request && askedOf(stand.dialect, request);
    // The old backend has words of its own for what it doesn't understand.
    if (asked === undefined) return this.unserved(poll, 'bad-request');
    const client = stand.release.watched(pollClientOf(poll.response));
    const served = await stand.serve.answer(caller, asked, client);
    if (!served.isServed) {
      if (served.leftMs !== undefined) this.left.set(poll.request, served.leftMs);
      // Taken back while it was held.
      if (!decider.servesAnyLegacy()) return undefined;
      return this.unserved(poll, served.why);
    }
    const { answer } = served;
    return longPoll.mustClose ? { ...answer, headers: { ...answer.headers, connection: 'close' } } : answer;
  }

  async onward(poll: LegacyPoll, readBody: ReadBody): Promise<Onward | undefined> {
    const { wait } = poll.profile.request;
    const leftMs = this.left.get(poll.request);
    const fresh = await this.asNew(poll, readBody);
    if (leftMs === undefined || wait === undefined) return fresh;
    const text = wait.in === 'body' ? (await readBody())?.toString('utf8') : undefined;
    // Written again a number could be another: better held for longer than asked for something else.
    if (text !== undefined && firstInexactNumber(text) !== undefined) return fresh;
    return withWait(wait, leftMs, fresh ?? unchanged(poll.request.url ?? '/'), parsed(text));
  }

  async observe(poll: LegacyPoll, readBody: ReadBody): Promise<AnswerTap | undefined> {
    const stand = this.stands.get(poll.profile);
    const shadow = stand?.shadow;
    if (stand === undefined || shadow === undefined || !shadow.wants()) return undefined;
    const { clock } = this.deps;
    const asked = await readRequest(poll, readBody);
    if (asked === undefined) return undefined;
    // Asked about while the old backend is at it: its answer is compared with what this user would have been given.
    const resolved = stand.identity.resolve(asked);
    return {
      maxBytes: maxWatchedBytes,
      room: this.room,
      onAnswer: (seen) => {
        const answeredMs = clock.now();
        void resolved.then((caller) => {
          const cursor = askedOf(stand.dialect, asked)?.cursor;
          if (typeof caller === 'string' || !seen.isWhole || seen.status >= 400) return undefined;
          return shadow.watch({ org: caller.org, user: caller.user, cursor, answer: seen, answeredMs });
        });
      },
    };
  }

  async close(): Promise<void> {
    await Promise.all(
      [...this.stands.values()].map(({ identity, release }) => {
        release.close();
        return identity.close();
      }),
    );
  }

  /** Without Turnout's own cursor, where the poll carries one. */
  private async asNew(poll: LegacyPoll, readBody: ReadBody): Promise<Onward | undefined> {
    const { cursor } = poll.profile.request;
    const stand = this.stands.get(poll.profile);
    if (stand === undefined || cursor.format !== 'opaque') return undefined;
    const request = await readRequest(poll, readBody);
    const value = request && askedOf(stand.dialect, request)?.cursor;
    if (value === undefined || ownCursor(value) === undefined) return undefined;
    return withoutCursor(cursor, poll.request.url ?? '/', request?.body);
  }

  private unserved({ profile }: LegacyPoll, why: Parameters<LegacyMetrics['unserved']>[1]): undefined {
    this.deps.metrics.unserved(profile.name, why);
    return undefined;
  }

  private stand(profile: Profile): Stand {
    const { log, clock, longPoll, authenticator, onAsked, metrics } = this.deps;
    const dialect = createDialect(profile);
    const places = new Places({ log, dialect });
    const shadow = profile.shadow === undefined ? undefined : new Shadow({ dialect, places, log, clock });
    if (shadow !== undefined) shadow.report.onResult = (result) => metrics.shadowed(profile.name, result);
    const mayHold = (): boolean => this.deps.decider.servesAnyLegacy() && this.deps.isFed(profile.name);
    return {
      dialect,
      release: new LegacyRelease(mayHold, clock),
      identity: createLegacyIdentity(profile, { clock, authenticator, onAsked }),
      serve: new LegacyServe({ dialect, places, longPoll, log, clock, mayHold }),
      shadow,
    };
  }
}

function askedOf(dialect: Dialect, request: LegacyRequest): ReturnType<Dialect['ask']> | undefined {
  try {
    return dialect.ask(request);
  } catch (thrown) {
    if (thrown instanceof LegacyRequestError) return undefined;
    throw thrown;
  }
}

/** A page of another origin asks: a browser names its origin then. */
function isCrossOrigin({ headers: { origin, host } }: IncomingMessage): boolean {
  return origin !== undefined && !(URL.canParse(origin) && new URL(origin).host === host);
}

/** Without that header the browser keeps the answer from the page; the old backend may have it for some origins. */
const allowsOrigins = ({ response: { events, idle } }: Profile): boolean =>
  [events, idle].every(({ headers }) =>
    Object.keys(headers).some((name) => name.toLowerCase() === 'access-control-allow-origin'),
  );

/** Undefined: what the profile reads stands in a body that can't be looked into. */
async function readRequest(
  { profile, request }: LegacyPoll,
  readBody: ReadBody,
): Promise<LegacyRequest | undefined> {
  const { cursor, wait, limit } = profile.request;
  const isInBody = [cursor, wait, limit].some((field) => field?.in === 'body');
  const head = headOf(request);
  if (!isInBody) return { ...head, body: undefined };
  const text = (await readBody())?.toString('utf8');
  const body = parsed(text);
  return body === undefined && text !== '' ? undefined : { ...head, body };
}

function parsed(body = ''): unknown {
  try {
    return parseExact(body);
  } catch {
    return undefined;
  }
}

function headOf({ url = '/', headers }: IncomingMessage): Pick<LegacyRequest, 'query' | 'headers'> {
  const mark = url.indexOf('?');
  return { query: new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1)), headers: flat(headers) };
}

const flat = (headers: IncomingHttpHeaders): Record<string, string | undefined> =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  );
