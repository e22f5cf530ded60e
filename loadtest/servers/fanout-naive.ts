/** Fan-out as it is first written: for each event, for each client, `ws.send` of its JSON. */
import { WebSocketServer } from 'ws';
import { listen, type PublishBody, readJson, serve } from './listen.ts';

const perMessageDeflate = process.env['BENCH_DEFLATE'] === '1';
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate });
let seq = 0;

const server = serve(async (request, response) => {
  const { events } = await readJson<PublishBody>(request);
  for (const event of events) {
    seq += 1;
    const text = JSON.stringify({ type: 'event', service: event.service, events: [{ seq, ...event }], seq });
    for (const ws of sockets.clients) ws.send(text);
  }
  response.end('{}');
});
server.on('upgrade', (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (ws) => {
    ws.on('message', () => ws.send('{"type":"ack"}'));
  });
});
listen(server);
