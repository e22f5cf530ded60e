/** What a bridge's fault reads like to an operator. */
import { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { faultText } from '../../../src/legacy/bridge/health.ts';
import { freePort } from '../../support/ports.ts';

it('says that a Redis is away in words of ours', async () => {
  const client = new Redis(await freePort(), '127.0.0.1', {
    maxRetriesPerRequest: 0,
    retryStrategy: () => 10,
  });
  client.on('error', () => undefined);
  const fault = await client.ping().catch((error: unknown) => error);
  client.disconnect();
  expect(faultText(fault)).toBe('the connection to its Redis was lost');
});

it('names a cause by its code, and no credentials', () => {
  const refused = Object.assign(new Error('connect redis://ann:secret@host:6379'), { code: 'ECONNREFUSED' });
  expect(faultText(refused)).toBe('ECONNREFUSED: connect redis://host:6379');
  expect(faultText('text')).toBe('unknown');
});
