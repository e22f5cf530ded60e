/** `turnout tail`, `publish`, `token` and `serve`, against a real gateway. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { envelopeSchema } from '../../schema/envelope.ts';
import { claimsSchema } from '../../schema/token.ts';
import { GatewayPool } from '../support/gateway-pool.ts';
import { type Gateway, type Settings, startGateway } from '../support/node-process.ts';
import { freePort } from '../support/ports.ts';
import { makeProducerToken, makeToken, testSecret } from '../support/token-maker.ts';
import { turnout, TurnoutCommand, type Variables } from '../support/turnout-command.ts';
import { until } from '../support/until.ts';

let pool: GatewayPool;
let orgs = 0;
beforeAll(async () => {
  pool = await GatewayPool.start([{}, {}]);
});
afterAll(() => pool.kill());

const it = test
  .extend('gateway', async ({ onTestFinished }) => {
    const gateway = await pool.take();
    onTestFinished(() => pool.give(gateway));
    return gateway;
  })
  /** Starts a node of the test's own. */
  .extend('startWith', ({ onTestFinished }) => async (settings: Settings): Promise<Gateway> => {
    const gateway = await startGateway(settings);
    onTestFinished(() => gateway.kill());
    return gateway;
  })
  /** An org that nobody else publishes to. */
  .extend('org', () => `org-${(orgs += 1)}`);

const asProducer = async ({ url }: Gateway, org: string): Promise<Variables> => ({
  TURNOUT_URL: url,
  TURNOUT_TOKEN: await makeProducerToken({ org }),
});
const asReader = async ({ url }: Gateway, org: string): Promise<Variables> => ({
  TURNOUT_URL: url,
  TURNOUT_TOKEN: await makeToken({ org }),
});
const lines = (org: string, count: number): string =>
  Array.from({ length: count }, (_, index) =>
    JSON.stringify({
      org,
      service: index % 2 === 0 ? 'finance' : 'chat',
      type: 'test',
      payload: { index },
    }),
  ).join('\n');
const seqsOf = (out: string): (number | undefined)[] =>
  out.split('\n').map((line) => envelopeSchema.parse(JSON.parse(line)).seq);

