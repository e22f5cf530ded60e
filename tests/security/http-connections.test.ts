/** What an HTTP connection may make a node hold: answers that it doesn't read, and requests that it sends ahead. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { connect, type Socket } from 'node:net';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { maxAhead } from '../../src/http/connections.ts';
import { openServer } from '../../src/http/server.ts';
import { openConnections } from '../support/http-connections.ts';
import { until } from '../support/until.ts';

const request = 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
// More than the kernel takes of an answer that nobody reads.
const large = Buffer.alloc(32 * 1024 * 1024);

type Handle = (request: IncomingMessage, response: ServerResponse) => void;

const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

async function opened(handle: Handle, bounds: Parameters<typeof openConnections>[0] = {}) {
  const { connections, inFlight } = openConnections(bounds);
  let handled = 0;
  const server = await openServer({
    fetch: () => new Response('not asked'),
    config: readConfig({ TURNOUT_PORT: '0' }),
    clock: systemClock,
    takes: (asked, response) => {
      handled += 1;
      handle(asked, response);
      return true;
    },
    attach: (on) => on.on('upgrade', (asked, socket) => connections.isAnswering(asked) && socket.destroy()),
    connections,
  });
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await server.close();
  });
  const port = Number(new URL(server.url).port);
  /** A client that reads nothing until it is told to. */
  const client = (text: string): Socket => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.on('error', () => undefined);
    sockets.push(socket);
    return socket;
  };
  return { client, inFlight, handled: () => handled };
}

describe('a connection that does not read', () => {
  it('has its next request handled once the answer before has left, whatever it sent ahead', async () => {
    const { client, handled, inFlight } = await opened((_, response) => response.end(large));
    const lazy = client(request.repeat(5));
    await until(() => inFlight.held.answers, 'an answer that is not read', large.length);
    expect(handled()).toBe(1);
    let read = 0;
    lazy.on('data', (chunk: Buffer) => {
      read += chunk.length;
    });
    await until(() => read > 5 * large.length, 'all five answers');
    expect(handled()).toBe(5);
    await until(
      () => inFlight.held,
      'nothing to be held',
      ({ answers, requests }) => answers + requests === 0,
    );
  });

  it('is cut when its time is up', async () => {
    const { client, inFlight } = await opened((_, response) => response.end(large), { stallMs: 300 });
    client(request);
    await until(() => inFlight.cuts.stalled, 'the cut', 1);
    expect(inFlight.held.answers).toBe(0);
  });

  it('keeps no other request waiting for longer than the answer before it took', async () => {
    // The time that an answer may stand does not run on while the next request is held.
    const { client, inFlight } = await opened(
      (asked, response) => {
        if (asked.url === '/held') setTimeout(() => response.end('late'), 900);
        else response.end(large);
      },
      { stallMs: 500 },
    );
    const socket = client(request + request.replace(' / ', ' /held '));
    await until(() => inFlight.held.answers, 'the first answer to stand', large.length);
    let heard = '';
    socket.on('data', (chunk: Buffer) => {
      heard = (heard + chunk.toString('latin1')).slice(-20);
    });
    await until(() => heard.endsWith('late'), 'the held answer');
    expect(inFlight.cuts).toMatchObject({ stalled: 0 });
  });
});

describe('a connection that sends requests ahead', () => {
  it('is answered in order, as many as may wait', async () => {
    const { client } = await opened((asked, response) => setImmediate(() => response.end(asked.url)));
    const paths = Array.from({ length: maxAhead + 1 }, (_, index) => `/${index}`);
    const socket = client(paths.map((path) => request.replace(' / ', ` ${path} `)).join(''));
    let heard = '';
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString();
    });
    const bodies = (): string[] => [...heard.matchAll(/\r\n\r\n(\/\d+)/g)].map(([, body]) => body ?? '');
    await until(() => bodies().length, 'all answers', paths.length);
    expect(bodies()).toEqual(paths);
  });

  it('is cut past that, and what it sent is parsed no further', async () => {
    const { client, inFlight, handled } = await opened(() => undefined);
    let parsed = 0;
    const onParsed = (): void => {
      parsed += 1;
    };
    subscribe('http.server.request.start', onParsed);
    onTestFinished(() => void unsubscribe('http.server.request.start', onParsed));
    client(request.repeat(1000));
    await until(() => inFlight.cuts.pipelined, 'the cut', 1);
    expect(handled()).toBe(1);
    expect(parsed).toBeLessThanOrEqual(maxAhead + 2);
    expect(inFlight.held.requests).toBe(0);
  });
});
