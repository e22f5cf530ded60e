/** Clients that we didn't write follow the stream: plain and compressed, with its pings, to its close code and reason. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../support/http-client.ts';
import {
  type InteropClient,
  type InteropOptions,
  openNpmClient,
  openPythonClient,
  type Seen,
} from '../support/interop.ts';
import { type Gateway, startGateway } from '../support/node-process.ts';
import { admin, Publisher, seqs } from '../support/publisher.ts';
import { makeToken } from '../support/token-maker.ts';
import { until } from '../support/until.ts';

const pingMs = 500;
const services = ['finance', 'chat'];
const smallEvents = 40;
const largeEvents = 10;
// Over the threshold of compression, and not ASCII alone.
const largeText = 'a large event, twelve rows à 100 € · '.repeat(120);

const clients: readonly (readonly [string, boolean, (options: InteropOptions) => Promise<InteropClient>])[] =
  [
    ['python3-websockets, plain', false, openPythonClient],
    ['python3-websockets, permessage-deflate', true, openPythonClient],
    ['npm’s websocket, which knows no extensions', false, openNpmClient],
  ];

let gateway: Gateway;
let publisher: Publisher;
beforeAll(async () => {
  gateway = await startGateway({ TURNOUT_PING_MS: String(pingMs), TURNOUT_MOVE_WITHIN_MS: '100' });
  publisher = new Publisher(gateway.url);
});
afterAll(() => gateway.kill());

async function compressedMessages(): Promise<number> {
  const { body } = await call<{ compressedMessages: number }>(`${gateway.url}/v2/realtime/metrics`, {
    token: await makeToken(),
  });
  return body.compressedMessages;
}

const ofType = (seen: Seen, type: string) => seen.frames.filter((frame) => frame.type === type);
const eventsOf = ({ frames }: Seen) =>
  frames.flatMap((frame) => (frame.type === 'event' ? frame.events : []));
const streamUrl = (token: string): string =>
  `${gateway.url.replace(/^http/, 'ws')}/v2/realtime/stream?access_token=${token}`;

describe.each(clients)('%s', { timeout: 300_000 }, (_name, compress, open) => {
  it('is acknowledged, gets every event in order, lives through pings and sees why it is closed', async () => {
    await admin(gateway.url, 'PUT', '/rollout/percent', { percent: 100, reason: 'test' });
    const before = await compressedMessages();
    const first = { services, version: 1 };
    const client = await open({ url: streamUrl(await makeToken()), first, compress });
    const { seen } = client;
    const said = (): string => JSON.stringify({ ...seen, frames: seen.frames.length });
    try {
      await until(
        () => ofType(seen, 'ack').length,
        () => `the ack: ${said()}`,
        1,
      );
      const [ack] = seen.frames;
      expect(ack).toMatchObject({ type: 'ack', seq: publisher.head, pingMs });
      expect(seen.extensions ?? '').toMatch(compress ? /permessage-deflate/ : /^$/);

      for (let at = 0; at < largeEvents; at += 1) {
        await publisher.publishMany(smallEvents / largeEvents, at % 2 === 0 ? 'finance' : 'chat');
        await publisher.publish({ service: 'chat', payload: { text: largeText, at } });
      }
      const due = publisher.expected('ann', services, ack?.type === 'ack' ? ack.seq : 0);
      await until(
        () => eventsOf(seen).length,
        () => `${due.length} events: ${said()}`,
        (found) => found >= due.length,
      );
      expect(seqs(eventsOf(seen))).toEqual(due);
      const texts = eventsOf(seen).flatMap(({ payload }) =>
        typeof payload === 'object' && payload !== null && 'text' in payload ? [payload.text] : [],
      );
      expect(texts).toEqual(Array.from({ length: largeEvents }, () => largeText));
      const compressed = (await compressedMessages()) - before;
      console.log(`${due.length} events, ${compressed} compressed frames, ${seen.extensions ?? ''}`);
      // A frame may carry several.
      if (compress) expect(compressed).toBeGreaterThan(0);
      else expect(compressed).toBe(0);

      // Past two rounds without an answer to the WebSocket's own ping it would be held dead.
      const pings = ofType(seen, 'ping').length;
      await until(
        () => ofType(seen, 'ping').length,
        () => `pings: ${said()}`,
        (found) => found >= pings + 5,
      );
      expect(seen.close).toBeUndefined();

      await admin(gateway.url, 'PUT', '/rollout/percent', { percent: 0, reason: 'test' });
      await until(
        () => seen.close,
        () => `the close: ${said()}`,
        (found) => found !== undefined,
      );
      expect(ofType(seen, 'migrate')).toMatchObject([{ transport: 'long-poll', reason: 'rollback' }]);
      expect(seen.close).toEqual({ code: 4410, reason: 'moved' });
      expect(seen.complaints).toEqual([]);
    } finally {
      client.stop();
    }
  });

  it('sees why it is not let in', async () => {
    const client = await open({
      url: streamUrl('no-token-at-all'),
      first: { services, version: 1 },
      compress,
    });
    try {
      await until(
        () => client.seen.close,
        () => `the close: ${JSON.stringify(client.seen)}`,
        (found) => found !== undefined,
      );
      expect(client.seen.close).toEqual({ code: 4401, reason: 'unauthorized' });
      expect(client.seen.frames).toEqual([]);
    } finally {
      client.stop();
    }
  });
});