describe.concurrent('turnout tail and publish', () => {
  it.for(['long-poll', 'websocket', 'auto'])(
    'shows by %s what was published, in order, from the earliest on',
    async (transport, { gateway, org }) => {
      const published = await turnout(['publish'], await asProducer(gateway, org), lines(org, 7));
      expect(published, published.err).toMatchObject({ exit: 0 });
      expect(published.out.split('\n').map((line) => line.split(' ')[0])).toEqual([
        '#1',
        '#2',
        '#3',
        '#4',
        '#5',
        '#6',
        '#7',
      ]);
      const tail = ['tail', 'finance,chat', '--transport', transport, '-o', 'json'];
      const all = await turnout([...tail, '--from', 'earliest', '-n', '7'], await asReader(gateway, org));
      expect(all, all.err).toMatchObject({ exit: 0 });
      expect(seqsOf(all.out)).toEqual([1, 2, 3, 4, 5, 6, 7]);

      const cut = await turnout([...tail, '--from', '2', '-n', '3'], await asReader(gateway, org));
      expect(seqsOf(cut.out)).toEqual([3, 4, 5]);
      const from = /--from (\S+)/.exec(cut.err)?.[1] ?? '';
      const rest = await turnout([...tail, '--from', from, '-n', '2'], await asReader(gateway, org));
      expect(seqsOf(rest.out)).toEqual([6, 7]);
      const nowhere = await turnout([...tail, '--from', 'nowhere'], await asReader(gateway, org));
      expect(nowhere).toMatchObject({ exit: 2, err: expect.stringContaining('bad_cursor') });
      expect(nowhere.err).not.toContain('to go on from here');
    },
  );

  it('follows live, one event a line, and ends with its cursor at Ctrl-C', async ({ gateway, org }) => {
    const byPoll = new TurnoutCommand(['tail', 'finance', '--from', '0'], await asReader(gateway, org));
    const byStream = new TurnoutCommand(
      ['tail', 'finance', '--from', '0', '--transport', 'websocket'],
      await asReader(gateway, org),
    );
    const event = ['finance', 'revenue', '{"amount":1200}', '--org', org];
    const published = await turnout(['publish', ...event, '-o', 'json'], await asProducer(gateway, org));
    expect(JSON.parse(published.out)).toMatchObject({ seq: 1, id: expect.any(String) });
    for (const tail of [byPoll, byStream]) {
      await tail.untilOut((said) => said.length === 1, 'the event');
      expect(tail.out[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} #1 +finance revenue \{"amount":1200\}$/);
      expect(await tail.interrupt()).toMatchObject({ exit: 0, err: expect.stringMatching(/--from \S+$/) });
    }
  });

  it('goes on by itself after the gateway was away, and says what a new log means', async ({
    startWith,
    org,
  }) => {
    const port = String(await freePort());
    const gateway = await startWith({ TURNOUT_PORT: port });
    const tails = await Promise.all(
      ['long-poll', 'websocket'].map(
        async (transport) =>
          new TurnoutCommand(
            ['tail', 'finance', '--from', '0', '--transport', transport, '-o', 'json'],
            await asReader(gateway, org),
          ),
      ),
    );
    const event = ['finance', 'test', '{}', '--org', org];
    expect(await turnout(['publish', ...event], await asProducer(gateway, org))).toMatchObject({ exit: 0 });
    for (const tail of tails) await tail.untilOut((said) => said.length === 1, 'the first event');
    await gateway.kill();
    await until(() => tails.every(({ err }) => err.length > 0), 'the outage to be noticed');
    await startWith({ TURNOUT_PORT: port });
    for (const tail of tails) await tail.untilOut((said) => said.length === 2, 'the reset');
    expect(await turnout(['publish', ...event], await asProducer(gateway, org))).toMatchObject({ exit: 0 });
    for (const tail of tails) {
      await tail.untilOut((said) => said.length === 3, 'an event of the new log');
      expect(JSON.parse(tail.out[1] ?? '')).toMatchObject({ reset: 'epoch' });
      expect(await tail.interrupt()).toMatchObject({ exit: 0 });
    }
  });

  it('publishes once, under one id, whenever the gateway comes', async ({ startWith, org }) => {
    const port = String(await freePort());
    const token = await makeProducerToken({ org });
    const early = new TurnoutCommand(['publish', 'finance', 'test', '{}', '--org', org, '--id', 'once'], {
      TURNOUT_URL: `http://127.0.0.1:${port}`,
      TURNOUT_TOKEN: token,
    });
    await until(
      () => early.err.some((line) => line.includes('asking again under the id once')),
      'a first failure',
    );
    const gateway = await startWith({ TURNOUT_PORT: port });
    expect(await early.ended).toMatchObject({ exit: 0, out: '#1  once' });
    const again = ['publish', 'finance', 'test', '{}', '--org', org, '--id', 'once', '-o', 'json'];
    const repeated = await turnout(again, await asProducer(gateway, org));
    expect(JSON.parse(repeated.out)).toEqual({ seq: 1, id: 'once', duplicate: true });
    const never = { TURNOUT_URL: 'http://127.0.0.1:1', TURNOUT_TOKEN: token };
    expect(await turnout([...again, '--retry-for', '0'], never)).toMatchObject({
      exit: 3,
      err: expect.not.stringContaining('asking again'),
    });
    // Less than the first pause. On a crowded machine the first question alone may take as long.
    await until(async () => {
      const { exit, err } = await turnout([...again, '--retry-for', '700ms'], never);
      expect(exit).toBe(3);
      return err.includes('asking again');
    }, 'a second question within 700 ms');
  });

  it('stops at the first bad line, and says how far it came', async ({ gateway, org }) => {
    const cut = await turnout(
      ['publish'],
      await asProducer(gateway, org),
      `${lines(org, 2)}\nnot json\n${lines(org, 1)}`,
    );
    expect(cut).toMatchObject({
      exit: 1,
      err: expect.stringContaining('line 3: not a JSON object; 2 events'),
    });
    const refused = await turnout(['publish', 'finance', 'test', '{}'], await asReader(gateway, org));
    expect(refused).toMatchObject({ exit: 2, err: expect.stringContaining('(role_required)') });
    expect(
      await turnout(['publish', 'finance', 'test', 'text'], await asProducer(gateway, org)),
    ).toMatchObject({
      exit: 1,
    });
  });

  it('keeps to the transport asked for, and auto to the one assigned', async ({ startWith, org }) => {
    const gateway = await startWith({ REALTIME_ROLLOUT_PERCENT: undefined });
    await turnout(['publish'], await asProducer(gateway, org), lines(org, 1));
    const refused = await turnout(
      ['tail', 'finance', '--transport', 'websocket'],
      await asReader(gateway, org),
    );
    expect(refused).toMatchObject({ exit: 2, err: expect.stringContaining('(transport_not_assigned)') });
    const auto = ['tail', 'finance', '--transport', 'auto', '--from', '0', '-n', '1', '-o', 'json'];
    const shown = await turnout(auto, await asReader(gateway, org));
    expect(shown).toMatchObject({ exit: 0, err: expect.stringContaining('going on by long-poll') });
    expect(seqsOf(shown.out)).toEqual([1]);
    const bare = await turnout(['tail', 'finance'], { TURNOUT_URL: gateway.url });
    expect(bare).toMatchObject({ exit: 2, err: expect.stringContaining('(unauthorized)') });
  });
});

describe.concurrent('turnout token', () => {
  const secret = { TURNOUT_JWT_SECRET: testSecret };

  it('signs what the gateway takes', async ({ gateway }) => {
    const made = await turnout('token --sub back --org acme --roles producer --ttl 5m'.split(' '), secret);
    expect(made).toMatchObject({ exit: 0, err: '' });
    const variables = { TURNOUT_URL: gateway.url, TURNOUT_TOKEN: made.out };
    expect(await turnout(['publish', 'finance', 'test', '{}'], variables)).toMatchObject({ exit: 0 });
  });

  it('claims what was asked for, and shows what any token claims', async () => {
    const args =
      'token --sub ann --org acme --services chat,chat/* --publish chat --roles viewer --ttl 1h -o json';
    const made = JSON.parse((await turnout(args.split(' '), secret)).out) as {
      token: string;
      claims: unknown;
    };
    const claims = claimsSchema.parse(made.claims);
    expect(claims).toMatchObject({ services: ['chat', 'chat/*'], publish: ['chat'], roles: ['viewer'] });
    const seen = await turnout(['token', 'inspect', '-o', 'json'], {}, made.token);
    expect(seen.exit).toBe(0);
    expect(JSON.parse(seen.out)).toEqual({ header: { alg: 'HS256' }, claims, problems: [] });
    expect((await turnout(['token', 'inspect', made.token])).out).toMatch(/^signature not verified$/m);
  });

  it('refuses to guess', async () => {
    const refused = await Promise.all([
      turnout(['token', '--sub', 'ann', '--org', 'acme']),
      turnout(['token', '--sub', 'ann'], secret),
      turnout('token --sub a --org b --roles king'.split(' '), secret),
      turnout(['token', 'inspect', 'abc']),
    ]);
    expect(refused.map(({ exit }) => exit)).toEqual([1, 1, 1, 1]);
  });
});

describe.concurrent('turnout serve', () => {
  it('runs a node that SIGTERM drains', async () => {
    const serve = new TurnoutCommand(['serve'], { TURNOUT_PORT: '0', TURNOUT_JWT_SECRET: testSecret });
    await serve.untilOut((said) => said.some((line) => line.includes('"msg":"listening"')), 'listening');
    serve.signal('SIGTERM');
    expect(await serve.ended).toMatchObject({ exit: 0 });
  });
});
