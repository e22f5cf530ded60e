/** The foreign company's own tests of its API: given where it is served, each throws where it isn't as it always was. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { RedisServer } from '../redis.ts';
import { until } from '../until.ts';
import { AcmeClient, AcmeReader, type Update } from './client.ts';

export interface AcmeCheck {
  readonly promise: string;
  /** @throws what is otherwise */
  readonly run: (url: string, newTenant: NewTenant) => Promise<void>;
}

/** Names a tenant of nobody else's, so that checks can run side by side. */
export type NewTenant = () => string;
export const someTenant: NewTenant = () => `t-${randomUUID().slice(0, 8)}`;

/**
 * Tenants whose streams are there, empty, before the bridge begins: it finds a new one only within seconds.
 * @returns one after the other, then ones that no bridge knows
 */
export async function knownTenants({ client }: RedisServer, count: number): Promise<NewTenant> {
  const names = Array.from({ length: count }, someTenant);
  for (const name of names) {
    const id = (await client.xadd(`updates:${name}`, '*', 'seq', '0')) ?? '';
    await client.xdel(`updates:${name}`, id);
  }
  return () => names.pop() ?? someTenant();
}

async function person(url: string, tenant: string, user = 'ann'): Promise<AcmeClient> {
  const client = new AcmeClient(url);
  assert.equal(await client.login(user, tenant), 200);
  return client;
}

const ids = (updates: readonly Update[]): number[] => updates.map(({ id }) => id);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, place) => place + 1);

async function read(client: AcmeClient, count: number): Promise<readonly Update[]> {
  const reader = new AcmeReader(client);
  try {
    await until(
      () => reader.seen.length,
      `${count} updates`,
      (seen) => seen >= count,
    );
  } finally {
    await reader.stop();
  }
  assert.equal(reader.failed, 0);
  return reader.seen;
}

