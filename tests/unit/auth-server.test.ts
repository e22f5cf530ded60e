/** What the auth server is asked, how often, and what its answers and its silence mean. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Credential } from '../../src/auth/credential.ts';
import { AuthServer, type AuthServerOptions } from '../../src/auth/server.ts';
import { systemClock } from '../../src/clock.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { cut, WhoamiServer } from '../support/whoami-server.ts';

let whoami: WhoamiServer;
const opened: AuthServer[] = [];
beforeEach(async () => {
  whoami = await WhoamiServer.start();
  whoami.people.set('Bearer anns', { user: 'ann', org: 'acme' });
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((server) => server.close()));
  await whoami.close();
});

function open(options: Partial<AuthServerOptions> = {}): AuthServer {
  const base = {
    url: whoami.url,
    userPath: 'user',
    org: { path: 'org' },
    cacheMs: 10_000,
    holdsSecret: () => false,
  };
  const server = new AuthServer({ ...base, clock: systemClock, ...options });
  opened.push(server);
  return server;
}
const anns = Credential.bearer('anns');

describe('asking', () => {
  it('is done once for 200 who bring one credential at the same time, and once in the cache time', async () => {
    const clock = new FakeClock();
    const server = open({ clock });
    whoami.delayMs = 20;
    const all = await Promise.all(Array.from({ length: 200 }, () => server.identify(anns)));
    expect(new Set(all.map(({ org, sub }) => `${org}/${sub}`))).toEqual(new Set(['acme/ann']));
    expect(whoami.asked.length).toBe(1);
    clock.advance(9000);
    await server.identify(anns);
    expect(whoami.asked.length).toBe(1);
    clock.advance(1000);
    await server.identify(anns);
    expect(whoami.asked.length).toBe(2);
  });

  it('brings the credential as it came, where it came, and nothing else', async () => {
    whoami.people.set('sid=1; sid=2', { user: 'ann', org: 'acme' });
    whoami.people.set('key-1', { user: 'ben', org: 'acme' });
    whoami.people.set('?token=a%26b', { user: 'eve', org: 'acme' });
    const server = open();
    const cookie = Credential.cookie('theme=dark; sid=1; lang=en; sid=2; xsid=3', 'sid');
    const users = [];
    for (const credential of [
      cookie,
      Credential.header('X-Api-Key', 'key-1'),
      Credential.query('token', 'a&b'),
    ])
      if (credential !== undefined) users.push((await server.identify(credential)).sub);
    expect(users).toEqual(['ann', 'ben', 'eve']);
    for (const { headers } of whoami.asked) {
      const names = Object.keys(headers).filter((name) => !['host', 'connection', 'accept'].includes(name));
      expect(names.length).toBeLessThanOrEqual(1);
    }
  });

  it('never answers one credential with what another one brought', async () => {
    const server = open();
    const users = Array.from({ length: 100 }, (_, index) => `u${index}`);
    for (const user of users) whoami.people.set(`sid=${user}`, { user, org: 'acme' });
    whoami.delayMs = 5;
    const told = await Promise.all(
      [...users, ...users].map(async (user) => {
        const credential = Credential.cookie(`sid=${user}`, 'sid');
        return credential && [user, (await server.identify(credential)).sub];
      }),
    );
    for (const pair of told) expect(pair?.[1]).toBe(pair?.[0]);
    // The same text in another place is another credential.
    await expect(server.identify(Credential.bearer('u1'))).rejects.toMatchObject({ code: 'unauthorized' });
    expect(whoami.asked.length).toBe(101);
  });

  it('is not done again at once for one that was refused', async () => {
    const clock = new FakeClock();
    const server = open({ clock });
    const stranger = Credential.bearer('who?');
    for (let turn = 0; turn < 5; turn += 1)
      await expect(server.identify(stranger)).rejects.toMatchObject({ code: 'unauthorized' });
    expect(whoami.asked.length).toBe(1);
    clock.advance(2000);
    whoami.people.set('Bearer who?', { user: 'who', org: 'acme' });
    expect((await server.identify(stranger)).sub).toBe('who');
  });

  it('is refused to what could not be a credential', async () => {
    const server = open();
    for (const token of ['a\r\nx-admin: 1', 'x'.repeat(5000), '\u{1f511}'])
      await expect(server.identify(Credential.bearer(token))).rejects.toMatchObject({ code: 'unauthorized' });
    expect(whoami.asked.length).toBe(0);
  });

  it('keeps what it knows while thousands guess, and keeps no more than its bound', async () => {
    const server = open({ clock: new FakeClock() });
    await server.identify(anns);
    for (let round = 0; round < 11; round += 1)
      await Promise.allSettled(
        Array.from({ length: 50 }, (_, index) =>
          server.identify(Credential.bearer(`guess-${round}-${index}`)),
        ),
      );
    const before = whoami.asked.length;
    await server.identify(anns);
    expect(whoami.asked.length).toBe(before);
    // Of the refused only the newest are remembered.
    await expect(server.identify(Credential.bearer('guess-0-0'))).rejects.toMatchObject({
      code: 'unauthorized',
    });
    expect(whoami.asked.length).toBe(before + 1);
  });

  it('has an end: past a bound of questions under way the next is answered at once', async () => {
    const server = open();
    whoami.delayMs = 500;
    const all = Array.from({ length: 1100 }, (_, index) =>
      server.identify(Credential.bearer(`flood-${index}`)),
    );
    const codes = Promise.allSettled(all);
    await expect(server.identify(Credential.bearer('late'))).rejects.toMatchObject({ code: 'overloaded' });
    await server.close();
    await codes;
  });
});

describe('a kept connection', () => {
  it('that the server closes under a question is no outage: it is asked once more', async () => {
    const clock = new FakeClock();
    const told: string[] = [];
    const server = open({ clock, onAsked: (outcome) => told.push(outcome) });
    await server.identify(anns);
    clock.advance(10_000);
    // As if it had grown idle there a moment ago, and the question was on its way.
    whoami.instead = (response, request) => {
      whoami.instead = undefined;
      cut(response, request);
    };
    expect((await server.identify(anns)).sub).toBe('ann');
    expect([told, whoami.asked.length]).toEqual([['known', 'known'], 3]);
  });

  it('is not asked on and on where every question is cut', async () => {
    const clock = new FakeClock();
    const server = open({ clock });
    await server.identify(anns);
    clock.advance(10_000);
    whoami.instead = cut;
    await expect(server.identify(anns)).rejects.toMatchObject({ code: 'overloaded' });
    expect(whoami.asked.length).toBe(3);
    await expect(server.identify(anns)).rejects.toMatchObject({ code: 'overloaded' });
    expect(whoami.asked.length).toBe(4);
  });
});

describe('an answer', () => {
  it('names the user and the org by their places, numbers too, or the org is fixed', async () => {
    whoami.people.set('Bearer anns', { user: { id: 17 }, org: ['x', { name: 'acme' }] });
    const deep = open({ userPath: '$.user.id', org: { path: '$.org[1].name' } });
    expect(await deep.identify(anns)).toMatchObject({ sub: '17', org: 'acme' });
    const fixed = open({ userPath: 'user.id', org: { fixed: 'us' }, publishes: ['chat'] });
    const identity = await fixed.identify(anns);
    expect(identity).toMatchObject({ sub: '17', org: 'us' });
    expect([identity.publishes.allows('chat'), identity.publishes.allows('x'), identity.roles.size]).toEqual([
      true,
      false,
      0,
    ]);
  });

  it.each<[string, string, Parameters<typeof answering>[0]]>([
    ['401', 'unauthorized', (response) => response.writeHead(401).end()],
    ['403', 'unauthorized', (response) => response.writeHead(403).end()],
    [
      'a redirect to a login',
      'unauthorized',
      (response) => response.writeHead(302, { location: '/login' }).end(),
    ],
    ['a login page', 'unauthorized', (response) => response.writeHead(200).end('<html>')],
    ['nobody', 'unauthorized', (response) => response.writeHead(200).end('{"user":null,"org":"acme"}')],
    ['a name that is none', 'unauthorized', (response) => response.end('{"user":"a b","org":"acme"}')],
    ['500', 'overloaded', (response) => response.writeHead(500).end()],
    ['429', 'overloaded', (response) => response.writeHead(429).end()],
    ['404', 'overloaded', (response) => response.writeHead(404).end()],
    ['a cut connection', 'overloaded', (response) => response.socket?.destroy()],
    ['a lie about its length', 'overloaded', (response) => lie(response)],
    [
      'endless headers',
      'overloaded',
      (response) => response.writeHead(200, { x: 'y'.repeat(200_000) }).end(),
    ],
    ['silence', 'overloaded', () => undefined],
  ])('of %s is %s', async (_name, code, respond) => {
    whoami.instead = answering(respond);
    await expect(open({ timeoutMs: 150 }).identify(anns)).rejects.toMatchObject({ code });
    expect(whoami.asked.length).toBe(1);
  });

  it('of 20 MB is left where its bound is', async () => {
    const told: string[] = [];
    const pad = 'x'.repeat(20 << 20);
    whoami.instead = answering((response) => response.end(JSON.stringify({ user: 'ann', org: 'acme', pad })));
    const server = open({ timeoutMs: 10_000, onAsked: (_outcome, why) => told.push(why) });
    await expect(server.identify(anns)).rejects.toMatchObject({ code: 'overloaded' });
    expect(told).toEqual(['too_large']);
  });

  it('that fails is no verdict: the next one is asked again, and what was known stays known', async () => {
    const server = open();
    whoami.instead = cut;
    await expect(server.identify(anns)).rejects.toMatchObject({ code: 'overloaded' });
    whoami.instead = undefined;
    expect((await server.identify(anns)).sub).toBe('ann');
    whoami.instead = cut;
    expect((await server.identify(anns)).sub).toBe('ann');
  });

  it('that names somebody else by now ends who was connected by it', async () => {
    const clock = new FakeClock();
    const identity = await open({ clock }).identify(anns);
    whoami.people.set('Bearer anns', { user: 'ben', org: 'acme' });
    clock.advance(10_000);
    await expect(identity.vouch?.askAgain()).rejects.toMatchObject({ code: 'unauthorized' });
  });
});

it('nothing that fails, and no identity, shows the credential', async () => {
  const canary = 'CANARY-5e1f';
  const told: unknown[] = [];
  const onAsked = (...what: unknown[]) => told.push(what);
  const server = open({ timeoutMs: 100, onAsked });
  whoami.people.set(`Bearer ${canary}`, { user: 'ann', org: 'acme' });
  // The one answer that must come has as long as it needs.
  told.push(await open({ onAsked }).identify(Credential.bearer(canary)), Credential.bearer(canary));
  for (const instead of [
    cut,
    answering((response) => response.writeHead(401).end()),
    answering(() => undefined),
  ]) {
    whoami.instead = instead;
    const query = Credential.query('t', `${canary}${told.length}`);
    told.push(await server.identify(query).catch((error: unknown) => error));
  }
  const { inspect } = await import('node:util');
  for (const one of told) {
    expect(JSON.stringify(one)).not.toContain(canary);
    expect(inspect(one, { depth: 10, showHidden: true })).not.toContain(canary);
  }
});

type Respond = (response: Parameters<NonNullable<WhoamiServer['instead']>>[0]) => unknown;
function answering(respond: Respond): NonNullable<WhoamiServer['instead']> {
  return (response) => void respond(response);
}

function lie(response: Parameters<Respond>[0]): void {
  response.writeHead(200, { 'content-length': '1000' });
  response.write('{"user":"ann","org":"acme"}');
  void sleep(20).then(() => response.socket?.end());
}
