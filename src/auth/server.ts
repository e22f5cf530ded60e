/**
 * Asks an auth server (a legacy API's upstream, or TURNOUT_AUTH_URL) whose a credential is: one request at a time for each
 * credential, the answer cached by its digest. Time, bytes, memory and concurrent requests are bounded, and shared by who
 * asks. A request carries the credential and nothing else of the caller's; what is told of a failure never holds one.
 */
import { LRUCache } from 'lru-cache';
import { Agent, request } from 'undici';
import { SingleFlight } from '../async/single-flight.ts';
import { Slots } from '../async/slots.ts';
import { type OrgPlace, whoIn } from './claims.ts';
import type { Credential } from './credential.ts';
import type { Clock } from '../clock.ts';
import { codeIn, fail, isHangUp } from '../errors.ts';
import { jsonIn } from '../json.ts';
import type { Logger } from '../logger.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { type Identity, userIdentity, userKey } from './identity.ts';

/**
 * How a request ended: `unusable` is a 2xx without a user and an org where the settings say that they are; `crowded`: it was
 * never sent, as too many wait.
 */
export type AskOutcome = 'known' | 'refused' | 'unusable' | 'outage' | 'crowded';

export interface AuthServerOptions {
  readonly url: string;
  readonly userPath: string;
  readonly org: OrgPlace;
  /** How long an answer is good: a withdrawn credential stays good for no longer. 0: asked every time. */
  readonly cacheMs: number;
  readonly clock: Clock;
  readonly timeoutMs?: number;
  /** How long open connections stay while the server can't be asked. */
  readonly outageMs?: number;
  /** True for a credential that holds one of Turnout's own secrets: it is refused, and never sent. */
  readonly holdsSecret: (credential: Credential) => boolean;
  /** Services that a user may publish to. */
  readonly publishes?: readonly string[];
  /** Called once for each request; `why` is a status or an error's code. */
  readonly onAsked?: ((outcome: AskOutcome, why: string) => void) | undefined;
}

type Known = NonNullable<ReturnType<typeof whoIn>> & { readonly untilMs: number };

const answerBytes = 64 * 1024;
const knownCredentials = 10_000;
// Kept apart from the known ones, so that made-up credentials never evict a real one.
const refusedCredentials = 500;
// Long enough that a refused credential isn't asked about at once again, short enough for a caller who has just logged in.
const refusedMs = 1500;
// A sealed credential stands in a ticket's URL, which proxies bound at 8 KiB.
const credentialChars = 4096;
const connections = 32;
const maxQueued = 1000;
const defaults = { timeoutMs: 3000, outageMs: 300_000 };
// Random part of the cache time: credentials that were asked about together don't expire together.
const spread = 0.1;

export class AuthServer {
  private readonly agent = new Agent({ connections, pipelining: 1, maxResponseSize: answerBytes });
  /** By the credential's digest. */
  private readonly known = new LRUCache<string, Known>({ max: knownCredentials });
  /** When a refusal ends, Unix milliseconds, by the credential's digest. */
  private readonly refused = new LRUCache<string, number>({ max: refusedCredentials });
  private readonly underway = new SingleFlight<Known>();
  /** Who asks has turns: a flood of made-up credentials from one address takes every second slot, and no more. */
  private readonly slots: Slots;
  /** True where the last request was answered: its connection may be reused. */
  private mayBeKept = false;

  constructor(private readonly options: AuthServerOptions) {
    const { clock, timeoutMs: queueMs = defaults.timeoutMs } = options;
    this.slots = new Slots({ size: connections, maxQueued, queueMs, isShared: false, clock });
  }

  /**
   * Returns the identity of the caller with this credential.
   * @param who the user that it has to be, where that is known
   * @param asker by which an unknown credential has its turn, where `who` isn't known
   * @throws unauthorized; overloaded while the server can't be asked, which no new credential would cure
   */
  async identify(
    credential: Credential,
    who?: Pick<Identity, 'org' | 'sub'>,
    asker?: string,
  ): Promise<Identity> {
    const { org, user, untilMs } = await this.ask(credential, who === undefined ? asker : userKey(who));
    if (who !== undefined && (who.org !== org || who.sub !== user)) throw fail('unauthorized');
    const { publishes, outageMs = defaults.outageMs } = this.options;
    return {
      ...userIdentity({ org, sub: user, expiresAtMs: untilMs, publish: publishes }),
      vouch: { credential, outageMs, askAgain: () => this.identify(credential, { org, sub: user }) },
    };
  }

  close(): Promise<void> {
    return this.agent.destroy();
  }

