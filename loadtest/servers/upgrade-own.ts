/** The same streams as the gateway serves them: a listener on `upgrade` in front of the Hono app, and `ws`. */
import type { Server } from 'node:http';
import { createAdaptorServer } from '@hono/node-server';
import { Hono } from 'hono';
import { WebSocketServer } from 'ws';
import { listen } from './listen.ts';

const app = new Hono();
app.get('/memory', (c) => {
  global.gc?.();
  return c.json(process.memoryUsage());
});

const server = createAdaptorServer({ fetch: app.fetch }) as Server;
const sockets = new WebSocketServer({ noServer: true });
server.on('upgrade', (request, socket, head) => {
  if (request.url !== '/stream') {
    socket.end('HTTP/1.1 404 Not Found\r\n\r\n');
    return;
  }
  sockets.handleUpgrade(request, socket, head, (ws) => {
    ws.on('message', (data: Buffer) => ws.send(data.toString()));
    ws.send('{"type":"ack"}');
  });
});
listen(server);
