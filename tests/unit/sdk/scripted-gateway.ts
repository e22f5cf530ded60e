/** A server on loopback that says what a test has it say: for what a real gateway does only when something breaks. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { WebSocket, WebSocketServer } from 'ws';
import { type Client, type ClientOptions, createClient } from '../../../clients/js/index.ts';
import { until } from '../../support/until.ts';

export interface ScriptedPoll {
  readonly token: string;
  /** As it asked for them. */
  readonly services: string | null;
  /** Its report, parsed. */
  readonly audit: unknown;
  /** Answers it with these events of `chat`, at the place of the last one (or at `seq`). */
  answer(seqs: readonly number[], seq?: number): void;
  /** Answers it with no events: the user is due on a stream. */
  answerDue(assignment: number): void;
  refuse(status: number, headers: Record<string, string>): void;
}

export interface ScriptedGateway {
  readonly url: string;
  readonly streams: WebSocket[];
  /** Frames of the clients, parsed, in order. */
  readonly heard: Record<string, unknown>[];
  /** Bearer tokens of negotiations. */
  readonly tokens: string[];
  /** What negotiations asked with. */
  readonly asked: Record<string, unknown>[];
  readonly published: Record<string, unknown>[];
  /** How much of the answer to a publish over HTTP comes: all, or its first byte and then nothing, or the end. */
  publishAnswer: 'whole' | 'stalled' | 'cut';
  /** A token that no publish over HTTP is taken with: it has ended. */
  endedToken: string | undefined;
  /** How often it was shown all the same. */
  endedShown: number;
  /** Polls in the order that they came; each is held until the test answers it. */
  readonly polls: ScriptedPoll[];
  /** Status that negotiations are answered with, and what else their answer says. */
  status: number;
  headers: Record<string, string>;
  transport: 'websocket' | 'long-poll';
  /** Whether a renewed token is taken. */
  takesTokens: boolean;
  say(frame: object): void;
  nextFrame(isWanted: (frame: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}

export const place = (seq: number, epoch = 'e1') => ({ seq, cursor: `${epoch}:${seq}`, epoch });
export const eventFrame = (...seqs: number[]) => ({
  type: 'event',
  service: 'chat',
  events: seqs.map((seq) => ({
    seq,
    id: `i${seq}`,
    service: 'chat',
    type: 'test',
    timestamp: now,
    payload: seq,
  })),
  seq: seqs.at(-1),
  cursor: `e1:${seqs.at(-1)}`,
});
const now = '2026-01-01T00:00:00.000Z';

/** A token that ends `ms` after the gateway's now. */
export function tokenFor(ms: number, sub = 'ann'): string {
  const claims = { sub, org: 'acme', exp: (Date.parse(now) + ms) / 1000 };
  return `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.signature`;
}

/** A client of `chat`, started. */
export function startClient(gateway: ScriptedGateway, more: Partial<ClientOptions> = {}): Client {
  const client = createClient({
    url: gateway.url,
    token: () => 'token',
    services: ['chat'],
    WebSocket,
    onEvent: () => undefined,
    onReset: () => undefined,
    ...more,
  });
  client.start();
  return client;
}

export async function startScripted(options: { pingMs?: number } = {}): Promise<ScriptedGateway> {
  const { pingMs = 30_000 } = options;
  const streams: WebSocket[] = [];
  const heard: Record<string, unknown>[] = [];
  const tokens: string[] = [];
  const asked: Record<string, unknown>[] = [];
  const published: Record<string, unknown>[] = [];
  const http = createServer((request, response) => void serve(request, response));
  const sockets = new WebSocketServer({ server: http });
  sockets.on('connection', (socket) => {
    streams.push(socket);
    socket.on('message', (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as Record<string, unknown>;
      heard.push(frame);
      const ack = { type: 'ack', ...place(0), timestamp: now, connection: 'c', pingMs, assignment: 1 };
      const refusal = { type: 'error', code: 'unauthorized', message: 'no', ref: 'auth' };
      if ('version' in frame) socket.send(JSON.stringify(ack));
      if (frame['type'] === 'auth') socket.send(JSON.stringify(gateway.takesTokens ? ack : refusal));
    });
  });
  const gateway: ScriptedGateway = {
    url: '',
    streams,
    heard,
    tokens,
    asked,
    published,
    publishAnswer: 'whole',
    endedToken: undefined,
    endedShown: 0,
    polls: [],
    status: 200,
    headers: {},
    transport: 'websocket',
    takesTokens: true,
    say: (frame) => streams.at(-1)?.send(JSON.stringify(frame)),
    async nextFrame(isWanted) {
      await until(
        () => heard.some(isWanted),
        () => `a frame; heard ${JSON.stringify(heard)}`,
      );
      return heard.find(isWanted) ?? {};
    },
    async close() {
      for (const socket of streams) socket.terminate();
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
    },
  };

  function hold({ headers, url = '' }: IncomingMessage, response: ServerResponse): void {
    const audit = headers['turnout-audit'];
    const say = (status: number, more: Record<string, string>, body: object): void => {
      response.writeHead(status, { 'content-type': 'application/json', ...more });
      response.end(JSON.stringify(body));
    };
    const tell = (more: object): void =>
      say(200, {}, { ...place(0), events: [], transport: 'long-poll', assignment: 1, ...more });
    gateway.polls.push({
      token: headers.authorization ?? '',
      services: new URL(url, gateway.url).searchParams.get('services'),
      audit: typeof audit === 'string' ? JSON.parse(audit) : undefined,
      answer: (seqs, seq = seqs.at(-1) ?? 0) => tell({ ...place(seq), events: eventFrame(...seqs).events }),
      answerDue: (assignment) => tell({ transport: 'websocket', assignment }),
      refuse: (status, more) => say(status, more, {}),
    });
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url?.startsWith('/v1/realtime/poll') === true) return hold(request, response);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString() || '{}') as Record<string, unknown>;
    const isNegotiation = request.url === '/v2/realtime/negotiate';
    if (isNegotiation) {
      tokens.push(request.headers.authorization ?? '');
      asked.push(body);
    } else if (request.headers.authorization === `Bearer ${gateway.endedToken}`) {
      gateway.endedShown += 1;
      const error = { code: 'unauthorized', message: 'it has ended', retry: 'reauth', requestId: 'r' };
      response.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify({ error }));
      return;
    } else published.push(body);
    const results = [{ id: body['id'], seq: 9, duplicate: true }];
    const more = isNegotiation ? gateway.headers : {};
    response.writeHead(isNegotiation ? gateway.status : 200, { 'content-type': 'application/json', ...more });
    if (!isNegotiation && gateway.publishAnswer !== 'whole') {
      response.write('{');
      if (gateway.publishAnswer === 'cut') setImmediate(() => response.destroy());
      return;
    }
    response.end(
      JSON.stringify(
        isNegotiation ? { ...decision, transport: gateway.transport } : { results, epoch: 'e1' },
      ),
    );
  }
  const decision = {
    cohort: 'canary',
    reason: 'rollout',
    assignment: 1,
    urls: { websocket: '/v2/realtime/stream?ticket=t', 'long-poll': '/v1/realtime/poll' },
    cursor: 'e1:0',
    client: {
      autoreconnect: true,
      backoffMs: [60_000],
      jitter: 0,
      maxAttempts: 10,
      reconnectWithinMs: 1,
      pingMs,
    },
  };
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const address = http.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return Object.assign(gateway, { url: `http://127.0.0.1:${port}` });
}