  private async ask(credential: Credential, asker: string | undefined): Promise<Known> {
    const nowMs = this.options.clock.now();
    if (credential.length > credentialChars || !credential.isSendable) throw fail('unauthorized');
    const digest = credential.digest();
    const known = this.known.get(digest);
    if (known !== undefined && known.untilMs > nowMs) return known;
    if ((this.refused.get(digest) ?? 0) > nowMs) throw fail('unauthorized');
    if (this.options.holdsSecret(credential)) throw fail('unauthorized');
    const send = (): Promise<Known> => this.send(credential, digest);
    return this.underway.run(digest, () => this.slots.run(asker, send, () => this.crowded()));
  }

  private crowded(): Error {
    this.options.onAsked?.('crowded', 'queue');
    return fail('overloaded', 'who is asking cannot be checked now');
  }

  private async send(credential: Credential, digest: string): Promise<Known> {
    const { clock, cacheMs, onAsked } = this.options;
    // The cache time begins before the request: a credential that is withdrawn meanwhile isn't believed for longer.
    const askedMs = clock.now();
    const { outcome, why, who } = await this.verdict(credential);
    onAsked?.(outcome, why);
    if (outcome === 'outage') throw fail('overloaded', 'who is asking cannot be checked now');
    if (who === undefined) {
      this.known.delete(digest);
      this.refused.set(digest, clock.now() + Math.min(refusedMs, cacheMs));
      throw fail('unauthorized');
    }
    const known = { ...who, untilMs: askedMs + cacheMs * (1 - spread * clock.random()) };
    this.known.set(digest, known);
    return known;
  }

  private async verdict(
    credential: Credential,
  ): Promise<{ outcome: AskOutcome; why: string; who?: ReturnType<typeof whoIn> }> {
    const { userPath, org } = this.options;
    try {
      const { status, text } = await this.exchange(credential);
      const why = String(status);
      if (status < 200 || status >= 300) return { outcome: isRefusal(status) ? 'refused' : 'outage', why };
      // A login page that is answered 200 is no JSON.
      const who = whoIn(jsonIn(text), userPath, org);
      return { outcome: who === undefined ? 'unusable' : 'known', why, who };
    } catch (thrown) {
      return { outcome: 'outage', why: reasonOf(thrown) };
    }
  }

  /** Retries once where the server closed a kept-alive connection under the request: that is no outage. */
  private async exchange(credential: Credential) {
    const { clock, timeoutMs = defaults.timeoutMs } = this.options;
    const controller = new AbortController();
    const cancel = clock.after(timeoutMs, () =>
      controller.abort(Object.assign(new Error('timeout'), { code: 'timeout' })),
    );
    const { mayBeKept } = this;
    const once = () => this.exchangeOnce(credential, controller.signal);
    try {
      const answer = await once().catch((thrown: unknown) => {
        if (!mayBeKept || !isHangUp(thrown)) throw thrown;
        return once();
      });
      this.mayBeKept = true;
      return answer;
    } catch (thrown) {
      this.mayBeKept = false;
      throw thrown;
    } finally {
      cancel();
    }
  }

  private async exchangeOnce(credential: Credential, signal: AbortSignal) {
    const { url, headers } = credential.askAt(this.options.url);
    const options = { dispatcher: this.agent, signal, headers: { ...headers, accept: 'application/json' } };
    // undici's request follows no redirects: a redirect to a login page is an answer, too.
    const { statusCode: status, body } = await request(url, options);
    return { status, text: await body.text() };
  }
}

/** Redirects lead to login pages. 404, 408, 429 and 5xx tell about the server, not about the caller. */
const isRefusal = (status: number): boolean =>
  (status >= 300 && status < 400) || status === 400 || status === 401 || status === 403;

/** Returns an error's code, never its message, which may quote what was sent. */
function reasonOf(thrown: unknown): string {
  const code = codeIn(thrown) ?? 'failed';
  return code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE' ? 'too_large' : code;
}

// A line for each failed request would drown the log.
const quietMs = 10_000;

/** Returns an `onAsked` that counts each request and logs outages, by outcome and status or error code, without the caller. */
export function authServerReport(
  metrics: Pick<Metrics, 'authAsked'>,
  logger: Pick<Logger, 'warn'>,
  clock: Pick<Clock, 'monotonic'>,
) {
  let quietUntilMs = Number.NEGATIVE_INFINITY;
  return (outcome: AskOutcome, why: string): void => {
    metrics.authAsked.inc({ outcome });
    if (outcome === 'known' || outcome === 'refused' || clock.monotonic() < quietUntilMs) return;
    quietUntilMs = clock.monotonic() + quietMs;
    logger.warn({ outcome, why }, 'the auth server does not say who is asking');
  };
}
