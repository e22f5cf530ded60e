/** Plain HTTP over kept-alive sockets, as an outsider sends it: nothing is retried, nothing is hidden. */
import { Agent, type IncomingHttpHeaders, request as httpRequest } from 'node:http';

export interface Answer<T = unknown> {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The parsed body where it is JSON, else undefined. */
  readonly body: T;
}

export interface Call {
  readonly method?: string;
  readonly token?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON, unless it is text already. */
  readonly body?: unknown;
  readonly agent?: Agent;
  readonly signal?: AbortSignal;
}

const sharedAgent = new Agent({ keepAlive: true, maxSockets: 5000 });

export interface ErrorAnswer {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly retry: string;
    readonly requestId: string;
  };
}

export function call<T = unknown>(url: string, options: Call = {}): Promise<Answer<T>> {
  const body =
    options.body === undefined || typeof options.body === 'string'
      ? options.body
      : JSON.stringify(options.body);
  const headers: Record<string, string> = { ...options.headers };
  if (options.token !== undefined) headers['authorization'] = `Bearer ${options.token}`;
  if (body !== undefined) {
    headers['content-type'] ??= 'application/json';
    headers['content-length'] = String(Buffer.byteLength(body));
  }
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      url,
      {
        method: options.method ?? (body === undefined ? 'GET' : 'POST'),
        headers,
        agent: options.agent ?? sharedAgent,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          const isJson = answer.headers['content-type']?.includes('json') === true;
          // The caller names the shape that the protocol promises; the assertions that follow hold it to that.
          const parsed = (isJson ? JSON.parse(text) : undefined) as T;
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text, body: parsed });
        });
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}
