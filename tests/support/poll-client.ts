/** A long-poll client that a test drives: one request at a time, the cursor kept as any client would keep it. */
import { Agent } from 'node:http';
import type { PollBody } from '../../schema/http.ts';
import { type Answer, call } from './http-client.ts';

export type PollParams = Readonly<Record<string, string | number | undefined>>;

/** One poll, with exactly these query parameters. */
export function poll<T = PollBody>(
  url: string,
  token: string | undefined,
  params: PollParams,
  options: { readonly agent?: Agent; readonly signal?: AbortSignal } = {},
): Promise<Answer<T>> {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value !== undefined) query.set(name, String(value));
  return call<T>(`${url}/v1/realtime/poll?${query.toString()}`, { token, ...options });
}

export class PollClient {
  readonly url: string;
  readonly token: string;
  readonly services: readonly string[];
  cursor: string | undefined;
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 2 });

  constructor(url: string, token: string, services: readonly string[], cursor?: string) {
    this.url = url;
    this.token = token;
    this.services = services;
    this.cursor = cursor;
  }

  /** Asks once and moves the cursor on. @throws on anything but 200. */
  async ask(params: PollParams = {}, signal?: AbortSignal): Promise<PollBody> {
    const answer = await poll(
      this.url,
      this.token,
      { services: this.services.join(','), cursor: this.cursor, ...params },
      { agent: this.agent, ...(signal === undefined ? {} : { signal }) },
    );
    if (answer.status !== 200) throw new Error(`a poll was answered ${answer.status}: ${answer.text}`);
    this.cursor = answer.body.cursor;
    return answer.body;
  }

  /** Asks without waiting until nothing is left, and returns all answers' events. @throws on a reset. */
  async drain(limit = 1000): Promise<PollBody['events']> {
    const events: PollBody['events'] = [];
    for (;;) {
      const body = await this.ask({ wait: 0, limit });
      if (body.reset !== undefined) throw new Error(`a poll was answered reset ${body.reset.reason}`);
      events.push(...body.events);
      if (body.events.length === 0 && body.more !== true) return events;
    }
  }

  close(): void {
    this.agent.destroy();
  }
}
