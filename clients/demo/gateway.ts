/** What the page asks of the gateway: the crowd, the rollout, and changes to it. Every path is below the page's own. */
import type { ChangeAnswer, RolloutBody } from '../../schema/admin.ts';
import type { AuditEntry } from '../../schema/audit.ts';
import type { ErrorBody } from '../../schema/http.ts';
import type { CrowdState, PageTokens } from './state.ts';

export class DemoGateway {
  /** Where the gateway is, base path included, ending in a slash. */
  readonly url: string;
  private readonly token: string;

  constructor(url: string, token: string) {
    this.url = url;
    this.token = token;
  }

  static tokens(url: string): Promise<PageTokens> {
    return answerOf<PageTokens>(fetch(new URL('demo/tokens', url)));
  }

  crowd(): Promise<CrowdState> {
    return answerOf(fetch(new URL('demo/state', this.url)));
  }

  rollout(): Promise<RolloutBody> {
    return this.admin('GET', 'rollout');
  }

  async audit(): Promise<readonly AuditEntry[]> {
    const { entries } = await this.admin<{ entries: AuditEntry[] }>('GET', 'audit');
    return entries;
  }

  setPercent(percent: number): Promise<ChangeAnswer> {
    return this.admin('PUT', 'rollout/percent', { percent, reason: 'the slider of the demo' });
  }

  kill(): Promise<ChangeAnswer> {
    return this.admin('POST', 'rollout/kill', { reason: 'the kill button of the demo' });
  }

  unkill(): Promise<ChangeAnswer> {
    return this.admin('POST', 'rollout/unkill', { reason: 'brought back in the demo' });
  }

  private admin<T>(method: string, path: string, body?: object): Promise<T> {
    const headers = { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' };
    const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
    return answerOf(fetch(new URL(`admin/v1/${path}`, this.url), init));
  }
}

/** The gateway holds its answers to the schema; a refusal is thrown with its message. */
async function answerOf<T>(asked: Promise<Response>): Promise<T> {
  const answer = await asked;
  const body: unknown = await answer.json();
  if (answer.ok) return body as T;
  throw new Error((body as Partial<ErrorBody>).error?.message ?? `the gateway answered ${answer.status}`);
}
