/** Tokens that end while the client is served, against a server that a test directs. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Client, ClientOptions } from '../../../clients/js/index.ts';
import { until } from '../../support/until.ts';
import {
  eventFrame,
  place,
  type ScriptedGateway,
  startClient,
  startScripted,
  tokenFor,
} from './scripted-gateway.ts';

let gateway: ScriptedGateway;
let client: Client | undefined;

beforeEach(async () => {
  gateway = await startScripted();
});
afterEach(async () => {
  client?.stop();
  client = undefined;
  await gateway.close();
});

function connect(more: Partial<ClientOptions>): Client {
  client = startClient(gateway, more);
  return client;
}
const isLive = (): boolean => client?.state.phase === 'live';
const shown = (): unknown[] => gateway.heard.filter(({ type }) => type === 'auth').map(({ token }) => token);
/** The first, then the second for as long as it is asked. */
const inTurn = (first: string, second: string | Promise<string>) => {
  let asked = 0;
  return async (): Promise<string> => ((asked += 1) === 1 ? first : second);
};

it('renews its token on the open stream before it ends', async () => {
  const next = tokenFor(3_600_000);
  connect({ token: inTurn(tokenFor(100), next) });
  await until(() => shown().length === 1);
  expect(shown()).toEqual([next]);
  expect(client?.stats).toMatchObject({ negotiations: 1, closes: {}, opened: { websocket: 1 } });
});

it('renews again before the renewed token ends, and never one that says no end', async () => {
  let asked = 0;
  connect({ token: () => ((asked += 1) < 4 ? tokenFor(100 * asked, `u${asked}`) : 'opaque') });
  await until(() => shown().includes('opaque'));
  expect(shown()).toEqual([tokenFor(200, 'u2'), tokenFor(300, 'u3'), 'opaque']);
});

it('keeps a stream whose new token was refused, tells so, and shows no token twice that it has', async () => {
  const problems: unknown[] = [];
  gateway.takesTokens = false;
  const token = inTurn(tokenFor(100), 'other');
  connect({ token, onError: ({ code, ref }) => problems.push([code, ref]) });
  await until(() => problems.length === 1);
  expect(problems).toEqual([['unauthorized', 'auth']]);
  expect(client?.state).toMatchObject({ phase: 'live', transport: 'websocket' });
  gateway.say(eventFrame(1));
  await until(() => client?.cursor === 'e1:1');
});

it('begins a new span of its report where a token was renewed: it may read less from there on', async () => {
  const pongs = (): unknown[] => gateway.heard.filter(({ type }) => type === 'pong');
  let sign = (_token: string): void => undefined;
  const next = new Promise<string>((resolve) => {
    sign = resolve;
  });
  connect({ token: inTurn(tokenFor(400), next) });
  await until(isLive);
  gateway.say(eventFrame(1, 2));
  gateway.say(eventFrame(3));
  await until(() => client?.cursor === 'e1:3');
  sign(tokenFor(3_600_000));
  await until(() => shown().length === 1);
  gateway.say({ type: 'ping', ...place(4) });
  await until(() => pongs().length === 1);
  expect(pongs()).toEqual([
    { type: 'pong', audit: { epoch: 'e1', from: 3, to: 4, count: 0, sum: 0, repeats: 0 } },
  ]);
});

it('comes back with the newer token that it has, when a stream ends with its older one', async () => {
  connect({ token: inTurn('older', 'newer') });
  await until(isLive);
  // Restarted by the application: it asks again, with the newer one, and stays.
  client?.start();
  await until(() => gateway.tokens.length === 2 && isLive());
  gateway.streams[0]?.close(4401, 'unauthorized');
  await until(() => gateway.streams.length === 2 && isLive());
  expect(gateway.tokens).toEqual(['Bearer older', 'Bearer newer', 'Bearer newer']);
});

it('gives up without a request when a stream ended with its token and the same comes again', async () => {
  connect({});
  await until(isLive);
  gateway.streams[0]?.close(4401, 'unauthorized');
  await until(() => client?.state.phase === 'failed');
  expect(client?.state.failure).toEqual({ cause: 'unauthorized', code: 'same_token' });
  expect(gateway.tokens).toHaveLength(1);
});

it('polls with the newest token that it has', async () => {
  gateway.transport = 'long-poll';
  connect({ token: inTurn('older', 'newer') });
  await until(() => gateway.polls.length === 1);
  gateway.polls[0]?.answer([], 2);
  await until(() => gateway.polls.length === 2 && isLive());
  client?.start();
  await until(() => gateway.tokens.length === 2 && isLive());
  gateway.polls[1]?.answer([3]);
  await until(() => gateway.polls.length === 3);
  expect(gateway.polls.map(({ token }) => token)).toEqual(['Bearer older', 'Bearer older', 'Bearer newer']);
});
