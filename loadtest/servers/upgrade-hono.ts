/** Streams as `@hono/node-server` 2 serves them: `upgradeWebSocket` behind a Hono app. */
import type { Server } from 'node:http';
import { createAdaptorServer, upgradeWebSocket } from '@hono/node-server';
import { Hono } from 'hono';
import { WebSocketServer } from 'ws';
import { listen } from './listen.ts';

const app = new Hono();
app.get(
  '/stream',
  upgradeWebSocket(() => ({
    onOpen: (_event, ws) => ws.send('{"type":"ack"}'),
    onMessage: (event, ws) => ws.send(String(event.data)),
  })),
);
app.get('/memory', (c) => {
  global.gc?.();
  return c.json(process.memoryUsage());
});

// Its type asks for `noServer: boolean`, where @types/ws, under exactOptionalPropertyTypes, says `boolean | undefined`.
const websocket = { server: new WebSocketServer({ noServer: true }) as unknown as WebSocketServerLike };
type WebSocketServerLike = NonNullable<Parameters<typeof createAdaptorServer>[0]['websocket']>['server'];
listen(createAdaptorServer({ fetch: app.fetch, websocket }) as Server);
