/** The foreign company's client, as it is installed at its customers': it polls, and nobody can update it. */

export interface Update {
  readonly id: number;
  readonly kind: string;
  readonly data: unknown;
  readonly at: string;
}

export interface Polled {
  readonly status: number;
  readonly updates: readonly Update[];
  readonly next: number | undefined;
}

export class AcmeClient {
  readonly url: string;
  private readonly cookies = new Map<string, string>();

  constructor(url: string) {
    this.url = url;
  }

  /** @returns the status: 200, or 401 */
  async login(user: string, tenant: string, password = 'open sesame'): Promise<number> {
    const answer = await this.ask('/login', { method: 'POST', json: { user, tenant, password } });
    await answer.text();
    return answer.status;
  }

  /** What the session's cookies are, by name. */
  get jar(): ReadonlyMap<string, string> {
    return this.cookies;
  }

  async whoami(): Promise<{ readonly status: number; readonly body: unknown }> {
    const answer = await this.ask('/whoami');
    return { status: answer.status, body: await answer.json() };
  }

  async logout(): Promise<Response> {
    return this.ask('/logout', { method: 'POST' });
  }

  /** @returns the update's number */
  async create(kind: string, data: unknown): Promise<number> {
    const answer = await this.ask('/api/updates', { method: 'POST', json: { kind, data } });
    if (answer.status !== 201) throw new Error(`an update was answered ${answer.status}`);
    return ((await answer.json()) as { id: number }).id;
  }

  async poll(since: number, timeoutS: number, signal?: AbortSignal): Promise<Polled> {
    const answer = await this.ask(`/api/updates?since=${since}&timeout=${timeoutS}`, { signal });
    if (answer.status !== 200) {
      await answer.arrayBuffer();
      return { status: answer.status, updates: [], next: undefined };
    }
    const { updates, next } = (await answer.json()) as { updates: Update[]; next: number };
    return { status: 200, updates, next };
  }

  async ask(
    path: string,
    options: { method?: string; json?: unknown; signal?: AbortSignal | undefined } = {},
  ): Promise<Response> {
    const headers: Record<string, string> = {};
    if (this.cookies.size > 0)
      headers['cookie'] = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    if (options.json !== undefined) headers['content-type'] = 'application/json';
    const answer = await fetch(this.url + path, {
      method: options.method ?? 'GET',
      headers,
      redirect: 'manual',
      ...(options.json === undefined ? {} : { body: JSON.stringify(options.json) }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      this.cookies.set(name, value);
    }
    return answer;
  }
}

/** Polls for as long as it is wanted, from the first update on; what fails it asks again after a moment. */
export class AcmeReader {
  /** Every update it was given, in the order given. */
  readonly seen: Update[] = [];
  /** Asks that failed: hung up on, or answered otherwise than 200 and 204. */
  failed = 0;
  private readonly client: AcmeClient;
  private readonly stopping = new AbortController();
  private readonly running: Promise<void>;

  /** @param client logged in */
  constructor(client: AcmeClient, timeoutS = 5, pauseMs = 100) {
    this.client = client;
    this.running = this.run(timeoutS, pauseMs);
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(timeoutS: number, pauseMs: number): Promise<void> {
    const { signal } = this.stopping;
    let since = 0;
    while (!signal.aborted) {
      try {
        const { status, updates, next } = await this.client.poll(since, timeoutS, signal);
        this.seen.push(...updates);
        since = next ?? since;
        if (status === 200 || status === 204) continue;
      } catch {
        if (signal.aborted) return;
      }
      this.failed += 1;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
