/** A payload is the publisher's: delivered as it was written, or refused, never altered in silence (docs/PROTOCOL.md, 3). */
import { expect, it } from 'vitest';
import { edgeApp } from '../support/edge-app.ts';

it.each(['12345678901234567890', '0.1234567890123456789', '1e400', '-0'])(
  'with the number %s',
  async (number) => {
    const edge = edgeApp();
    const body = `{"service":"chat","type":"note","payload":{"n":${number}}}`;
    const { status } = await edge.post('/v1/publish', body, { roles: ['producer'] });
    if (status === 400) return;
    expect(status).toBe(200);
    const page = await edge.log.read('acme', { at: 'earliest' }, { maxEvents: 1, maxBytes: 10_000 });
    if (page.kind !== 'page') throw new Error(page.reason);
    expect(page.entries[0]?.json.toString()).toContain(`"payload":{"n":${number}}`);
  },
);
