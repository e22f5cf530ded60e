/** The backend's side of a test: it publishes, and keeps the list that every client's list is compared with. */
import type { PublishResult } from '../../schema/http.ts';
import type { Envelope } from '../../schema/envelope.ts';
import { type Answer, call } from './http-client.ts';
import { makeProducerToken, testAdminToken } from './token-maker.ts';

export interface TestEvent {
  readonly service: string;
  readonly type?: string;
  readonly payload?: unknown;
  readonly to?: readonly string[];
  readonly id?: string;
  readonly [field: string]: unknown;
}

/** One request to the producers' route, whatever it answers. */
export function publishRaw<T = PublishResult>(
  url: string,
  token: string | undefined,
  body: unknown,
): Promise<Answer<T>> {
  return call<T>(`${url}/v1/publish`, { token, body });
}

export interface Published extends TestEvent {
  readonly seq: number;
}

export class Publisher {
  readonly url: string;
  readonly org: string;
  /** In seq order: everything that was acknowledged. */
  readonly published: Published[] = [];
  private readonly token: Promise<string>;

  constructor(url: string, org = 'acme') {
    this.url = url;
    this.org = org;
    this.token = makeProducerToken();
  }

  /** Publishes one batch. @throws unless it was acknowledged. */
  async publish(...events: readonly TestEvent[]): Promise<PublishResult> {
    const answer = await publishRaw(this.url, await this.token, {
      org: this.org,
      events: events.map((event) => ({ type: 'test', payload: {}, ...event })),
    });
    if (answer.status !== 200) throw new Error(`a publish was answered ${answer.status}: ${answer.text}`);
    for (const [index, { seq, duplicate }] of answer.body.results.entries()) {
      const event = events[index];
      if (event !== undefined && seq !== undefined && duplicate === undefined)
        this.published.push({ ...event, seq });
    }
    return answer.body;
  }

  /** Publishes `count` small events of `service`, in batches. */
  async publishMany(count: number, service: string): Promise<void> {
    for (let left = count; left > 0; left -= 100)
      await this.publish(
        ...Array.from({ length: Math.min(left, 100) }, (_, index) => ({ service, payload: { index } })),
      );
  }

  get head(): number {
    return this.published.at(-1)?.seq ?? 0;
  }

  /** The seqs that `user` must have received of `services` in (after, to]. */
  expected(user: string, services: readonly string[], after = 0, to = Number.POSITIVE_INFINITY): number[] {
    const wanted = new Set(services);
    return this.published
      .filter(({ seq, service, to: only }) => {
        const isTheirs = wanted.has(service) && (only === undefined || only.includes(user));
        return isTheirs && seq > after && seq <= to;
      })
      .map(({ seq }) => seq);
  }
}

export const seqs = (events: readonly Envelope[]): number[] => events.map(({ seq }) => seq ?? 0);

/** One call of the admin API, with the operator's token. */
export function admin<T = Record<string, unknown>>(
  url: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer<T>> {
  return call<T>(`${url}/admin/v1${path}`, { method, token: testAdminToken, body });
}

/** What this node's `/metrics` says of one series, summed over the labels that contain `labels`. */
export async function metric(url: string, name: string, labels = ''): Promise<number> {
  const { text } = await call(`${url}/metrics`);
  return text
    .split('\n')
    .filter((line) => (line.startsWith(`${name}{`) || line.startsWith(`${name} `)) && line.includes(labels))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
