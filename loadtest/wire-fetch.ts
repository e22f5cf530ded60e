/**
 * `fetch` for one SDK client, on bare sockets. Node's own keeps one pool for all clients of a process and searches it at
 * each request: with thousands of them the load would measure itself.
 */
import { HttpWire, httpRequest } from './http-wire.ts';

/** One client's connection, kept for its next request as a browser keeps it. Speaks http only. */
export class WireFetch {
  private idle: HttpWire | undefined;

  readonly fetch = async (input: string, init: RequestInit = {}): Promise<Response> => {
    const { origin, pathname, search } = new URL(input);
    const { authorization = '' } = init.headers as Readonly<Record<string, string>>;
    const body = typeof init.body === 'string' ? init.body : undefined;
    const method = init.method === 'POST' ? 'POST' : 'GET';
    const request = httpRequest(method, pathname + search, authorization.replace(/^Bearer /, ''), body);

    const kept = this.idle?.isOpen === true ? this.idle : undefined;
    this.idle = undefined;
    const wire = kept ?? (await HttpWire.open(origin));
    const giveUp = (): void => wire.close();
    if (init.signal?.aborted === true) giveUp();
    init.signal?.addEventListener('abort', giveUp, { once: true });
    try {
      const answer = await wire.send(request);
      this.idle = wire;
      // As much of a Response as the SDK reads.
      return {
        ok: answer.status < 300,
        status: answer.status,
        // Of a refusal alone.
        get headers() {
          return headersOf(answer.head);
        },
        json: async () => JSON.parse(answer.body.toString()) as unknown,
      } as Response;
    } finally {
      init.signal?.removeEventListener('abort', giveUp);
    }
  };

  readonly close = (): void => {
    this.idle?.close();
  };
}

function headersOf(head: string): Headers {
  const headers = new Headers();
  for (const line of head.split('\r\n').slice(1)) {
    const colon = line.indexOf(':');
    headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return headers;
}
