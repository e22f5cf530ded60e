/** The listening socket: opened with a backlog for a storm of returning clients, closed without cutting an answer. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, Server as NetServer } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { type Clock, pause } from '../clock.ts';
import { type Config, ConfigError } from '../config/config.ts';
import type { HttpConnections } from './connections.ts';

// Node's default of 511 drops connects when thousands come back at once.
const backlog = 4096;
// Longer than balancers keep an idle connection, so that none sends a request into a closing one.
const keepAliveMs = 65_000;
// How long an incomplete request, or upgrade, is waited for.
const headersMs = 15_000;
const closeMs = 1000;
// A client that connected just now has sent a request that isn't read yet: Node would take its connection for idle and cut it.
const lastRequestsMs = 150;

/** Listens at the configured address. @throws ConfigError where it can't */
export async function openServer(options: {
  fetch: (request: Request, env: never) => Response | Promise<Response>;
  config: Pick<Config, 'TURNOUT_HOST' | 'TURNOUT_PORT' | 'TURNOUT_BASE_PATH'>;
  clock: Clock;
  /** Called before the app, which never sees a request that this took: a legacy API's answers get no header of ours. */
  takes: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  /** Called before the server listens, to take its upgrades. */
  attach: (server: Server) => void;
  /** What a connection may make the node hold. */
  connections: HttpConnections;
}) {
  const { config, clock, takes, connections } = options;
  // The adaptor's own Response would be written after a poll has answered by itself (RESPONSE_ALREADY_SENT).
  const overrideGlobalObjects = false;
  // Balancers ask for health in HTTP/1.0, which needs no Host; the adaptor would answer them 400.
  const hostname = 'localhost';
  // The app's environment is typed by the app, which asks for no more of it than the adaptor gives.
  const answer = getRequestListener(options.fetch as never, { overrideGlobalObjects, hostname });
  let isClosing = false;
  const times = {
    keepAliveTimeout: keepAliveMs,
    headersTimeout: headersMs,
    connectionsCheckingInterval: 5000,
  };
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    if (isClosing) response.shouldKeepAlive = false;
    if (takes?.(request, response) !== true) void answer(request, response);
  };
  const server = createServer(
    { ...times, IncomingMessage: connections.requestClass(), ServerResponse: connections.responseClass() },
    connections.inTurn(handle),
  );
  options.attach(server);
  await new Promise<void>((resolve, reject) => {
    const refused = (error: NodeJS.ErrnoException): void => reject(toldBySetting(error));
    server.once('error', refused);
    server.listen({ port: config.TURNOUT_PORT, host: config.TURNOUT_HOST, backlog }, () => {
      server.off('error', refused);
      resolve();
    });
  });
  // The server listens on a port, not on a pipe, whose address would be a string.
  const { port } = server.address() as AddressInfo;
  const host = config.TURNOUT_HOST.includes(':') ? `[${config.TURNOUT_HOST}]` : config.TURNOUT_HOST;
  return {
    /** `http://127.0.0.1:4000`, the base path included. */
    url: `http://${host}:${port}${config.TURNOUT_BASE_PATH}`,
    /** Takes no new connection, and resolves once the requests that were begun are answered, or after a bound. */
    async close(): Promise<void> {
      isClosing = true;
      // Not the HTTP server's own close, which ends idle connections at once.
      const isClosed = new Promise<void>((resolve) => {
        NetServer.prototype.close.call(server, () => resolve());
      });
      await Promise.race([isClosed, pause(clock, lastRequestsMs)]);
      // A process that was suspended runs its timers first: let it read what has arrived before connections are cut.
      await new Promise((resolve) => setImmediate(resolve));
      server.close();
      await Promise.race([isClosed, pause(clock, closeMs)]);
      server.closeAllConnections();
      await isClosed;
    },
  };
}

const listenProblems: Readonly<Record<string, string>> = {
  EADDRINUSE: 'TURNOUT_PORT is taken: another process listens there',
  EACCES: 'TURNOUT_PORT is not for this user to listen on',
  EADDRNOTAVAIL: 'TURNOUT_HOST is no address of this machine',
  ENOTFOUND: 'TURNOUT_HOST is no address of this machine',
};

/** Turns an error of listening into one that names the setting: a stack would send the reader to the code. */
function toldBySetting(error: NodeJS.ErrnoException): Error {
  const problem = listenProblems[error.code ?? ''];
  return problem === undefined ? error : new ConfigError([problem]);
}
