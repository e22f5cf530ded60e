/** The client over real sockets, against a server that a test directs. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Client, ClientOptions } from '../../../clients/js/index.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { sleep, until } from '../../support/until.ts';
import { eventFrame, place, type ScriptedGateway, startClient, startScripted } from './scripted-gateway.ts';

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

function connect(more: Partial<ClientOptions> = {}): Client {
  client = startClient(gateway, more);
  return client;
}
const isLive = (): boolean => client?.state.phase === 'live';

it('begins with its services, cursor and session, and keeps the session when it comes back', async () => {
  const { session } = connect();
  await until(isLive);
  expect(gateway.heard[0]).toEqual({ services: ['chat'], version: 1, cursor: 'e1:0', session });
  gateway.say(eventFrame(1, 2));
  await until(() => client?.cursor === 'e1:2');
  gateway.streams[0]?.terminate();
  await until(() => gateway.streams.length === 2 && isLive());
  expect(gateway.heard.at(-1)).toEqual({ services: ['chat'], version: 1, cursor: 'e1:2', session });
});

it('asks for a token before every connection', async () => {
  let asked = 0;
  connect({ token: () => Promise.resolve(`token-${(asked += 1)}`) });
  await until(isLive);
  gateway.streams[0]?.terminate();
  await until(() => gateway.streams.length === 2);
  expect(gateway.tokens).toEqual(['Bearer token-1', 'Bearer token-2']);
});

it('answers a ping with what it handed over since the last', async () => {
  connect();
  await until(isLive);
  for (const frame of [
    eventFrame(1),
    { type: 'ping', ...place(1) },
    eventFrame(3, 4),
    { type: 'ping', ...place(5) },
  ])
    gateway.say(frame);
  const pongs = (): unknown[] => gateway.heard.filter(({ type }) => type === 'pong');
  await until(() => pongs().length === 2);
  expect(pongs()[1]).toEqual({
    type: 'pong',
    audit: { epoch: 'e1', from: 1, to: 5, count: 2, sum: 7, repeats: 0 },
  });
});

it('gives up a stream that has fallen silent', async () => {
  await gateway.close();
  gateway = await startScripted({ pingMs: 20 });
  const { stats } = connect();
  await until(() => gateway.streams.length > 1);
  expect(stats.closes['silent']).toBeGreaterThan(0);
});

it('leaves a stream that talks gibberish, and goes on at its cursor', async () => {
  const { stats } = connect();
  await until(isLive);
  gateway.say(eventFrame(1));
  gateway.streams[0]?.send('{"type":');
  // Backoff is a minute here.
  await until(() => client?.state.phase === 'waiting');
  expect(stats.closes).toEqual({ bad_frame: 1 });
  client?.start();
  await until(isLive);
  expect(gateway.heard.at(-1)).toMatchObject({ cursor: 'e1:1' });
});

it('counts a WebSocket that cannot be made as one that failed', async () => {
  const problems: unknown[] = [];
  const ForbiddenSocket = function forbidden(): never {
    throw new Error('forbidden by policy');
  };
  connect({ WebSocket: ForbiddenSocket, onError: ({ code }) => problems.push(code) });
  await until(() => client?.state.phase === 'waiting');
  expect(problems).toEqual(['open_failed', 'open_failed']);
});

it('names a cursor only once everything before it was handed over', async () => {
  const seen: unknown[] = [];
  connect({ onEvent: ({ seq }) => seen.push([seq, client?.cursor]) });
  await until(isLive);
  gateway.say(eventFrame(1, 2));
  gateway.say(eventFrame(3));
  await until(() => seen.length === 3);
  expect(seen).toEqual([
    [1, 'e1:0'],
    [2, 'e1:0'],
    [3, 'e1:2'],
  ]);
});

it('keeps its connection and its place when a callback throws', async () => {
  const problems: unknown[] = [];
  let seen = 0;
  connect({
    onEvent: () => {
      seen += 1;
      throw new Error('the application broke');
    },
    onError: ({ code }) => problems.push(code),
  });
  await until(isLive);
  gateway.say(eventFrame(1, 2));
  await until(() => seen === 2);
  expect(problems).toEqual(['callback', 'callback']);
  expect(client?.state.phase).toBe('live');
  expect(gateway.streams).toHaveLength(1);
});

it('obeys what a callback asks for, after the frame that called it', async () => {
  const seen: unknown[] = [];
  connect({
    onEvent: ({ seq }) => {
      seen.push(seq);
      client?.subscribe([`more-${seq}`]);
    },
  });
  await until(isLive);
  gateway.say(eventFrame(1, 2));
  await gateway.nextFrame(({ services }) => JSON.stringify(services) === '["more-2"]');
  expect(seen).toEqual([1, 2]);
});

it('sends a publish again over HTTP, under the same id, when its stream is lost with the answer', async () => {
  connect();
  await until(isLive);
  const publishing = client?.publish({ service: 'chat', type: 'said', payload: 'hello' });
  const { id } = await gateway.nextFrame(({ type }) => type === 'publish');
  gateway.streams[0]?.terminate();
  expect(await publishing).toEqual({ id, seq: 9 });
  expect(gateway.published).toEqual([{ id, service: 'chat', type: 'said', payload: 'hello' }]);
});

it('tells why a publish was refused', async () => {
  connect();
  await until(isLive);
  const publishing = client?.publish({ id: 'p1', service: 'chat', type: 'said', payload: 1 });
  await gateway.nextFrame(({ type }) => type === 'publish');
  gateway.say({ type: 'error', code: 'service_forbidden', message: 'no', ref: 'p1' });
  await expect(publishing).rejects.toMatchObject({ code: 'service_forbidden' });
});

it('connects at once when the network is back', async () => {
  const network = new EventTarget();
  gateway.status = 503;
  connect({ network });
  await until(() => client?.state.phase === 'waiting');
  gateway.status = 200;
  network.dispatchEvent(new Event('online'));
  // Not after the minute that it would have waited.
  await until(isLive);
  expect(client?.stats.negotiations).toBe(2);
});

it('tells of no failure where a question was out and the application stopped', async () => {
  const problems: unknown[] = [];
  let ask = (): void => undefined;
  // A source of tokens that never answers: the question stays out.
  const token = (): Promise<string> => {
    ask();
    return new Promise(() => undefined);
  };
  const isAsked = new Promise<void>((resolve) => {
    ask = resolve;
  });
  connect({ token, onError: (problem) => problems.push(problem) });
  await isAsked;
  client?.stop();
  await sleep(20);
  expect(problems).toEqual([]);
});

it('leaves no timer, no listener and no connection behind', async () => {
  const clock = new FakeClock({ runs: true });
  const network = new EventTarget();
  connect({ clock, network });
  await until(isLive);
  const [stream] = gateway.streams;
  client?.stop();
  expect(clock.pending).toBe(0);
  await until(() => stream?.readyState === WebSocket.CLOSED);
  network.dispatchEvent(new Event('online'));

  // While it waits, and while a question is out.
  gateway.status = 503;
  client?.start();
  await until(() => client?.state.phase === 'waiting');
  client?.stop();
  client?.start();
  client?.stop();
  await sleep(50);
  expect(clock.pending).toBe(0);
  expect(client?.state.phase).toBe('idle');
  expect(gateway.streams).toHaveLength(1);
});
