/**
 * Starts a server with @hono/node-ws 1.3.1 as its README says, once for each of two peers, and shows that the peer ends
 * the whole process: an upgrade to `//`, and a peer that resets its connection while authentication is under way.
 * Run it with `npm ci && npm start` in this folder. Exits 0 when both crashes happened, 1 otherwise.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const self = fileURLToPath(import.meta.url);
const authenticationMs = 200;

async function serve() {
  const [{ serve: listen }, { createNodeWebSocket }, { Hono }] = await Promise.all([
    import('@hono/node-server'),
    import('@hono/node-ws'),
    import('hono'),
  ]);
  const app = new Hono();
  const nodeWebSocket = createNodeWebSocket({ app });
  app.use('/stream', async (_, next) => {
    await sleep(authenticationMs);
    await next();
  });
  app.get(
    '/stream',
    nodeWebSocket.upgradeWebSocket(() => ({})),
  );
  const server = listen({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) =>
    process.send(port),
  );
  nodeWebSocket.injectWebSocket(server);
}

const upgradeTo = (path) =>
  [
    `GET ${path} HTTP/1.1`,
    'Host: localhost',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    '\r\n',
  ].join('\r\n');

const peers = {
  'an upgrade to //': (socket) => socket.write(upgradeTo('//')),
  'a reset while authentication is under way': async (socket) => {
    socket.write(upgradeTo('/stream'));
    await sleep(authenticationMs / 4);
    socket.resetAndDestroy();
  },
};

async function show(name, misbehave) {
  const server = fork(self, ['serve'], { stdio: ['ignore', 'inherit', 'pipe', 'ipc'] });
  let stderr = '';
  server.stderr.on('data', (text) => {
    stderr += text;
  });
  const [port] = await once(server, 'message');
  const exited = once(server, 'exit');
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  await misbehave(socket);
  const outcome = await Promise.race([exited, sleep(5000)]);
  socket.destroy();
  if (outcome === undefined) {
    server.kill('SIGKILL');
    console.log(`${name}: the server lives on`);
    return false;
  }
  const why = stderr.split('\n').find((line) => /Error:/.test(line)) ?? 'no message';
  console.log(`${name}: the server's process ended with ${outcome[0] ?? outcome[1]} (${why.trim()})`);
  return true;
}

if (process.argv[2] === 'serve') await serve();
else {
  const crashed = [];
  for (const [name, misbehave] of Object.entries(peers)) crashed.push(await show(name, misbehave));
  process.exitCode = crashed.every(Boolean) ? 0 : 1;
}
