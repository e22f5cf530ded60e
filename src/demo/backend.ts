/** The sample backend of the demo: two routes that publish for its user, whatever Content-Type curl sends, and a trickle. */
import { Hono, type MiddlewareHandler } from 'hono';
import type { PublishEvent } from '../../schema/envelope.ts';
import type { Cancel, Clock } from '../clock.ts';
import { withinBounds } from '../json.ts';
import { demoOrg } from './demo.ts';
import { ownPageOnly } from './own-page.ts';

/** What the demo needs of the gateway: a publish on behalf of a backend. @throws TurnoutError */
export type DemoPublish = (org: string, event: PublishEvent) => Promise<{ id: string; seq?: number }>;

const bodyBytes = 16 * 1024;
/** Where the made-up trickle goes: not the printed user's org, so that theirs starts at seq 0. */
const trickleOrg = 'demo-staff';
const trickleMs = 2000;

/** @param atMost refuses a body of more bytes. */
export function demoBackend(publish: DemoPublish, atMost: (maxBytes: number) => MiddlewareHandler): Hono {
  const small = atMost(bodyBytes);
  return new Hono()
    .post('/finance/revenue', ownPageOnly, small, async (c) =>
      c.json(await publish(demoOrg, revenueEvent(await c.req.text()))),
    )
    .post('/guest-checkin/bulk', ownPageOnly, small, async (c) =>
      c.json(await publish(demoOrg, checkInEvent(await c.req.text()))),
    );
}

/** One event, from whatever was posted: JSON where it is, else text. */
function revenueEvent(body: string): PublishEvent {
  return { service: 'finance', type: 'revenue', payload: parsed(body) ?? { amount: 1200, currency: 'USD' } };
}

/** One large event: what was posted, and made-up check-ins that make it worth compressing. */
function checkInEvent(body: string): PublishEvent {
  const guests = Array.from({ length: 100 }, (_, index) => ({
    room: 100 + index,
    guest: `Guest ${index + 1}`,
    status: index % 3 === 0 ? 'arrived' : 'expected',
  }));
  return { service: 'guest', type: 'guest_checkin_bulk', payload: { posted: parsed(body) ?? null, guests } };
}

function parsed(body: string): unknown {
  if (body.trim() === '') return undefined;
  try {
    return JSON.parse(withinBounds(body));
  } catch {
    // curl -d sends forms and plain text too: any of it is a payload.
    return body.slice(0, 1000);
  }
}

/** Publishes a made-up staff event every two seconds until cancelled. */
export function startTrickle(
  clock: Clock,
  publish: DemoPublish,
  onFailure: (error: unknown) => void,
): Cancel {
  const names = ['Grace', 'Linus', 'Margaret', 'Edsger'];
  let count = 0;
  return clock.every(trickleMs, () => {
    const name = names[count % names.length] ?? '';
    count += 1;
    const event = {
      service: 'staff',
      type: count % 2 === 0 ? 'clock_out' : 'clock_in',
      payload: { name, count },
    };
    publish(trickleOrg, event).catch(onFailure);
  });
}
