/**
 * The heart's own stage: clients of both kinds in several orgs behind one proxy, backends that publish until they are
 * acknowledged, and everything that can happen to them meanwhile. Each client keeps the numbers of the events that it
 * was given, to be compared with what was published.
 */
import { WebSocket } from 'ws';
import { type Client, createClient } from '../../clients/js/index.ts';
import { pollForever } from '../../clients/legacy/poller.ts';
import type { Random } from './random.ts';
import { makeProducerToken, makeToken } from './token-maker.ts';
import { sleep, until } from './until.ts';

export interface Member {
  readonly user: string;
  readonly org: string;
  readonly services: readonly string[];
  /** Absent: the legacy client. */
  readonly client: Client | undefined;
  /** Numbers of the events it was given, in the order of arrival. */
  readonly received: number[];
  readonly resets: string[];
  readonly problems: string[];
}

const orgs = ['acme', 'bolt', 'core', 'dune'] as const;
const services = ['finance', 'guest', 'staff', 'chat', 'chat/run-1'] as const;

const burstMs = 200;
const answerMs = 3000;
/** Enough for whoever waits with backoff when the storm ends. */
const recoverMs = 60_000;
const idOf = (number: number): string => `event-${number}`;
export const numberOf = (id: string): number => Number(id.slice(idOf(0).length - 1));

/** One org's backend: a burst at a time, each repeated under its ids until it is acknowledged. */
export class Backend {
  readonly org: string;
  /** Requests that were not answered with 200, and so were sent again. */
  retries = 0;
  private readonly url: string;
  private readonly random: Random;
  private readonly acknowledged: {
    readonly seq: number;
    readonly number: number;
    readonly service: string;
  }[] = [];
  private sent = 0;

  constructor(url: string, org: string, random: Random) {
    this.url = url;
    this.org = org;
    this.random = random;
  }

  get published(): number {
    return this.acknowledged.length;
  }

  /** Numbers of the events of these services, in the order of the log. */
  expected(wanted: readonly string[]): number[] {
    return this.acknowledged.filter(({ service }) => wanted.includes(service)).map(({ number }) => number);
  }

  /** True where the log gave each event a seq of its own, without holes. */
  get isWhole(): boolean {
    return this.acknowledged.every(({ seq }, index) => seq === index + 1);
  }

  /** `ratePerS` events a second, until told. */
  async run(ratePerS: number, isOver: () => boolean): Promise<void> {
    const startMs = performance.now();
    const first = this.sent;
    while (!isOver()) {
      const due = Math.floor(((performance.now() - startMs) / 1000) * ratePerS) + first - this.sent;
      const count = Math.min(due, 200);
      if (count > 0) await this.publish(Array.from({ length: count }, () => this.random.pick(services)));
      await sleep(burstMs);
    }
  }

  /** One event to each of the services, in one batch. Resolves once it is acknowledged. */
  async publish(to: readonly string[]): Promise<void> {
    const events = to.map((service) => ({
      id: idOf(this.sent++),
      service,
      type: 'test',
      payload: { service },
    }));
    const authorization = `Bearer ${await makeProducerToken()}`;
    for (;;) {
      const seqs = await this.ask(authorization, JSON.stringify({ org: this.org, events }));
      if (seqs !== undefined) {
        for (const [index, { id, service }] of events.entries())
          this.acknowledged.push({ seq: seqs[index] ?? 0, number: numberOf(id), service });
        return;
      }
      this.retries += 1;
      await sleep(100);
    }
  }

  private async ask(authorization: string, body: string): Promise<number[] | undefined> {
    try {
      const answer = await fetch(`${this.url}/v1/publish`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body,
        signal: AbortSignal.timeout(answerMs),
      });
      if (answer.ok) {
        const { results } = (await answer.json()) as { results: { seq: number }[] };
        return results.map(({ seq }) => seq);
      }
      await answer.text();
      // Anything else would be refused for ever.
      if (answer.status < 500 && answer.status !== 429) throw new RangeError(`answered ${answer.status}`);
    } catch (thrown) {
      if (thrown instanceof RangeError) throw thrown;
    }
    return undefined;
  }
}

export class Heart {
  readonly members: Member[] = [];
  readonly backends: readonly Backend[];
  /** One for each legacy client: undici keeps a listener for each request until it is collected. */
  private readonly leaving: AbortController[] = [];
  private readonly polling: Promise<void>[] = [];
  private readonly url: string;
  private readonly random: Random;

  constructor(url: string, random: Random) {
    this.url = url;
    this.random = random;
    this.backends = orgs.map((org) => new Backend(url, org, random));
  }

  /** Everybody in, and placed: from here on each must receive all that is published to its services. */
  async join(sdkClients: number, legacyClients: number): Promise<void> {
    for (let index = 0; index < sdkClients; index += 1) await this.addSdk(index);
    for (let index = 0; index < legacyClients; index += 1) await this.addLegacy(index);
    const isLive = ({ client }: Member): boolean => client === undefined || client.state.phase === 'live';
    await until(
      () => this.members.every(isLive),
      () => `everybody live:\n${this.describe()}`,
    );
    // A legacy client can't say when it has its place: it has one once it receives.
    while (this.members.some(({ received }) => received.length === 0)) {
      await Promise.all(this.backends.map((backend) => backend.publish(services)));
      await sleep(500);
    }
  }

