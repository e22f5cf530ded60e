/** What an end user publishes, against a server that a test directs: each call ends, and by an answer or a PublishError. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type Client,
  type ClientOptions,
  PublishError,
  type PublishInput,
} from '../../../clients/js/index.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { until, within } from '../../support/until.ts';
import { type ScriptedGateway, startClient, startScripted } from './scripted-gateway.ts';

let gateway: ScriptedGateway;
let client: Client;

beforeEach(async () => {
  gateway = await startScripted();
});
afterEach(async () => {
  client.stop();
  await gateway.close();
});

const said: PublishInput = { service: 'chat', type: 'said', payload: 'hello', id: 'once' };

async function connect(more: Partial<ClientOptions> = {}): Promise<void> {
  client = startClient(gateway, more);
  await until(() => client.state.phase === 'live');
}

it('answers each of two calls under one id', async () => {
  await connect();
  const both = Promise.all([client.publish(said), client.publish(said)]);
  await until(() => gateway.heard.filter(({ type }) => type === 'publish').length === 2);
  for (const seq of [4, 4]) gateway.say({ type: 'published', id: 'once', seq });
  expect(await within(both, 'both answers')).toEqual([
    { id: 'once', seq: 4 },
    { id: 'once', seq: 4 },
  ]);
});

it('sends each of two calls under one id again over HTTP, when their stream is lost', async () => {
  await connect();
  const both = Promise.all([client.publish(said), client.publish(said)]);
  await until(() => gateway.heard.filter(({ type }) => type === 'publish').length === 2);
  gateway.streams[0]?.terminate();
  expect(await within(both, 'both answers')).toEqual([
    { id: 'once', seq: 9 },
    { id: 'once', seq: 9 },
  ]);
});

describe('a token that ended since it was shown', () => {
  beforeEach(() => {
    gateway.transport = 'long-poll';
    gateway.endedToken = 'ended';
  });
  /** Served by a poll that is held: it has not heard of the end yet. */
  async function polled(token: () => string): Promise<void> {
    client = startClient(gateway, { token });
    await until(() => gateway.polls.length === 1);
    gateway.polls[0]?.answer([], 2);
    await until(() => client.state.phase === 'live');
  }

  it('is no reason to refuse a publish while the application has another', async () => {
    let asked = 0;
    await polled(() => ((asked += 1) === 1 ? 'ended' : 'next'));
    expect(await client.publish(said)).toEqual({ id: 'once', seq: 9 });
  });

  it('is shown no second time', async () => {
    await polled(() => 'ended');
    await expect(client.publish(said)).rejects.toMatchObject({ name: 'PublishError', code: 'unauthorized' });
    expect(gateway.endedShown).toBe(1);
  });
});

it.each(['stalled', 'cut'] as const)(
  'says `network` where the answer over HTTP is %s in its middle',
  async (how) => {
    gateway.publishAnswer = how;
    // The ten seconds that an answer has are over soon.
    const clock = new FakeClock({ runs: true, shorten: (ms) => (ms === 10_000 ? 200 : ms) });
    client = startClient(gateway, { clock });
    client.stop();
    const refused: unknown = await within(client.publish(said), 'an answer').catch(
      (thrown: unknown) => thrown,
    );
    expect(refused).toBeInstanceOf(PublishError);
    expect(refused).toMatchObject({ code: 'network' });
  },
);
