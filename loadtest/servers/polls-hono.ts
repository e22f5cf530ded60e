/** Held polls as they are first written on Hono: a promise each, and `c.json` for each answer. */
import type { Server } from 'node:http';
import { createAdaptorServer } from '@hono/node-server';
import { Hono } from 'hono';
import { listen, type PublishBody } from './listen.ts';

type Events = PublishBody['events'];
const app = new Hono();
let waiting: ((events: Events) => void)[] = [];
let seq = 0;

app.get('/v1/realtime/poll', async (c) => {
  const events = await new Promise<Events>((resolve) => waiting.push(resolve));
  return c.json({ events, seq, cursor: String(seq) });
});
app.post('/v1/publish', async (c) => {
  const { events } = await c.req.json<PublishBody>();
  seq += 1;
  const answered = waiting;
  waiting = [];
  for (const answer of answered) answer(events);
  return c.json({});
});
listen(createAdaptorServer({ fetch: app.fetch }) as Server);
