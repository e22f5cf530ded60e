/** What a publish may weigh: the publisher's own JSON, not what the gateway adds to it (docs/PROTOCOL.md, 11). */
import { expect, it } from 'vitest';
import { limits } from '../../schema/codes.ts';
import { edgeApp } from '../support/edge-app.ts';

it('takes 500 events without ids that are 1 MiB together', async () => {
  const event = { service: 'chat', type: 'note', payload: '' };
  const each = Math.floor(limits.batchBytes / limits.batchEvents);
  event.payload = 'x'.repeat(each - JSON.stringify(event).length);
  const events = Array.from({ length: limits.batchEvents }, () => event);
  expect(Buffer.byteLength(JSON.stringify(event)) * events.length).toBeLessThanOrEqual(limits.batchBytes);
  const { status, body } = await edgeApp().post('/v1/publish', { events }, { roles: ['producer'] });
  expect(status, JSON.stringify(body).slice(0, 200)).toBe(200);
});
