/** What `turnout legacy check` finds when a profile and a real old API differ: each planted difference by its place. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listen, type OldServer, sendJson } from '../support/dialects/old-server.ts';
import { timestampListServer } from '../support/dialects/timestamp-list.ts';
import { RedisServer } from '../support/redis.ts';
import { root } from '../support/sources.ts';
import { type Ran, runTurnout } from '../support/terminal.ts';

let server: OldServer;
let folder = '';
let good = '';
const key = ['--header', 'x-api-key: k3y'];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'turnout-check-'));
  server = await timestampListServer();
  for (const text of ['one', 'two', 'three']) server.add('note', text);
  const text = await readFile(join(root, 'tests/support/dialects/timestamp-list.yaml'), 'utf8');
  good = text.replaceAll('http://127.0.0.1:1', server.url);
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

let files = 0;
async function checked(text: string, ...options: readonly string[]): Promise<Ran> {
  files += 1;
  const file = join(folder, `profile-${files}.yaml`);
  await writeFile(file, text);
  return runTurnout(['legacy', 'check', file, ...options]);
}

const asked = (text: string, credentials = key): Promise<Ran> =>
  checked(text, '--url', server.url, ...credentials);

const replaced = (from: string, to: string): string => {
  expect(good).toContain(from);
  return good.replace(from, to);
};

const events = 'events: { status: 200, body: { ok: true, result: { items: $events } } }';

describe('turnout legacy check', () => {
  it.each([
    [
      'another idle status',
      '{ status: 200, body: { ok: true, result: { items: [] } } }',
      '{ status: 204 }',
      'FAIL  idle       answered 200 instead of 204',
    ],
    [
      'a field that is left out',
      events,
      events.replace('ok: true, ', ''),
      "WARN  events     the old API's body has fields that the template leaves out: $.ok",
    ],
    [
      'a field that is made up',
      events,
      events.replace('ok: true', 'ok: true, more: false'),
      "WARN  events     the template has fields that the old API's body has not: $.more",
    ],
    [
      'another literal',
      events,
      events.replace('ok: true', 'ok: yep'),
      'FAIL  events     $.ok: the template says always the same, the old API something else',
    ],
    ['a list elsewhere', events, events.replace('items', 'list'), 'FAIL  answer     the body has no list'],
    [
      'a header that is not there',
      events,
      events.replace('200,', '200, headers: { X-Next: $cursor },'),
      'FAIL  events     the old API has no header x-next',
    ],
    [
      'an event with less in it',
      'event: $.payload',
      'event: { key: $.id, at: $.payload.at }',
      "WARN  event      the old API's body has fields that the template leaves out: $.topic, $.text, $.read",
    ],
    [
      'a text as a number',
      'event: $.payload',
      'event: { key: "$.id:number", at: $.payload.at, text: x, read: x, topic: x }',
      'FAIL  event      $.key: a text in the old API, and a number here: $.id',
    ],
    [
      'a cursor that is none of its format',
      'format: timestamp',
      'format: integer',
      'FAIL  cursor     nothing at its place in the format integer',
    ],
    ['a cursor of timestamps', events, events, 'WARN  cursor     timestamps: two events of the same instant'],
    [
      'another place for the id',
      'id: $.key',
      'id: $.uid',
      'FAIL  source     no id: the item has nothing at $.uid',
    ],
    [
      'another error body',
      'why: key',
      'why: nope',
      "WARN  errors     403 has another body than the profile's",
    ],
    [
      'another name of the user',
      'user: $.id',
      'user: $.uid',
      'FAIL  auth       the answer has no user at $.uid',
    ],
    ['another path', '/v3/changes', '/whoami', 'FAIL  answer     the body has no list'],
  ])('finds %s', async (_what, from, to, line) => {
    const { code, out } = await asked(replaced(from, to));
    expect(out).toContain(line);
    expect(code).toBe(line.startsWith('FAIL') ? 1 : 0);
    expect(out).not.toMatch(/k3y|three/);
  });

  it('says what an opaque cursor means', async () => {
    const { out } = await checked(
      replaced('format: timestamp', 'format: opaque').replace(
        'ok: true, result: { items: $',
        'next: $cursor, result: { items: $',
      ),
    );
    expect(out).toContain("opaque: a client that was served can't go back to the old backend without a gap");
  });

  it('tells missing credentials, an old API that is away, a wrong profile and a wrong URL apart', async () => {
    const stranger = await asked(good, []);
    expect([stranger.code, stranger.out]).toEqual([
      1,
      expect.stringContaining("status 403: it doesn't know who asks"),
    ]);
    const away = await checked(good, '--url', 'http://127.0.0.1:1');
    expect([away.code, away.err]).toEqual([3, expect.stringContaining('does not answer: ')]);
    const wrong = await checked(replaced('timestamp,', 'timestmp,'));
    expect([wrong.code, wrong.out]).toEqual([1, expect.stringContaining('request.cursor.format: one of')]);
    const url = await checked(good, '--url', 'http://ann:hunter2@host');
    expect([url.code, url.err]).toEqual([1, expect.not.stringContaining('hunter2')]);
  });
});

describe('an old API with habits of its own', () => {
  const items = [1, 2, 3].map((n) => ({ id: n, kind: 'note', data: {} }));
  const profile = (url: string): string => `name: habits
match: { path: /p }
upstream: ${url}
request: { cursor: { in: query, name: since, format: integer }, services: { fixed: [updates] } }
response:
  idle: { status: 200, body: { list: [] } }
  events: { status: 200, body: { list: $events } }
  event: { id: '$.id:number', kind: $.type, data: $.payload }
`;

  it.each([
    [
      'answers from the cursor on',
      (since: number) => items.filter(({ id }) => id >= since),
      'the old API answers from the cursor on',
    ],
    [
      'answers newest first',
      (since: number) => items.filter(({ id }) => id > since).toReversed(),
      'events come newest first',
    ],
  ])('that %s is found out', async (_what, answer, line) => {
    const habits = await listen(
      // oxlint-disable-next-line typescript/require-await -- the others wait
      async (_request, url, response) =>
        sendJson(response, 200, { list: answer(Number(url.searchParams.get('since') ?? 0)) }),
      () => false,
    );
    const { out, code } = await checked(profile(habits.url), '--url', habits.url);
    await habits.close();
    expect([code, out]).toEqual([1, expect.stringContaining(line)]);
  });

  it('that writes numbers longer than a double is told where', async () => {
    const long = '12345678901234567890';
    const habits = await listen(
      // oxlint-disable-next-line typescript/require-await -- the others wait
      async (_request, _url, response) =>
        void response
          .writeHead(200, { 'content-type': 'application/json' })
          .end(`{"list":[{"id":${long},"kind":"note","data":{"of":[{"account":${long}}]}}]}`),
      () => false,
    );
    const { out, code } = await checked(profile(habits.url), '--url', habits.url);
    await habits.close();
    const line =
      "FAIL  event      $.data.of[0].account: a number that a double can't hold, and a text here: $.payload.of[0].account:number";
    expect([code, out]).toEqual([1, expect.stringContaining(line)]);
    expect(out).not.toContain('$.id: a number');
  });

  it.each([
    ['its stream', 'id: seq', '', [0, 'ok    source     read: 1 items, each an event']],
    ['another id', 'id: nr', '', [1, 'FAIL  source     no id: the item has nothing at nr']],
    ['no stream yet', 'id: seq', 'un', [0, 'WARN  source     it can be read, and has nothing yet']],
    ['a user with few rights', 'id: seq', 'poor', [0, "WARN  source     redis-stream can't be read"]],
  ])('whose source has %s is told so', async (_what, id, kind, [exit, line]) => {
    const redis = await RedisServer.start();
    await redis.client.xadd('updates:acme', '*', 'seq', '1', 'kind', 'note');
    await redis.client.call('ACL', 'SETUSER', 'poor', 'on', '>p4ss', '~*', '-@all', '+info', '+ping');
    const habits = await listen(
      // oxlint-disable-next-line typescript/require-await -- the others wait
      async (_request, url, response) => {
        const since = Number(url.searchParams.get('since') ?? 0);
        sendJson(response, 200, { list: items.filter((item) => item.id > since) });
      },
      () => false,
    );
    const url = kind === 'poor' ? redis.url.replace('//', '//poor:p4ss@') : redis.url;
    const name = kind === 'un' ? 'none:{org}' : 'updates:{org}';
    const source = `source: { kind: redis-stream, url: '${url}', key: '${name}', ${id}, type: kind, payload: $ }`;
    const { out, code } = await checked(`${profile(habits.url)}${source}`, '--url', habits.url);
    await Promise.all([habits.close(), redis.stop()]);
    expect([code, out]).toEqual([exit, expect.stringContaining(String(line))]);
    expect(out).not.toContain('p4ss');
  });

  it('whose wait is minutes long in seconds is proposed in milliseconds', async () => {
    const habits = await listen(
      // oxlint-disable-next-line typescript/require-await -- the others wait
      async (_request, url, response) => {
        if (url.pathname !== '/p') return void response.writeHead(404).end();
        sendJson(response, 200, { list: url.searchParams.get('since') === '3' ? [] : items, next: 3 });
      },
      () => false,
    );
    const record = (path: string): Promise<Ran> =>
      runTurnout(['legacy', 'record', '--url', `${habits.url}${path}`]);
    const { out, err } = await record('/p?since=0&timeout=300&limit=5');
    const { err: away } = await record('/other');
    await habits.close();
    expect(out).toContain('unit: ms');
    expect(err).toContain('request.limit: what holds without limit');
    expect(away).toContain('another address; an API that is polled by POST is described by hand');
  });

  it('is not followed elsewhere', async () => {
    const elsewhere = await listen(
      // oxlint-disable-next-line typescript/require-await -- the others wait
      async (_request, _url, response) => void response.writeHead(302, { location: '/p' }).end(),
      () => false,
    );
    const { out } = await checked(profile(elsewhere.url), '--url', elsewhere.url);
    await elsewhere.close();
    expect(out).toContain('status 302: it sends elsewhere');
  });
});
