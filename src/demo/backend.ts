/** The sample backend of the demo: two routes that publish for its user, whatever Content-Type curl sends. */
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { fail } from '../errors.ts';
import { checkInEvent, demoOrg, type DemoPublish, revenueEvent } from './demo.ts';

const bodyBytes = 16 * 1024;

export function demoBackend(publish: DemoPublish): Hono {
  const app = new Hono();
  const small = bodyLimit({
    maxSize: bodyBytes,
    onError: () => {
      throw fail('too_large', `the demo takes ${bodyBytes} bytes`);
    },
  });
  app.post('/finance/revenue', small, async (c) =>
    c.json(await publish(demoOrg, revenueEvent(await c.req.text()))),
  );
  app.post('/guest-checkin/bulk', small, async (c) =>
    c.json(await publish(demoOrg, checkInEvent(await c.req.text()))),
  );
  return app;
}