export const acmeSuite: readonly AcmeCheck[] = [
  {
    promise: 'logs in with two cookies, and knows who is there',
    async run(url, newTenant) {
      const tenant = newTenant();
      const client = await person(url, tenant);
      assert.deepEqual([...client.jar.keys()].toSorted(), ['sid', 'theme']);
      assert.deepEqual(await client.whoami(), { status: 200, body: { id: 'ann', tenant } });
    },
  },
  {
    promise: 'lets nobody in without the password or a session',
    async run(url, newTenant) {
      const client = new AcmeClient(url);
      assert.equal(await client.login('ann', newTenant(), 'wrong'), 401);
      const answer = await client.ask('/api/updates?since=0&timeout=1');
      assert.equal(answer.status, 401);
      assert.deepEqual(await answer.json(), { error: 'not logged in' });
    },
  },
  {
    promise: 'logs out by a redirect, and the session is over',
    async run(url, newTenant) {
      const client = await person(url, newTenant());
      const sid = client.jar.get('sid');
      const answer = await client.logout();
      assert.equal(answer.status, 302);
      assert.equal(answer.headers.get('location'), '/goodbye');
      const old = await fetch(`${url}/whoami`, { headers: { cookie: `sid=${sid}` } });
      assert.equal(old.status, 401);
    },
  },
  {
    promise: 'answers 204 without a body when nothing came in time, and not before',
    async run(url, newTenant) {
      const client = await person(url, newTenant());
      const beganMs = performance.now();
      const answer = await client.ask('/api/updates?since=0&timeout=1');
      assert.equal(answer.status, 204);
      assert.equal((await answer.arrayBuffer()).byteLength, 0);
      assert.ok(performance.now() - beganMs >= 950);
    },
  },
  {
    promise: 'answers at once with timeout=0',
    async run(url, newTenant) {
      const client = await person(url, newTenant());
      assert.equal((await client.poll(0, 0)).status, 204);
    },
  },
  {
    promise: 'refuses what is no number',
    async run(url, newTenant) {
      const client = await person(url, newTenant());
      const answer = await client.ask('/api/updates?since=abc&timeout=1');
      assert.equal(answer.status, 400);
    },
  },
  {
    promise: 'wakes who waits as soon as there is something',
    async run(url, newTenant) {
      const tenant = newTenant();
      const [ann, bob] = [await person(url, tenant), await person(url, tenant, 'bob')];
      const waiting = ann.poll(0, 30);
      await bob.create('note', { text: 'hello' });
      const { status, updates, next } = await waiting;
      assert.equal(status, 200);
      assert.equal(next, 1);
      assert.equal(updates.length, 1);
      assert.equal(updates[0]?.kind, 'note');
      assert.deepEqual(updates[0]?.data, { text: 'hello' });
      assert.match(updates[0]?.at ?? '', /^\d{4}-\d\d-\d\dT/);
    },
  },
  {
    promise: 'numbers updates from 1, gives them in order, and from `since` on',
    async run(url, newTenant) {
      const client = await person(url, newTenant());
      for (let n = 1; n <= 5; n += 1) assert.equal(await client.create('tick', { n }), n);
      const { updates } = await client.poll(0, 5);
      assert.deepEqual(ids(updates), upTo(5));
      assert.deepEqual(
        updates.map(({ data }) => data),
        upTo(5).map((n) => ({ n })),
      );
      const later = await client.poll(3, 5);
      assert.deepEqual([ids(later.updates), later.next], [[4, 5], 5]);
      assert.equal((await client.poll(5, 0)).status, 204);
    },
  },
  {
    promise: 'gives much in several answers, none twice and none missing',
    async run(url, newTenant) {
      const client = await person(url, newTenant());
      await Promise.all(upTo(250).map((n) => client.create('tick', n)));
      assert.deepEqual(ids(await read(client, 250)), upTo(250));
    },
  },
  {
    promise: 'tells every client of a tenant the same, while it happens',
    async run(url, newTenant) {
      const tenant = newTenant();
      const writer = await person(url, tenant, 'writer');
      const clients = await Promise.all(upTo(20).map((n) => person(url, tenant, `reader-${n}`)));
      const reading = Promise.all(clients.map((client) => read(client, 30)));
      for (let n = 1; n <= 30; n += 1) await writer.create('tick', { n });
      for (const seen of await reading) assert.deepEqual(ids(seen), upTo(30));
    },
  },
  {
    promise: 'keeps tenants and sessions apart',
    async run(url, newTenant) {
      const tenants = upTo(15).map(newTenant);
      const clients = await Promise.all(tenants.map((tenant, n) => person(url, tenant, `user-${n}`)));
      assert.equal(new Set(clients.map(({ jar }) => jar.get('sid'))).size, 15);
      await Promise.all(clients.map((client, n) => client.create('secret', { of: n })));
      const polled = await Promise.all(clients.map((client) => client.poll(0, 5)));
      for (const [n, { updates }] of polled.entries())
        assert.deepEqual(
          updates.map(({ data }) => data),
          [{ of: n }],
        );
    },
  },
  {
    promise: 'carries a big update whole',
    async run(url, newTenant) {
      const client = await person(url, newTenant());
      const text = 'A big update. '.repeat(3500);
      await client.create('page', { text });
      assert.deepEqual((await client.poll(0, 5)).updates[0]?.data, { text });
    },
  },
  {
    promise: 'carries any text and any JSON as it is',
    async run(url, newTenant) {
      const client = await person(url, newTenant());
      const given = [
        { text: 'Grüße 👋 \u2028 "quoted" \\ \u0000' },
        [1, 2.5, -3e10, null],
        'just text',
        true,
        {},
      ];
      for (const data of given) await client.create('odd', data);
      const { updates } = await client.poll(0, 5);
      assert.deepEqual(
        updates.map(({ data }) => data),
        given,
      );
    },
  },
  {
    promise: 'forgets a client that stops waiting, and goes on for the others',
    async run(url, newTenant) {
      const tenant = newTenant();
      const [ann, bob] = [await person(url, tenant), await person(url, tenant, 'bob')];
      const leaving = new AbortController();
      const left = ann.poll(0, 30, leaving.signal).catch((error: Error) => error.name);
      const staying = bob.poll(0, 30);
      leaving.abort();
      assert.equal(await left, 'AbortError');
      await ann.create('note', 'still here');
      assert.deepEqual(ids((await staying).updates), [1]);
    },
  },
];
