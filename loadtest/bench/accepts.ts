/**
 * Accepts a second, and memory for each open connection: `upgradeWebSocket` of `@hono/node-server` 2 against a listener of
 * our own on `upgrade`, in turn, with the gateway itself (token, decision, handshake) beside them.
 */
import { FrameSocket } from '../frame-socket.ts';
import { startGateway, streamPath, userToken } from '../gateway.ts';
import { chosen, isQuick, median, numberOption, report, round, type Row } from '../report.ts';
import { pinLoad, type ServerProcess, type StartServer, standIn } from '../server-process.ts';

interface Contender {
  readonly name: string;
  readonly path: string;
  readonly start: StartServer;
}

interface Round {
  readonly acceptsPerS: number;
  readonly kibEach: number;
}

const connections = numberOption('connections', 4000, 50);
const rounds = numberOption('rounds', 3, 1);
const atOnce = 64;

/** Resident memory after a collection where the server offers one; the gateway doesn't. */
async function memoryBytes(server: ServerProcess): Promise<number> {
  const answer = await fetch(`${server.url}/memory`);
  if (!answer.ok) return server.rssBytes();
  const { heapUsed, external } = (await answer.json()) as { heapUsed: number; external: number };
  return heapUsed + external;
}

async function connectAll(url: string, path: string, count: number): Promise<FrameSocket[]> {
  const sockets: FrameSocket[] = [];
  let asked = 0;
  const worker = async (): Promise<void> => {
    while (asked < count) {
      asked += 1;
      sockets.push(await FrameSocket.open({ url, path, onText: () => undefined }));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return sockets;
}

async function measure({ start, path }: Contender): Promise<Round> {
  const server = await start();
  try {
    // The first ones compile the code; they stay open, so that only the others are weighed.
    const open = await connectAll(server.url, path, isQuick ? 10 : 500);
    const beforeBytes = await memoryBytes(server);
    const startMs = performance.now();
    open.push(...(await connectAll(server.url, path, connections)));
    const tookMs = performance.now() - startMs;
    const kibEach = ((await memoryBytes(server)) - beforeBytes) / connections / 1024;
    for (const socket of open) socket.close();
    return { acceptsPerS: connections / (tookMs / 1000), kibEach };
  } finally {
    await server.stop();
  }
}

async function main(): Promise<void> {
  const pinned = pinLoad();
  const nodeFlags = ['--expose-gc'];
  const contenders = chosen<Contender>([
    {
      name: 'hono upgradeWebSocket',
      path: '/stream',
      start: standIn('upgrade-hono', { nodeFlags }),
    },
    {
      name: "own on('upgrade')",
      path: '/stream',
      start: standIn('upgrade-own', { nodeFlags }),
    },
    {
      name: 'gateway (with token)',
      path: streamPath(await userToken('bench', 'ann')),
      start: () => startGateway({ TURNOUT_MAX_CONNECTIONS_PER_USER: '100000' }),
    },
  ]);
  const measured = new Map<string, Round[]>(contenders.map(({ name }) => [name, []]));
  for (let turn = 0; turn < rounds; turn += 1)
    for (const contender of contenders) measured.get(contender.name)?.push(await measure(contender));
  const rows: Row[] = [...measured].map(([name, of]) => ({
    server: name,
    'accepts/s': round(median(of.map(({ acceptsPerS }) => acceptsPerS))),
    lowest: round(Math.min(...of.map(({ acceptsPerS }) => acceptsPerS))),
    highest: round(Math.max(...of.map(({ acceptsPerS }) => acceptsPerS))),
    'KiB/connection': round(median(of.map(({ kibEach }) => kibEach)), 1),
    memory: name.startsWith('gateway') ? 'resident' : 'heap + external, collected',
  }));
  report('accepts', { pinned, connections, rounds, atOnce }, rows);
}

await main();
process.exit(0);