  publishUntil(isOver: () => boolean): Promise<unknown> {
    return Promise.all(this.backends.map((backend) => backend.run(300 / this.backends.length, isOver)));
  }

  /** Waits a minute at most until each has as many events as it must have. @returns who has others, or in another order. */
  async incomplete(): Promise<string[]> {
    const expected = new Map(this.members.map((member) => [member, this.expected(member)]));
    const isFull = (member: Member): boolean => member.received.length >= (expected.get(member)?.length ?? 0);
    // Whoever never gets there is named below, with what it lacks.
    for (const endMs = performance.now() + recoverMs; performance.now() < endMs; await sleep(50))
      if (this.members.every(isFull)) break;
    // Whatever would come twice has time to.
    await sleep(500);
    return this.members
      .filter(({ received }, index) => {
        const due = expected.get(this.members[index] as Member) ?? [];
        return received.length !== due.length || received.some((number, at) => number !== due[at]);
      })
      .map(
        (member) => `${this.describeOne(member)} ${difference(member.received, expected.get(member) ?? [])}`,
      );
  }

  /** Forgets what was received: for the life after a `reset`. */
  beginAnew(): void {
    for (const { received } of this.members) received.length = 0;
  }

  counts() {
    const clients = this.members.flatMap(({ client }) => (client === undefined ? [] : [client.stats]));
    const sum = (of: (stats: Client['stats']) => number): number =>
      clients.reduce((total, stats) => total + of(stats), 0);
    return {
      clients: this.members.length,
      published: this.backends.reduce((total, { published }) => total + published, 0),
      publishesRetried: this.backends.reduce((total, { retries }) => total + retries, 0),
      received: this.members.reduce((total, { received }) => total + received.length, 0),
      movesUp: sum(({ moves }) => moves.up),
      movesDown: sum(({ moves }) => moves.down),
      movesSame: sum(({ moves }) => moves.same),
      repeatsDropped: sum(({ repeats }) => repeats),
      reconnects: sum(({ reconnects }) => reconnects),
    };
  }

  describe(): string {
    return this.members
      .filter(({ client }) => client !== undefined && client.state.phase !== 'live')
      .slice(0, 20)
      .map((member) => this.describeOne(member))
      .join('\n');
  }

  async stop(): Promise<void> {
    for (const leave of this.leaving) leave.abort();
    for (const { client } of this.members) client?.stop();
    await Promise.all(this.polling);
  }

  /** Whoever was placed late begins at its first event. */
  private expected({ org, services: wanted, client, received }: Member): number[] {
    const all = this.backends.find((backend) => backend.org === org)?.expected(wanted) ?? [];
    return client === undefined ? all.slice(Math.max(0, all.indexOf(received[0] ?? -1))) : all;
  }

  private describeOne({ user, org, client, received, resets, problems }: Member): string {
    const closes = client?.stats.closes;
    return JSON.stringify({
      user,
      org,
      at: client?.state,
      received: received.length,
      resets,
      problems: problems.slice(-3),
      closes,
    });
  }

  private enter(user: string, index: number): Omit<Member, 'client'> {
    const org = orgs[index % orgs.length] ?? 'acme';
    return { user, org, services: this.random.some(services), received: [], resets: [], problems: [] };
  }

  private async addSdk(index: number): Promise<void> {
    const member = this.enter(`sdk-${index}`, index);
    const token = await makeToken({ sub: member.user, org: member.org });
    const client = createClient({
      url: this.url,
      token: () => token,
      services: member.services,
      WebSocket,
      onEvent: ({ id }) => member.received.push(numberOf(id)),
      onReset: (reason) => member.resets.push(reason),
      onError: ({ code, message }) => member.problems.push(`${code} ${message}`),
    });
    this.members.push({ ...member, client });
    client.start();
  }

  private async addLegacy(index: number): Promise<void> {
    const member = this.enter(`legacy-${index}`, index);
    const token = await makeToken({ sub: member.user, org: member.org });
    this.members.push({ ...member, client: undefined });
    const leave = new AbortController();
    this.leaving.push(leave);
    this.polling.push(
      pollForever({
        url: this.url,
        token,
        services: member.services,
        onEvent: ({ id }) => member.received.push(numberOf(id)),
        onReset: (reason) => member.resets.push(reason),
        onError: (problem) => member.problems.push(problem),
        // The storm ends with everybody in their longest pause, which nothing is learnt from.
        longestBackoffMs: 4000,
        signal: leave.signal,
      }),
    );
  }
}

/** What the one list has and the other has not. */
function difference(received: readonly number[], expected: readonly number[]): string {
  const seen = new Set(received);
  const due = new Set(expected);
  const missing = expected.filter((number) => !seen.has(number));
  const foreign = received.filter((number) => !due.has(number));
  const firstOdd = received.findIndex((number, at) => number !== expected[at]);
  return JSON.stringify({
    expected: expected.length,
    missing: missing.slice(0, 10),
    missingCount: missing.length,
    repeated: received.length - seen.size,
    foreign: foreign.slice(0, 10),
    firstOdd,
  });
}
