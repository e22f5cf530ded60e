/** A node with honest clients under a siege: how far its memory grows, and whether the clients miss anything. */
import { startGateway } from './node-process.ts';
import { PollClient } from './poll-client.ts';
import { Publisher, metric, seqs } from './publisher.ts';
import { type AttackName, attacks, besiege } from './siege.ts';
import { openStream, type StreamClient } from './stream-client.ts';
import { makeToken } from './token-maker.ts';
import { sleep, until } from './until.ts';
import { WhoamiServer } from './whoami-server.ts';

export interface SiegeReport {
  /** Bytes of resident memory above what the node had with its honest clients and a small siege. */
  readonly growth: Readonly<Record<string, number>>;
  /** Seqs that each honest client missed, or was given twice. */
  readonly faults: readonly string[];
  /** Events that each honest client had to receive. */
  readonly published: number;
  /** Held for clients once the siege is over. */
  readonly heldAfter: number;
}

const bulkEvents = 180;
const bulkBytes = 60_000;

/** Besieges one node by all attacks, or by the named ones one after another; clients listen meanwhile. */
export async function runSiege(options: {
  readonly rounds: readonly (readonly AttackName[])[];
  /** Connections of each attack of a round. */
  readonly hostile: number;
  readonly honest: number;
  /** Of each round. */
  readonly ms: number;
}): Promise<SiegeReport> {
  const whoami = await WhoamiServer.start();
  whoami.delayMs = 8000;
  const gateway = await startGateway({
    TURNOUT_AUTH_URL: whoami.url,
    TURNOUT_AUTH_TIMEOUT_MS: '10000',
  });
  try {
    const publisher = new Publisher(gateway.url);
    const payload = { text: 'x'.repeat(bulkBytes) };
    // What hostile polls ask for: many MiB of one service, which no honest client reads.
    for (let left = bulkEvents; left > 0; left -= 15)
      await publisher.publish(...Array.from({ length: 15 }, () => ({ service: 'chat', payload })));
    const listeners = await listen(gateway.url, publisher, options.honest);
    const target = { url: gateway.url, token: await makeToken({ sub: 'mallory' }) };
    // Whatever a first request brings into memory is there before anything is measured.
    const all = Object.keys(attacks) as AttackName[];
    await Promise.all(all.map((name) => besiege(target, name, { count: 3, ms: 500 })));
    const growth: Record<string, number> = {};
    for (const round of options.rounds) {
      await until(() => heldOf(gateway.url), 'nothing to be held', 0);
      const before = gateway.residentBytes();
      let peak = before;
      const watch = setInterval(() => {
        peak = Math.max(peak, gateway.residentBytes());
      }, 50);
      const { hostile: count, ms } = options;
      await Promise.all(round.map((name) => besiege(target, name, { count, ms })));
      clearInterval(watch);
      growth[round.join(', ')] = peak - before;
    }
    await until(() => heldOf(gateway.url), 'nothing to be held', 0);
    const heldAfter = await heldOf(gateway.url);
    return { growth, heldAfter, ...(await listeners.end()) };
  } finally {
    await gateway.kill();
    await whoami.close();
  }
}

const heldOf = (url: string): Promise<number> => metric(url, 'turnout_bytes_in_flight');

/** Honest clients of both transports, and a backend that publishes to them until they are ended. */
async function listen(url: string, publisher: Publisher, count: number) {
  const services = ['news'];
  const streams: StreamClient[] = [];
  const polls: { client: PollClient; got: number[] }[] = [];
  for (let index = 0; index < count; index += 1) {
    const token = await makeToken({ sub: `honest-${index}` });
    if (index % 2 === 0) streams.push(await openStream(url, token, services));
    else polls.push({ client: new PollClient(url, token, services), got: [] });
  }
  await Promise.all(polls.map(({ client }) => client.ask()));
  const startSeq = publisher.head;
  const over = new AbortController();
  const loops = polls.map(async ({ client, got }) => {
    while (!over.signal.aborted || got.length < publisher.expected('', services, startSeq).length)
      got.push(...seqs((await client.ask({ wait: 2 })).events));
  });
  const publishing = (async () => {
    while (!over.signal.aborted) {
      await publisher.publish({ service: 'news' });
      await sleep(50);
    }
  })();
  return {
    async end() {
      over.abort();
      await publishing;
      await Promise.all(loops);
      const wanted = publisher.expected('', services, startSeq);
      await Promise.all(streams.map((stream) => stream.nextEvents(wanted.length)));
      const received = [...streams.map((stream) => seqs(stream.events())), ...polls.map(({ got }) => got)];
      for (const stream of streams) stream.destroy();
      for (const { client } of polls) client.close();
      const isWhole = (got: readonly number[]): boolean => got.join() === wanted.join();
      const faults = received.flatMap((got, index) =>
        isWhole(got)
          ? []
          : [`client ${index} got ${got.length} of ${wanted.length}: ${got.slice(0, 20).join()}`],
      );
      return { faults, published: wanted.length };
    },
  };
}
