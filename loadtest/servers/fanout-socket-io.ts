/** The peer: Socket.IO over WebSocket, one room, one emit an event. */
import { Server } from 'socket.io';
import { listen, type PublishBody, readJson, serve } from './listen.ts';

const isCompressed = process.env['BENCH_DEFLATE'] === '1';
let seq = 0;

const server = serve(async (request, response) => {
  if (request.url !== '/v1/publish') return;
  const { events } = await readJson<PublishBody>(request);
  for (const event of events) {
    seq += 1;
    io.to('bench').emit('event', { seq, ...event });
  }
  response.end('{}');
});
const io = new Server(server, { transports: ['websocket'], perMessageDeflate: isCompressed });
io.on('connection', (socket) => void socket.join('bench'));
listen(server);
