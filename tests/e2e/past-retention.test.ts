/** P2: a reader that slept past retention is told `reset`, never left with a silent hole, and the stream goes on. */
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { startGateway } from '../support/node-process.ts';
import { Publisher, seqs } from '../support/publisher.ts';
import { openStream } from '../support/stream-client.ts';
import { makeToken } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

const retained = 20;
const published = 300;

it('a stream that reads again past retention has a prefix, then reset, then all that follows [P2]', async () => {
  const gateway = await startGateway({
    TURNOUT_RETENTION_EVENTS: String(retained),
    TURNOUT_RING_BYTES: String(64 * 1024),
  });
  try {
    const publisher = new Publisher(gateway.url);
    const client = await openStream(gateway.url, await makeToken(), ['bulk']);
    client.pause();
    // 14 MB: more than the kernel buffers for a socket, so the rest waits in the log, and is trimmed there.
    for (let turn = 0; turn < published; turn += 1)
      await publisher.publish({ service: 'bulk', payload: { text: randomBytes(36_000).toString('base64') } });
    client.resume();
    const reset = await client.next('reset');
    const before = seqs(client.events());
    expect(reset).toMatchObject({ reason: 'expired', seq: publisher.head });
    expect(before).toEqual(publisher.expected('ann', ['bulk']).slice(0, before.length));
    expect(before.length).toBeLessThan(published - retained);
    await publisher.publish({ service: 'bulk' }, { service: 'bulk' });
    await until(
      () => client.events().length,
      'what follows',
      (seen) => seen >= before.length + 2,
    );
    expect(seqs(client.events()).slice(before.length)).toEqual([published + 1, published + 2]);
    expect(client.closed).toBeUndefined();
    expect(client.ofType('reset')).toHaveLength(1);
  } finally {
    await gateway.kill();
  }
});
