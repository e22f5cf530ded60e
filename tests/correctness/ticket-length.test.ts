/** A ticket stands in a URL: it stays short whatever a token claims, and opens a stream at any node all the same. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { NegotiateResponse } from '../../schema/http.ts';
import { createAuthenticator } from '../../src/auth/authenticator.ts';
import { memoryClaims, redisClaims } from '../../src/auth/held-claims.ts';
import type { Identity, Ticket } from '../../src/auth/identity.ts';
import { systemClock } from '../../src/clock.ts';
import { type Environment, readConfig } from '../../src/config/config.ts';
import { type Gateway, openGateway } from '../../src/gateway/gateway.ts';
import { createLogger } from '../../src/logger.ts';
import { openRedis, type RedisConnection } from '../../src/redis/connections.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { call } from '../support/http-client.ts';
import { RedisServer } from '../support/redis.ts';
import { StreamClient } from '../support/stream-client.ts';
import { makeToken, testSecret } from '../support/tokens.ts';
import { WhoamiServer } from '../support/whoami-server.ts';

const urlChars = 2000;
const patterns = (count: number, tag = 'team'): string[] =>
  Array.from({ length: count }, (_, index) => `${tag}-${index}/project-${index * 7919}/chat/*`);
const ends: (() => unknown)[] = [];
const endAll = (): Promise<unknown> => Promise.all(ends.splice(0).map((end) => end()));
const ticketOf = (identity: Identity, more: Partial<Ticket> = {}): Ticket => ({
  identity,
  session: 's-1',
  supports: ['websocket', 'long-poll'],
  assignment: 18,
  override: undefined,
  ...more,
});

function open(env: Environment = { TURNOUT_JWT_SECRET: testSecret }) {
  const clock = new FakeClock();
  const auth = createAuthenticator(readConfig(env), clock);
  ends.push(() => auth.close());
  const identify = async (claims: object): Promise<Identity> =>
    auth.verifyToken(await makeToken(claims as never, { nowMs: clock.now() }));
  return { auth, clock, identify };
}

describe('a ticket', () => {
  afterEach(endAll);

  it.each([1, 20, 110, 200])(
    'of a token with %i service patterns is short and carries them all',
    async (count) => {
      const { auth, identify } = open();
      const ticket = ticketOf(await identify({ services: patterns(count), publish: patterns(20, 'say') }));
      const text = await auth.issueTicket(ticket);
      expect(text.length).toBeLessThanOrEqual(urlChars);
      expect(await auth.verifyTicket(text)).toEqual(ticket);
    },
  );

  it('of a long credential is short, and does not outlive it', async () => {
    const whoami = await WhoamiServer.start();
    ends.push(() => whoami.close());
    const credential = 'x'.repeat(4000);
    whoami.people.set(`Bearer ${credential}`, { user: 'ann', org: 'acme' });
    const { auth, clock } = open({ TURNOUT_AUTH_URL: whoami.url });
    const text = await auth.issueTicket(ticketOf(await auth.verifyToken(credential)));
    expect(text.length).toBeLessThanOrEqual(urlChars);
    expect((await auth.verifyTicket(text)).identity).toMatchObject({ sub: 'ann', org: 'acme' });
    whoami.people.clear();
    clock.advance(60_000);
    await expect(auth.verifyTicket(text)).rejects.toMatchObject({ code: 'unauthorized' });
  });

  it('stays short whatever its client says of itself', async () => {
    const { auth, identify } = open();
    const identity = await identify({ sub: 'u'.repeat(128), org: 'o'.repeat(128), services: patterns(150) });
    const supports = Array.from({ length: 16 }, (_, index) => `${index}`.padEnd(64, '\u{fffd}'));
    const text = await auth.issueTicket(ticketOf(identity, { session: '"'.repeat(128), supports }));
    expect(text.length).toBeLessThanOrEqual(urlChars);
    // No transport of ours: not the same as a client that said nothing.
    expect((await auth.verifyTicket(text)).supports).toEqual(['long-poll']);
  });

  it('that is short expires as any other, with its token too', async () => {
    const { auth, identify, clock } = open();
    const text = await auth.issueTicket(ticketOf(await identify({ services: patterns(110) })));
    const exp = clock.now() / 1000 + 60;
    const brief = await auth.issueTicket(ticketOf(await identify({ services: patterns(110), exp })));
    clock.advance(60_000);
    await expect(auth.verifyTicket(brief)).rejects.toMatchObject({ code: 'unauthorized' });
    clock.advance(4 * 60_000 - 1);
    await auth.verifyTicket(text);
    clock.advance(1001);
    await expect(auth.verifyTicket(text)).rejects.toMatchObject({ code: 'ticket_expired' });
  });

  it('opens with no claims but its own, whatever is held under their id', async () => {
    const { auth, identify, clock } = open();
    const kept = new Map<string, string>();
    const put = async (id: string, sealed: string): Promise<void> => void kept.set(id, sealed);
    auth.holdClaimsIn({ put, get: async (id) => kept.get(id) }, undefined);
    const few = await auth.issueTicket(ticketOf(await identify({ services: patterns(110) })));
    await auth.issueTicket(ticketOf(await identify({ services: [...patterns(110), '*'] })));
    const [own = '', other = ''] = [...kept.keys()];
    const expired = { code: 'ticket_expired' };
    for (const instead of [kept.get(other), 'garbage', '', undefined, kept.get(own)?.slice(0, -4)]) {
      auth.holdClaimsIn({ put, get: async () => instead }, undefined);
      await expect(auth.verifyTicket(few)).rejects.toMatchObject(expired);
    }
    auth.holdClaimsIn(memoryClaims(clock), undefined);
    await expect(auth.verifyTicket(few)).rejects.toMatchObject(expired);
  });
});

describe('nodes that share a Redis', () => {
  let redis: RedisServer;
  let connections: RedisConnection[];
  beforeAll(async () => {
    redis = await RedisServer.start();
    connections = [0, 1].map(() =>
      openRedis({ url: redis.url, clock: systemClock, timeoutMs: 2000, onError: () => undefined }),
    );
    await Promise.all(connections.map((connection) => connection.ready(10_000)));
  });
  afterEach(endAll);
  afterAll(async () => {
    for (const connection of connections) connection.close();
    await redis.stop();
  });

  /** Two nodes; what became of the first one's long tickets. */
  function twoNodes() {
    const outcomes: string[] = [];
    const nodes = connections.map((connection) => {
      const node = open();
      node.auth.holdClaimsIn(redisClaims(connection, 'turnout'), (outcome) => outcomes.push(outcome));
      return node;
    });
    const [one, other] = nodes as [(typeof nodes)[0], (typeof nodes)[0]];
    return { one, other, outcomes };
  }
  const keys = (): Promise<string[]> => redis.client.keys('turnout:ticket:*');

  it('open each other’s short tickets; Redis holds one entry a token, unreadable, for six minutes', async () => {
    const { one, other, outcomes } = twoNodes();
    const ticket = ticketOf(await one.identify({ services: patterns(110) }));
    const texts = [];
    for (const assignment of Array.from({ length: 50 }, (_, index) => index))
      texts.push(await one.auth.issueTicket({ ...ticket, assignment }));
    for (const [assignment, text] of texts.entries())
      expect(await other.auth.verifyTicket(text)).toEqual({ ...ticket, assignment });
    const [key = '', ...more] = await keys();
    expect(more).toEqual([]);
    const value = (await redis.client.get(key)) ?? '';
    expect(Buffer.from(value, 'base64url').toString('latin1')).not.toContain('project');
    expect(await redis.client.pttl(key)).toBeGreaterThan(5 * 60_000);
    expect(new Set(outcomes)).toEqual(new Set(['held']));
  });

  it('never ask Redis about a ticket that none of them signed', async () => {
    const { one, other } = twoNodes();
    const stranger = open({ TURNOUT_JWT_SECRET: 'a secret that the others do not have' });
    const text = await stranger.auth.issueTicket(ticketOf(await one.identify({ services: patterns(110) })));
    let asked = 0;
    const put = async (): Promise<void> => undefined;
    const get = async (): Promise<undefined> => {
      asked += 1;
    };
    other.auth.holdClaimsIn({ put, get }, undefined);
    await expect(other.auth.verifyTicket(text)).rejects.toMatchObject({ code: 'ticket_expired' });
    expect(asked).toBe(0);
  });

  it('send a client to negotiate again where Redis lost its data', async () => {
    const { one, other } = twoNodes();
    const ticket = ticketOf(await one.identify({ services: patterns(110) }));
    const text = await one.auth.issueTicket(ticket);
    await redis.client.flushall();
    await expect(other.auth.verifyTicket(text)).rejects.toMatchObject({ code: 'ticket_expired' });
    expect(await other.auth.verifyTicket(await one.auth.issueTicket(ticket))).toEqual(ticket);
  });

  it('hand out the long form while Redis is away, and tell holders of the short one to try later', async () => {
    const { one, other, outcomes } = twoNodes();
    const ticket = ticketOf(await one.identify({ services: patterns(110) }));
    const short = await one.auth.issueTicket(ticket);
    await redis.kill();
    const long = await one.auth.issueTicket(ticket);
    expect(long.length).toBeGreaterThan(urlChars);
    expect(await other.auth.verifyTicket(long)).toEqual(ticket);
    await expect(other.auth.verifyTicket(short)).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(outcomes).toEqual(['held', 'unavailable']);
    await redis.restart();
  });
});

