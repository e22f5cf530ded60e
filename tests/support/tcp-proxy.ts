/**
 * A TCP proxy between clients and their gateways: it balances new connections over those that answer, cuts connections in
 * mid-flight and stalls them, as networks do.
 */
import { connect, createServer, type Socket } from 'node:net';
import { once } from 'node:events';

export interface TcpProxy {
  readonly url: string;
  readonly open: number;
  /** Where new connections lead from now on: a gateway that was restarted has another port. */
  target: string;
  /** Lets no upgrade through, as some company networks do: the connection ends without an answer. */
  blocksUpgrades: boolean;
  /** While true, streams get through their handshake, and then hear nothing: it is kept for them until it is false. */
  holdsStreams: boolean;
  /** Ends each open connection with this probability, without a goodbye. @returns how many. */
  cut(probability: number, random: () => number): number;
  /** Keeps each open connection with this probability from bringing anything, either way, for `ms`. @returns how many. */
  stall(probability: number, random: () => number, ms: number): number;
  close(): Promise<void>;
}

/** @param targets one gateway or several; new connections go to them in turn, past those that refuse. */
export async function startProxy(...targets: readonly string[]): Promise<TcpProxy> {
  const pairs = new Map<Socket, Socket>();
  // By client. Who is stalled already is left alone: joined again by two timers, it would get every byte twice.
  const stalled = new Set<Socket>();
  const timers = new Set<NodeJS.Timeout>();
  let toUrls = targets;
  let turn = 0;
  let mustBlock = false;
  let mustHold = false;
  const held = new Map<Socket, Socket>();

  const join = (client: Socket, upstream: Socket): void => {
    pairs.set(client, upstream);
    const end = (): void => {
      pairs.delete(client);
      client.destroy();
      upstream.destroy();
    };
    if (client.destroyed) return end();
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end);
    client.on('data', (data) => {
      if (!(mustBlock || mustHold) || !/^upgrade: websocket/im.test(data.toString('latin1'))) return;
      if (mustBlock) return end();
      // The first that it says is the handshake's answer: nothing else comes before the client's first frame.
      upstream.once('data', () => {
        upstream.unpipe(client);
        held.set(client, upstream);
      });
    });
    client.pipe(upstream).pipe(client);
  };
  const lead = (client: Socket, left: number): void => {
    turn += 1;
    const { hostname, port } = new URL(toUrls[turn % toUrls.length] ?? '');
    const upstream = connect({ host: hostname, port: Number(port) });
    const onRefused = (): void => {
      if (left > 1) lead(client, left - 1);
      else client.destroy();
    };
    upstream.once('error', onRefused);
    upstream.once('connect', () => {
      upstream.off('error', onRefused);
      join(client, upstream);
    });
  };

  const server = createServer({ pauseOnConnect: true }, (client) => {
    // Until it is joined nobody else hears it; an error that nobody hears would end the process.
    client.on('error', () => undefined);
    lead(client, toUrls.length);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const choose = (probability: number, random: () => number): [Socket, Socket][] =>
    [...pairs].filter(() => random() < probability);
  const cutAll = (probability: number, random: () => number): number => {
    const chosen = choose(probability, random);
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
      return toUrls[0] ?? '';
    },
    set target(url) {
      toUrls = [url];
    },
    get blocksUpgrades() {
      return mustBlock;
    },
    set blocksUpgrades(blocks) {
      mustBlock = blocks;
    },
    get holdsStreams() {
      return mustHold;
    },
    set holdsStreams(holds) {
      mustHold = holds;
      if (holds) return;
      for (const [client, upstream] of held) if (pairs.has(client)) upstream.pipe(client);
      held.clear();
    },
    cut: cutAll,
    stall(probability, random, ms) {
      const chosen = choose(probability, random).filter(([client]) => !stalled.has(client));
      for (const [client, upstream] of chosen) {
        stalled.add(client);
        client.unpipe(upstream);
        upstream.unpipe(client);
      }
      const timer = setTimeout(() => {
        timers.delete(timer);
        for (const [client, upstream] of chosen) {
          stalled.delete(client);
          if (pairs.has(client)) client.pipe(upstream).pipe(client);
        }
      }, ms);
      timers.add(timer);
      return chosen.length;
    },
    async close() {
      for (const timer of timers) clearTimeout(timer);
      cutAll(1, () => 0);
      server.close();
      await once(server, 'close');
    },
  };
}
