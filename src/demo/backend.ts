/** The sample backend of the demo: two routes that publish for its user, whatever Content-Type curl sends. */
import { Hono, type MiddlewareHandler } from 'hono';
import { checkInEvent, demoOrg, type DemoPublish, revenueEvent } from './demo.ts';

const bodyBytes = 16 * 1024;

/** @param atMost refuses a body of more bytes. */
export function demoBackend(publish: DemoPublish, atMost: (maxBytes: number) => MiddlewareHandler): Hono {
  const app = new Hono();
  const small = atMost(bodyBytes);
  app.post('/finance/revenue', small, async (c) =>
    c.json(await publish(demoOrg, revenueEvent(await c.req.text()))),
  );
  app.post('/guest-checkin/bulk', small, async (c) =>
    c.json(await publish(demoOrg, checkInEvent(await c.req.text()))),
  );
  return app;
}
