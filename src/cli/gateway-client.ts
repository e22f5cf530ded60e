/**
 * Asks a gateway over HTTP, and turns whatever comes back into the answer that was promised or into an error with an exit
 * code. Tokens go into the header alone: never into a URL, a message or a log.
 */
import type { z } from 'zod';
import { type Code, codes } from '../../schema/codes.ts';
import { errorBodySchema } from '../../schema/http.ts';
import { codeIn } from '../errors.ts';
import { jsonIn } from '../json.ts';
import { CommandError } from './exits.ts';
import { setting, type Terminal } from './terminal.ts';

const defaultUrl = 'http://127.0.0.1:4000';
const defaultTimeoutMs = 10_000;

export interface GatewayOptions {
  readonly url?: string;
  readonly token?: string;
}

export interface Call {
  readonly method?: 'GET' | 'POST' | 'PUT';
  readonly body?: unknown;
  /** The version that the caller saw. */
  readonly ifVersion?: number | undefined;
  readonly timeoutMs?: number;
}

/** Where commands for operators take their token from, in order of preference. */
export const adminTokens = ['TURNOUT_ADMIN_TOKEN', 'TURNOUT_TOKEN'];

/** The gateway that a command's options and the environment describe. */
export class GatewayClient {
  /** Without a slash at its end; the base path included. */
  readonly url: string;
  readonly token: string | undefined;

  private readonly stopped: AbortSignal;

  /** @param tokenNames variables that may hold its token. @throws CommandError `usage` */
  constructor({ env, stopped }: Terminal, options: GatewayOptions, tokenNames: readonly string[]) {
    const url = options.url ?? setting(env, 'TURNOUT_URL') ?? defaultUrl;
    if (!/^https?:\/\/[^/?#]+/.test(url) || !URL.canParse(url) || /[?#]/.test(url))
      throw new CommandError('usage', '--url (or TURNOUT_URL) must look like http://host:4000');
    const found = tokenNames.map((name) => setting(env, name)).find((value) => value !== undefined);
    const token = options.token?.trim() ?? found;
    if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
      throw new CommandError('usage', 'the token holds a space or a character that no token has');
    this.url = url.replace(/\/+$/, '');
    this.token = token;
    this.stopped = stopped;
  }

  /** @throws CommandError unless it answers 2xx with what `schema` describes */
  async call<T>(schema: z.ZodType<T>, path: string, call: Call = {}): Promise<T> {
    const answer = await this.ask(path, call);
    // It may end in its middle.
    const body = jsonIn(await this.reached(answer.text(), call));
    if (!answer.ok) throw refusal(this.url, answer, body);
    const parsed = schema.safeParse(body);
    if (parsed.success) return parsed.data;
    throw new CommandError('unreachable', `${this.url} answers, but not as a Turnout gateway`, {
      hint: 'check --url (or TURNOUT_URL), the base path included',
      cause: parsed.error,
    });
  }

  /** Any answer at all. @throws CommandError `unreachable` */
  async ask(path: string, call: Call = {}): Promise<Response> {
    const { method = 'GET', body, ifVersion, timeoutMs = defaultTimeoutMs } = call;
    const headers: Record<string, string> = {};
    if (this.token !== undefined) headers['authorization'] = `Bearer ${this.token}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (ifVersion !== undefined) headers['if-match'] = `"${ifVersion}"`;
    const request = fetch(`${this.url}${path}`, {
      method,
      headers,
      signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), this.stopped]),
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return this.reached(request, call);
  }

  private async reached<T>(asked: Promise<T>, { timeoutMs = defaultTimeoutMs }: Call): Promise<T> {
    try {
      return await asked;
    } catch (thrown) {
      const why = whyUnreached(thrown, `no answer in ${timeoutMs / 1000} s`);
      throw new CommandError('unreachable', `cannot reach ${this.url}: ${why}`, {
        hint: 'check --url (or TURNOUT_URL) and whether the gateway runs; any node will do',
        isTransient: true,
        cause: thrown,
      });
    }
  }
}

/** Why a fetch failed, in a word. @param late for one that took too long */
export function whyUnreached(thrown: unknown, late: string): string {
  if (!(thrown instanceof Error)) return 'the connection failed';
  return thrown.name === 'TimeoutError' ? late : (codeIn(thrown.cause) ?? 'the connection failed');
}

function refusal(url: string, answer: Response, body: unknown): CommandError {
  const parsed = errorBodySchema.safeParse(body);
  if (!parsed.success)
    return new CommandError('unreachable', `${url} answers ${answer.status}, but not as a Turnout gateway`, {
      hint: 'check --url (or TURNOUT_URL), and what stands between',
      isTransient: answer.status >= 500,
    });
  const { code, message, retry } = parsed.data.error;
  const { status } = codes[code];
  const retryAfterS = Number(answer.headers.get('retry-after') ?? Number.NaN);
  return new CommandError(status === 409 ? 'conflict' : 'refused', message, {
    code,
    hint: hints[code],
    isTransient: retry === 'backoff' || (retry === 'now' && status === 503),
    retryAfterMs: Number.isFinite(retryAfterS) ? retryAfterS * 1000 : undefined,
  });
}

const hints: Partial<Record<Code, string>> = {
  unauthorized:
    'set TURNOUT_ADMIN_TOKEN (rollout) or TURNOUT_TOKEN (tail, publish); `turnout token inspect` shows what one claims',
  role_required:
    'this needs a token with another role: viewer reads, operator changes the rollout, admin the lists, producer publishes',
  service_forbidden: "the token's claims don't name this service: `turnout token inspect` shows them",
  service_reserved:
    'events of that service come from a bridge alone: publish to another one, or where its source reads',
  org_forbidden: "the token's `orgs` claim doesn't name this org",
  version_conflict: 'look at `turnout rollout get`, then decide again',
  kill_file_present: 'remove it on that node: `turnout kill --local --undo`, then unkill again',
  log_unavailable: 'nothing was changed; `turnout doctor` on a node says what is wrong with Redis',
  bad_cursor: '--from takes `earliest`, a seq (0 or more), or a cursor as it was given',
  draining: 'that node is being drained: ask another',
};