describe('a stream', () => {
  let redis: RedisServer;
  let nodes: Gateway[];
  beforeAll(async () => {
    redis = await RedisServer.start();
    const config = readConfig({
      TURNOUT_PORT: '0',
      TURNOUT_REDIS_URL: redis.url,
      TURNOUT_JWT_SECRET: testSecret,
      REALTIME_STREAMING_V2: 'true',
      REALTIME_ROLLOUT_PERCENT: '100',
    });
    const start = (): Promise<Gateway> =>
      openGateway({ config, clock: systemClock, logger: createLogger('silent') });
    nodes = await Promise.all([start(), start()]);
  });
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.drain()));
    await redis.stop();
  });

  it('opens at the other node by a URL that proxies pass, and is held to each of 110 patterns', async () => {
    const [one, other] = nodes;
    const token = await makeToken({ services: patterns(110) });
    const { body } = await call<NegotiateResponse>(`${one?.url}/v2/realtime/negotiate`, { token, body: {} });
    const { websocket } = body.urls;
    expect(websocket.length).toBeLessThanOrEqual(urlChars + 100);
    const first = { services: ['team-109/project-863171/chat/general', 'finance'], version: 1 };
    const stream = new StreamClient(other?.url ?? '', { path: websocket, first });
    await stream.next('ack');
    expect(await stream.next('error')).toMatchObject({ code: 'service_forbidden', ref: 'finance' });
    stream.destroy();
    console.log(
      `a stream's URL for 110 patterns: ${websocket.length} characters, a token of ${token.length}`,
    );
  });
});
