/**
 * Asks the old backend, or any server that knows, whose a credential is: one request at a time for each, its answer kept
 * shortly under a digest. Bounded in time, bytes, memory and requests under way. What it sends is the credential and
 * nothing else of the caller's; what it tells of a failure never holds one.
 */
import { LRUCache } from 'lru-cache';
import { Agent, request } from 'undici';
import { SingleFlight } from '../async/single-flight.ts';
import { type OrgPlace, whoIn } from './claims.ts';
import type { Credential } from './credential.ts';
import type { Clock } from '../clock.ts';
import { codeIn, fail, isHangUp } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { type Identity, userIdentity } from './identity.ts';

/** How asking ended: `unusable` is a 2xx without a user and an org where they were said to stand. */
export type AskOutcome = 'known' | 'refused' | 'unusable' | 'outage';

export interface AuthServerOptions {
  readonly url: string;
  readonly userPath: string;
  readonly org: OrgPlace;
  /** How long an answer is good: a withdrawn credential outlives its end by no more. 0: asked every time. */
  readonly cacheMs: number;
  readonly clock: Clock;
  readonly timeoutMs?: number;
  /** How long held connections stay while nobody can be asked. */
  readonly outageMs?: number;
  /** Services that a user may publish to. */
  readonly publishes?: readonly string[];
  /** Once for each question; `why` names a status or an error's code. */
  readonly onAsked?: ((outcome: AskOutcome, why: string) => void) | undefined;
}

interface Known {
  readonly user: string;
  readonly org: string;
  readonly untilMs: number;
}

const answerBytes = 64 * 1024;
const knownCredentials = 10_000;
// Apart from the known, so that made-up credentials never push out a real one.
const refusedCredentials = 500;
// Who is refused is not asked about again at once; who has just logged in doesn't wait long.
const refusedMs = 1500;
// A sealed credential stands in a ticket's URL, which proxies bound at 8 KiB.
const credentialChars = 4096;
const connections = 32;
const maxUnderway = 1024;
const defaults = { timeoutMs: 3000, outageMs: 300_000 };
// Of the cache time, at random: what was asked at once isn't asked again at once.
const spread = 0.1;

export class AuthServer {
  private readonly options: AuthServerOptions;
  private readonly agent = new Agent({ connections, pipelining: 1, maxResponseSize: answerBytes });
  /** By the credential's digest. */
  private readonly known = new LRUCache<string, Known>({ max: knownCredentials });
  /** Until when a refusal holds, by the credential's digest. */
  private readonly refused = new LRUCache<string, number>({ max: refusedCredentials });
  private readonly underway = new SingleFlight<Known>();
  /** The last question was answered, so that its connection may be used again. */
  private mayBeKept = false;

  constructor(options: AuthServerOptions) {
    this.options = options;
  }

  /**
   * Who brought this credential.
   * @param who whom it has to be, where that is known
   * @throws unauthorized; overloaded while the server can't be asked, which no new credential would cure
   */
  async identify(credential: Credential, who?: Pick<Identity, 'org' | 'sub'>): Promise<Identity> {
    const { org, user, untilMs } = await this.ask(credential);
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

  private async ask(credential: Credential): Promise<Known> {
    const nowMs = this.options.clock.now();
    if (credential.length > credentialChars || !credential.isSendable) throw fail('unauthorized');
    const digest = credential.digest();
    const known = this.known.get(digest);
    if (known !== undefined && known.untilMs > nowMs) return known;
    if ((this.refused.get(digest) ?? 0) > nowMs) throw fail('unauthorized');
    if (!this.underway.has(digest) && this.underway.size >= maxUnderway)
      throw fail('overloaded', 'who is asking cannot be checked now');
    return this.underway.run(digest, () => this.send(credential, digest));
  }

  private async send(credential: Credential, digest: string): Promise<Known> {
    const { clock, cacheMs, onAsked } = this.options;
    // From before the question: what was withdrawn while it was under way is not believed for longer.
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

  private async verdict(credential: Credential): Promise<{
    readonly outcome: AskOutcome;
    readonly why: string;
    readonly who?: Pick<Known, 'user' | 'org'> | undefined;
  }> {
    const { userPath, org } = this.options;
    try {
      const { status, text } = await this.exchange(credential);
      const why = String(status);
      if (status < 200 || status >= 300) return { outcome: isRefusal(status) ? 'refused' : 'outage', why };
      const who = whoIn(parsed(text), userPath, org);
      return { outcome: who === undefined ? 'unusable' : 'known', why, who };
    } catch (thrown) {
      return { outcome: 'outage', why: reasonOf(thrown) };
    }
  }

  /** A connection that the server closes while the question is on its way to it is no outage: asked once more. */
  private async exchange(credential: Credential): Promise<Exchanged> {
    const { clock, timeoutMs = defaults.timeoutMs } = this.options;
    const controller = new AbortController();
    const cancel = clock.after(timeoutMs, () =>
      controller.abort(Object.assign(new Error('timeout'), { code: 'timeout' })),
    );
    const { mayBeKept } = this;
    const once = (): Promise<Exchanged> => this.exchangeOnce(credential, controller.signal);
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

  private async exchangeOnce(credential: Credential, signal: AbortSignal): Promise<Exchanged> {
    const { url, headers } = credential.askAt(this.options.url);
    // undici's request follows no redirects: a way to a login page is an answer too.
    const answer = await request(url, {
      dispatcher: this.agent,
      signal,
      headers: { ...headers, accept: 'application/json' },
    });
    return { status: answer.statusCode, text: await answer.body.text() };
  }
}

interface Exchanged {
  readonly status: number;
  readonly text: string;
}

/** Redirects lead to logins. 404, 408, 429 and 5xx say something about the server, not about the caller. */
const isRefusal = (status: number): boolean =>
  (status >= 300 && status < 400) || status === 400 || status === 401 || status === 403;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A login page, answered 200.
    return undefined;
  }
}

/** An error's code, never its message: that may quote what was sent. */
function reasonOf(thrown: unknown): string {
  const code = codeIn(thrown) ?? 'failed';
  return code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE' ? 'too_large' : code;
}

// Each caller's failure as a line of its own would drown the log.
const quietMs = 10_000;

/** For `onAsked` of an auth server. Names an outcome and a status or error code, nothing of the caller. */
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
