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

export interface Heard {
  readonly tenant: string;
  readonly seen: readonly Update[];
  readonly published: readonly Update[];
}

/** @returns of each client what it was given, once that is as much as there is */
export async function flap(random: Random, { tenants, clients, steps }: FlapSize): Promise<Heard[]> {
  const fleet = await AcmeFleet.start();
  try {
    const names = Array.from({ length: tenants }, (_, at) => `tenant-${at}`);
    await fleet.load(names, random, 100);
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
    const all = await Promise.all(seats.map((seat) => heard(fleet, seat)));
    // Who comes back after all of it reads what the log has become.
    for (const tenant of names) all.push(await heardLater(fleet, tenant));
    const failed = seats.reduce((sum, { reader }) => sum + reader.failed, 0);
    console.log(`${clients} clients, ${flapping.jumps} jumps, ${failed} polls failed and were asked again`);
    await Promise.all(seats.map(({ reader }) => reader.stop()));
    return all;
  } finally {
    await fleet.stop();
  }
}

/** Who is served jumps at random, for as long as it is wanted. */
function flapPercent(fleet: AcmeFleet, random: Random) {
  const flapping = { isOn: true, jumps: 0 };
  const run = async (): Promise<void> => {
    while (flapping.isOn) {
      if (await fleet.serve(random.pick([0, 100, random.int(1, 99)]))) flapping.jumps += 1;
      await sleep(random.int(50, 400));
    }
  };
  const running = run();
  return {
    get jumps() {
      return flapping.jumps;
    },
    async stop() {
      flapping.isOn = false;
      await running;
    },
  };
}

/** The first steps are one of each kind, the rest are dealt. */
async function breakSomething(fleet: AcmeFleet, random: Random, step: number): Promise<void> {
  const node = random.pick(fleet.nodes);
  const kinds = [
    async () => {
      await Promise.all(fleet.nodes.map((one) => fleet.endNode(one, 'SIGKILL')));
      // Where the other one ends after that, nobody bridges.
      const asBystander = { TURNOUT_BRIDGE: 'off' };
      await Promise.all(fleet.nodes.map((one) => fleet.startNode(one, one === node ? asBystander : {})));
    },
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
    // As after a failover: what was acknowledged last is lost, or everything.
    async () => {
      await fleet.redis.snapshot();
      await sleep(random.int(300, 1500));
      await fleet.redis.restartRewound();
    },
    async () => fleet.redis.restartEmpty(),
    async () => {
      fleet.proxy.cut(0.5, () => random.next());
    },
  ];
  const chosen = kinds[step] ?? random.pick(kinds);
  await chosen();
  await sleep(random.int(100, 600));
}

/** All that is left over is given by Turnout. */
async function expectServed(fleet: AcmeFleet): Promise<void> {
  await until(() => fleet.serve(100), 'legacy-serve at 100 %');
  await fleet.untilBridged();
  const before = await fleet.polls('turnout');
  await until(
    () => fleet.polls('turnout'),
    'polls that Turnout answers',
    (seen) => seen >= before + 20,
  );
}

async function heard(fleet: AcmeFleet, { tenant, reader }: Seat): Promise<Heard> {
  const published = await fleet.published(tenant);
  await until(
    () => reader.seen.length,
    () => `${published.length} updates of ${tenant}; there are ${reader.seen.length}`,
    (seen) => seen >= published.length,
  );
  return { tenant, seen: reader.seen, published };
}

async function heardLater(fleet: AcmeFleet, tenant: string): Promise<Heard> {
  const published = await fleet.published(tenant);
  const client = await fleet.client('late', tenant);
  const seen = published.slice(0, 1);
  await until(
    async () => {
      const { updates } = await client.poll(seen.at(-1)?.id ?? 0, 1);
      return seen.push(...updates) >= published.length;
    },
    () => `${published.length} updates of ${tenant}; there are ${seen.length}`,
  );
  return { tenant, seen, published };
}

/** @throws where a client was not given every update once, in its order */
export function expectAll(all: readonly Heard[]): void {
  for (const { tenant, seen, published } of all) {
    // By number first: a difference is then short enough to be read.
    expect(idsOf(seen), tenant).toEqual(idsOf(published));
    expect(seen, tenant).toEqual(published);
  }
}

const idsOf = (updates: readonly Update[]): number[] => updates.map(({ id }) => id);
