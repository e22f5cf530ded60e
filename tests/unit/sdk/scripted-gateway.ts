/** A server on loopback that says what a test has it say: for what a real gateway does only when something breaks. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import { until } from '../../support/until.ts';

export interface ScriptedGateway {
  readonly url: string;
  readonly streams: WebSocket[];
  /** Frames of the clients, parsed, in order. */
  readonly heard: Record<string, unknown>[];
  /** Bearer tokens of negotiations. */
  readonly tokens: string[];
  readonly published: Record<string, unknown>[];
  /** Status that negotiations are answered with. */
  status: number;
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

export async function startScripted(options: { pingMs?: number } = {}): Promise<ScriptedGateway> {
  const { pingMs = 30_000 } = options;
  const streams: WebSocket[] = [];
  const heard: Record<string, unknown>[] = [];
  const tokens: string[] = [];
  const published: Record<string, unknown>[] = [];
  const http = createServer((request, response) => void serve(request, response));
  const sockets = new WebSocketServer({ server: http });
  sockets.on('connection', (socket) => {
    streams.push(socket);
    socket.on('message', (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as Record<string, unknown>;
      heard.push(frame);
      if (!('version' in frame)) return;
      const ack = { type: 'ack', ...place(0), timestamp: now, connection: 'c', pingMs, assignment: 1 };
      socket.send(JSON.stringify(ack));
    });
  });
  const gateway: ScriptedGateway = {
    url: '',
    streams,
    heard,
    tokens,
    published,
    status: 200,
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

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString() || '{}') as Record<string, unknown>;
    const isNegotiation = request.url === '/v2/realtime/negotiate';
    if (isNegotiation) tokens.push(request.headers.authorization ?? '');
    else published.push(body);
    const results = [{ id: body['id'], seq: 9, duplicate: true }];
    response.writeHead(isNegotiation ? gateway.status : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(isNegotiation ? decision : { results, epoch: 'e1' }));
  }
  const decision = {
    transport: 'websocket',
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
