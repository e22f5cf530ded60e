/** What lies outside of a command and breaks: a gateway that goes in the middle of its answer, a pipe that is full. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough, Writable } from 'node:stream';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CommandError } from '../../../src/cli/exits.ts';
import { watchRollout } from '../../../src/cli/rollout/watch.ts';
import { type Terminal, written } from '../../../src/cli/terminal.ts';
import { systemClock } from '../../../src/clock.ts';
import { runTurnout } from '../../support/terminal.ts';
import { until, within } from '../../support/until.ts';

/** Answers each request with the next of these; a text that is no JSON is cut off where it ends. */
async function answering(...bodies: readonly string[]): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const cut = (response: ServerResponse): void => void setImmediate(() => response.destroy());
  const server = createServer((request, response) => {
    const body = bodies[asked.push(request.url ?? '') - 1] ?? '{}';
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write(body);
    if (body.endsWith('}')) response.end();
    else cut(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const event = (seq: number) => ({
  seq,
  id: `i${seq}`,
  service: 'finance',
  type: 'test',
  timestamp: '2026-01-01T00:00:00.000Z',
  payload: {},
});
const poll = (seq: number): string =>
  JSON.stringify({
    events: [event(seq)],
    cursor: `c${seq}`,
    seq,
    epoch: 'e',
    transport: 'long-poll',
    assignment: 1,
  });

describe('a gateway that goes in the middle of its answer', () => {
  it('is asked again at the cursor by tail', async () => {
    const { url } = await answering(poll(1), '{"events":[', poll(2));
    const ran = await runTurnout(['tail', 'finance', '-n', '2', '-o', 'json', '--url', url]);
    expect(ran.code, ran.err).toBe(0);
    expect(ran.out.split('\n').map((line) => (JSON.parse(line) as { seq: number }).seq)).toEqual([1, 2]);
  });

  it('is asked again under the same id by publish', async () => {
    const done = JSON.stringify({ results: [{ seq: 7, id: 'once', duplicate: true }], epoch: 'e' });
    const { url, asked } = await answering('{"results":[', done);
    const ran = await runTurnout(['publish', 'finance', 'test', '{}', '--id', 'once', '--url', url]);
    expect(ran, ran.err).toMatchObject({ code: 0, out: '#7  once  (was there already)' });
    expect(asked).toHaveLength(2);
  });
});

it('ends publish at Ctrl-C though its input says nothing, and says that it was interrupted', async () => {
  const stop = new AbortController();
  const input = new PassThrough();
  const running = runTurnout(['publish', '--url', 'http://127.0.0.1:1'], {}, { input, stopped: stop.signal });
  await until(() => input.listenerCount('data'), 'it to read');
  stop.abort();
  expect(await within(running, 'its end')).toEqual({ code: 130, out: '', err: '' });
});

it('leaves no listener on a pipe that was full, however often', async () => {
  const pipe = new Writable({ highWaterMark: 1, write: (_chunk, _encoding, done) => setImmediate(done) });
  for (let line = 0; line < 20; line += 1) await written(pipe, [`line ${line}`]);
  expect([pipe.listenerCount('close'), pipe.listenerCount('drain')]).toEqual([0, 0]);
});

it('ends a watch without a word of failure where Ctrl-C comes in the middle of a look', async () => {
  const stop = new AbortController();
  const said: string[] = [];
  const terminal: Terminal = {
    env: {},
    clock: systemClock,
    input: process.stdin,
    isInteractive: false,
    stopped: stop.signal,
    print: () => Promise.resolve(),
    say: (...lines) => void said.push(...lines),
    end: () => undefined,
  };
  let looks = 0;
  const look = async () => {
    looks += 1;
    if (looks === 1) return { json: {}, lines: () => [] };
    stop.abort();
    throw new CommandError('unreachable', 'cannot reach it: the connection failed', { isTransient: true });
  };
  expect(await watchRollout(terminal, look, { output: 'text' })).toBe('done');
  expect(said).toEqual([]);
});
