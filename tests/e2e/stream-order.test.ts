/** One ordered queue a connection: what a frame says of the past is true when it is read. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { Publisher, seqs } from '../support/publisher.ts';
import { openStream } from '../support/stream-client.ts';
import { makeToken } from '../support/token-maker.ts';
import { sleep, until } from '../support/until.ts';

// Who reads nothing for two rounds is held dead, and here nothing is read for one and while the rest is published.
const pingMs = 2000;

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway({ TURNOUT_PING_MS: String(pingMs) });
});
afterAll(() => gateway.kill());

describe('a stream', () => {
  it('acknowledges before the first event, however many wait', async () => {
    const publisher = new Publisher(gateway.url, 'order-ack');
    await publisher.publishMany(300, 'chat');
    const token = await makeToken({ org: publisher.org, sub: 'ann' });
    for (let turn = 0; turn < 20; turn += 1) {
      const client = await openStream(gateway.url, token, ['chat'], { lastSeq: 0 });
      await client.nextEvents(300);
      expect(client.frames[0]).toMatchObject({ type: 'ack', seq: 0 });
      client.destroy();
    }
  });

  it('names in a ping what was sent before it, and not what is still to read', async () => {
    const publisher = new Publisher(gateway.url, 'order-ping');
    const token = await makeToken({ org: publisher.org, sub: 'ann' });
    const client = await openStream(gateway.url, token, ['bulk']);
    client.socket.pause();
    // More than the kernel buffers for a loopback socket: the reader is left behind the head.
    const text = randomBytes(36_000).toString('base64');
    const batch = Array.from({ length: 15 }, () => ({ service: 'bulk', payload: { text } }));
    for (let turn = 0; turn < 10; turn += 1) await publisher.publish(...batch);
    await sleep(pingMs * 1.1);
    client.socket.resume();
    await until(() => client.ofType('ping').at(-1)?.seq, 'a ping at the head', 150);

    let last = 0;
    const untrue: string[] = [];
    for (const frame of client.frames) {
      if (frame.type === 'event') last = frame.seq;
      if (frame.type === 'ping' && frame.seq !== last) untrue.push(`${frame.seq} after ${last}`);
    }
    expect(untrue).toEqual([]);
    expect(seqs(client.events())).toHaveLength(150);
  });
});
