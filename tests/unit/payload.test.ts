/** A payload is the publisher's: a number that a double can't hold is refused, never altered in silence (docs/PROTOCOL.md, 3). */
import { expect, it } from 'vitest';
import { edgeApp } from '../support/edge-app.ts';

it.each([
  '12345678901234567890',
  '-9007199254740993',
  '1e400',
  '9007199254740991',
  '1.5e10',
  '0.30000000000000004',
])('with the number %s', async (number) => {
  const edge = edgeApp();
  const body = `{"service":"chat","type":"note","payload":{"n":${number}}}`;
  const { status } = await edge.post('/v1/publish', body, { roles: ['producer'] });
  const isKept = Number.isFinite(Number(number)) && Math.abs(Number(number)) <= Number.MAX_SAFE_INTEGER;
  expect(status).toBe(isKept ? 200 : 400);
  if (!isKept) return;
  const page = await edge.log.read('acme', { at: 'earliest' }, { maxEvents: 1, maxBytes: 10_000 });
  if (page.kind !== 'page') throw new Error(page.reason);
  expect(page.entries[0]?.json.toString()).toContain(`"payload":{"n":${String(Number(number))}}`);
});
