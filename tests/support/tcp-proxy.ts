/** A TCP proxy between clients and a gateway, which cuts connections in mid-flight: an outage as clients see one. */
import { connect, createServer, type Socket } from 'node:net';
import { once } from 'node:events';

export interface TcpProxy {
  readonly url: string;
  readonly open: number;
  /** Where new connections lead from now on: a gateway that was restarted has another port. */
  target: string;
  /** Lets no upgrade through, as some company networks do: the connection ends without an answer. */
  blocksUpgrades: boolean;
  /** Ends each open connection with this probability, without a goodbye. @returns how many. */
  cut(probability: number, random: () => number): number;
  close(): Promise<void>;
}

export async function startProxy(target: string): Promise<TcpProxy> {
  const pairs = new Map<Socket, Socket>();
  let toUrl = target;
  let mustBlock = false;
  const server = createServer((client) => {
    const { hostname, port } = new URL(toUrl);
    const upstream = connect({ host: hostname, port: Number(port) });
    pairs.set(client, upstream);
    const end = (): void => {
      pairs.delete(client);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end);
    client.on('data', (data) => {
      if (mustBlock && /^upgrade: websocket/im.test(data.toString('latin1'))) end();
    });
    client.pipe(upstream).pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const cutAll = (probability: number, random: () => number): number => {
    const chosen = [...pairs].filter(() => random() < probability);
    for (const [client, upstream] of chosen) {
      client.resetAndDestroy();
      upstream.destroy();
    }
    return chosen.length;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    get open() {
      return pairs.size;
    },
    get target() {
      return toUrl;
    },
    set target(url) {
      toUrl = url;
    },
    get blocksUpgrades() {
      return mustBlock;
    },
    set blocksUpgrades(blocks) {
      mustBlock = blocks;
    },
    cut: cutAll,
    async close() {
      cutAll(1, () => 0);
      server.close();
      await once(server, 'close');
    },
  };
}
