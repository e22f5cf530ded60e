/**
 * Ports for servers whose address others must know before they listen, or keep while they are down. None lies in the range
 * that kernels give out by themselves (from 32768 on): between its release and its next use no other test's server or
 * connection is given it.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';

/** A Redis Cluster's bus takes the port 10,000 above: between these and that range. */
const firstPort = 11_000;
const portsAWorker = 600;
const workers = 15;

// Workers of one run share none; runs side by side seldom begin at the same place.
const ownFirst = firstPort + (Number(process.env['VITEST_WORKER_ID'] ?? 0) % workers) * portsAWorker;
let taken = Math.floor(Math.random() * portsAWorker);

/** A port that nothing listens on, and that this process has not given for a while. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < portsAWorker; tries += 1) {
    taken += 1;
    const port = ownFirst + (taken % portsAWorker);
    if (await isFree(port)) return port;
  }
  throw new Error(`no port is free from ${ownFirst} on`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
