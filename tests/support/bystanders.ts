/** A stream and a poller that do nothing wrong, and must be served whatever others do to the node. */
import { expect } from 'vitest';
import { PollClient } from './poll-client.ts';
import { Publisher } from './publisher.ts';
import { type StreamClient, openStream } from './stream-client.ts';
import { makeToken } from './token-maker.ts';
import { within } from './until.ts';

export interface Bystanders {
  /** Publishes an event and waits until both have it; fails when either was cut meanwhile. */
  expectServed(): Promise<void>;
  close(): void;
}

export async function startBystanders(url: string): Promise<Bystanders> {
  const publisher = new Publisher(url, 'bystanders');
  const claims = { sub: 'bystander', org: publisher.org };
  const stream: StreamClient = await openStream(url, await makeToken(claims), ['news']);
  const poller = new PollClient(url, await makeToken(claims), ['news']);
  await poller.ask();
  return {
    async expectServed() {
      const held = poller.ask({ wait: 30 });
      await publisher.publish({ service: 'news' });
      expect((await within(held, "the bystander's poll")).events).toHaveLength(1);
      await stream.nextEvents(publisher.published.length);
      expect(stream.closed).toBeUndefined();
    },
    close() {
      stream.destroy();
      poller.close();
    },
  };
}
