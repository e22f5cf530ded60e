/** A storm over the company's clients, and the comparison at its end of what each was given with what was published. */
import { expect } from 'vitest';
import type { AcmeReader, Update } from './acme/client.ts';
import { AcmeFleet } from './acme-fleet.ts';
import type { Random } from './random.ts';
import { sleep, until } from './until.ts';

export interface FlapSize {
  readonly tenants: number;
  readonly clients: number;
  /** Things that are broken, one after the other. */
  readonly steps: number;
}

interface Seat {
  readonly tenant: string;
  readonly reader: AcmeReader;
}

export async function flap(random: Random, { tenants, clients, steps }: FlapSize): Promise<void> {
  const fleet = await AcmeFleet.start();
  try {
    const names = Array.from({ length: tenants }, (_, at) => `tenant-${at}`);
    await fleet.load(names, random, 40);
    const seats = await Promise.all(
      Array.from({ length: clients }, async (_, at): Promise<Seat> => {
        const tenant = names[at % tenants] ?? '';
        return { tenant, reader: await fleet.reader(`user-${at}`, tenant) };
      }),
    );
    const flapping = flapPercent(fleet, random);
    for (let step = 0; step < steps; step += 1) await breakSomething(fleet, random, step);
    await flapping.stop();
    await fleet.rest();
    await expectServed(fleet);
    await expectAllHeard(fleet, seats);
    const failed = seats.reduce((sum, { reader }) => sum + reader.failed, 0);
    console.log(`${clients} clients, ${flapping.jumps} jumps, ${failed} polls failed and were asked again`);
    await Promise.all(seats.map(({ reader }) => reader.stop()));
  } finally {
    await fleet.stop();
  }
}

/** Who is served jumps at random, for as long as it is wanted. */
function flapPercent(fleet: AcmeFleet, random: Random) {
  let isOn = true;
  let jumps = 0;
  const running = (async () => {
    while (isOn) {
      if (await fleet.serve(random.pick([0, 100, random.int(1, 99)]))) jumps += 1;
      await sleep(random.int(50, 400));
    }
  })();
  return {
    get jumps() {
      return jumps;
    },
    async stop() {
      isOn = false;
      await running;
    },
  };
}

/** The first steps are one of each kind, in a random order of nodes; the rest are dealt. */
async function breakSomething(fleet: AcmeFleet, random: Random, step: number): Promise<void> {
  const node = random.pick(fleet.nodes);
  const kinds = [
    async () => {
      await fleet.endNode(node, 'SIGKILL');
      await sleep(random.int(0, 400));
      await fleet.startNode(node);
    },
    async () => {
      await fleet.redis.kill();
      await sleep(random.int(0, 400));
      await fleet.redis.restart();
    },
    async () => {
      await fleet.endNode(node, 'SIGTERM');
      await fleet.startNode(node);
    },
    // Nobody bridges for a while, or the other one does.
    async () => {
      await fleet.endNode(node, 'SIGKILL');
      await fleet.startNode(node, { TURNOUT_BRIDGE: 'off' });
    },
    async () => {
      fleet.proxy.cut(0.5, random.next);
    },
    async () => {
      await Promise.all(fleet.nodes.map((one) => fleet.endNode(one, 'SIGKILL')));
      await Promise.all(fleet.nodes.map((one) => fleet.startNode(one)));
    },
  ];
  const chosen = kinds[step] ?? random.pick(kinds);
  await chosen();
  await sleep(random.int(100, 800));
}

/** All that is left over is given by Turnout. */
async function expectServed(fleet: AcmeFleet): Promise<void> {
  await until(() => fleet.serve(100), 'legacy-serve at 100 %');
  await fleet.untilBridged();
  const before = await fleet.polls('turnout');
  await until(async () => (await fleet.polls('turnout')) >= before + 20, 'polls that Turnout answers');
}

async function expectAllHeard(fleet: AcmeFleet, seats: readonly Seat[]): Promise<void> {
  for (const { tenant, reader } of seats) {
    const published = await fleet.published(tenant);
    await until(
      () => reader.seen.length >= published.length,
      () => `${published.length} updates of ${tenant}; there are ${reader.seen.length}`,
      15_000,
    );
    // By number first: a difference is then short enough to be read.
    expect(idsOf(reader.seen), tenant).toEqual(idsOf(published));
    expect(reader.seen, tenant).toEqual(published);
  }
}

const idsOf = (updates: readonly Update[]): number[] => updates.map(({ id }) => id);
