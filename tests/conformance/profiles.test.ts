/**
 * Three dialects of old APIs, each a real small server that knows nothing of Turnout, and one suite for all: what Turnout
 * would answer is what the old API answers, byte for byte, and it reads what it writes.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { array, assert, constantFrom, jsonValue, property, record, string } from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Envelope } from '../../schema/envelope.ts';
import type { Profile } from '../../schema/profile.ts';
import { doctorReportSchema } from '../../src/cli/findings.ts';
import type { Dialect, LegacyAnswer, LegacyReading } from '../../src/legacy/dialect/dialect.ts';
import { loadProfiles } from '../../src/legacy/profile/load.ts';
import { createDialect } from '../../src/legacy/dialect/profile-dialect.ts';
import { etagBearerServer } from '../support/dialects/etag-bearer.ts';
import { integerCookieServer } from '../support/dialects/integer-cookie.ts';
import type { OldServer } from '../support/dialects/old-server.ts';
import { timestampListServer } from '../support/dialects/timestamp-list.ts';
import { root } from '../support/sources.ts';
import { runTurnout } from '../support/terminal.ts';

const dialects: [string, () => Promise<OldServer>, string[]][] = [
  ['integer-cookie', integerCookieServer, ['12', '90071992547409931', '90071992547409932']],
  ['etag-bearer', etagBearerServer, ['u:1/1', 'a b', 'x"y']],
  [
    'timestamp-list',
    timestampListServer,
    ['0', '2026-01-01T00:00:00.000250Z', '2026-01-01T00:00:00.000251Z', '2026-01-01T05:00:00+01:00'],
  ],
];

const turns = 300;
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'turnout-dialects-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe.each(dialects)('%s', (name, open, cursors) => {
  let server: OldServer;
  let profile: Profile;
  let dialect: Dialect;
  /** The profile with this server's address in it. */
  let file = '';

  beforeAll(async () => {
    server = await open();
    const text = await readFile(join(root, `tests/support/dialects/${name}.yaml`), 'utf8');
    file = join(folder, `${name}.yaml`);
    await writeFile(file, text.replaceAll('http://127.0.0.1:1', server.url));
    const [only] = loadProfiles([file], {}, undefined).profiles;
    profile = only ?? expect.fail('no profile');
    dialect = createDialect(profile);
  });
  afterAll(() => server.close());

  /** Asks as the dialect says to. */
  async function ask(cursor: string | undefined, credentials = server.credentials): Promise<LegacyAnswer> {
    const query = dialect.query(cursor, 0);
    const response = await fetch(`${server.url}${profile.match.path}${query.search}`, {
      headers: { ...credentials, ...query.headers },
    });
    const body = Buffer.from(await response.arrayBuffer());
    return {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: body.length === 0 ? undefined : body,
    };
  }

  let seq = 0;
  /** An item as it comes out of Turnout's log. */
  function envelopeOf(item: unknown): Envelope {
    seq += 1;
    const { event } = dialect.eventFrom(item);
    return { ...event, seq, timestamp: '2026-06-01T00:00:00.000Z' };
  }

  /** What a client sees of it: the status, the body's bytes, the headers that the profile names. */
  function seen(answer: LegacyAnswer, headers: readonly string[]): unknown {
    const { status, body } = answer;
    return { status, body: body?.toString(), headers: headers.map((header) => answer.headers[header]) };
  }
  const expectSame = (mine: LegacyAnswer, theirs: LegacyAnswer): void => {
    const headers = Object.keys(mine.headers);
    expect(seen(mine, headers)).toEqual(seen(theirs, headers));
  };
  const expectEvents = (reading: LegacyReading): Extract<LegacyReading, { kind: 'events' }> =>
    reading.kind === 'events' ? reading : expect.fail(JSON.stringify(reading));

  it('answers events as the old API does, byte for byte, and takes its cursors from them', async () => {
    for (const text of ['one', 'zwei "2"', '\u{1f600} \u2028 $cursor']) server.add('note', text);
    const theirs = await ask(undefined);
    const { items, cursor } = expectEvents(dialect.read(theirs));
    expect(items).toHaveLength(3);
    const envelopes = items.map(envelopeOf);
    const values = envelopes.map((envelope) => dialect.cursorOf(envelope) ?? expect.fail('no cursor'));
    expect(values.at(-1)).toBe(cursor);
    expectSame(
      dialect.answer(
        envelopes.map((envelope) => dialect.eventJson(envelope)),
        values[2] ?? '',
      ),
      theirs,
    );

    const fromFirst = expectEvents(dialect.read(await ask(values[0])));
    expect(fromFirst.items).toEqual(items.slice(1));
    const order = dialect.compare(values[0] ?? '', values[1] ?? '');
    if (profile.request.cursor.format === 'string') expect(order).toBeUndefined();
    else expect(order).toBeLessThan(0);
  });

  it('answers idle as the old API does', async () => {
    server.add('note', 'last');
    const { cursor } = expectEvents(dialect.read(await ask(undefined)));
    const theirs = await ask(cursor);
    const isInHeader = profile.request.cursor.in === 'header';
    expect(dialect.read(theirs)).toEqual({ kind: 'idle', cursor: isInHeader ? cursor : undefined });
    expectSame(dialect.idle(cursor), theirs);
  });

  it('refuses as the old API does', async () => {
    const theirs = await ask(undefined, {});
    const mine = dialect.error(theirs.status) ?? expect.fail(`no error ${theirs.status}`);
    expectSame(mine, theirs);
    expect(dialect.read(theirs).kind).toBe('unreadable');
  });

  it('asks what it would be asked', () => {
    for (const cursor of [undefined, ...cursors]) {
      const { search, headers } = dialect.query(cursor, 7000);
      const asked = dialect.ask({ query: new URLSearchParams(search), headers, body: undefined });
      const waitMs = profile.request.wait === undefined ? 25_000 : 7000;
      expect(asked).toEqual({ cursor, waitMs, limit: 500 });
    }
  });

  it('orders its cursors, where they have an order', () => {
    const isOrdered = profile.request.cursor.format !== 'string';
    const pairs = cursors.flatMap((a, i) => cursors.flatMap((b, j) => (i < j ? [[a, b] as const] : [])));
    expect(pairs.map(([a, b]) => Math.sign(dialect.compare(a, b) ?? 0))).toEqual(
      pairs.map(() => (isOrdered ? -1 : 0)),
    );
    expect(pairs.map(([a, b]) => Math.sign(dialect.compare(b, a) ?? 0))).toEqual(
      pairs.map(() => (isOrdered ? 1 : 0)),
    );
  });

  it('reads whatever it writes', () => {
    const given = record({ type: string({ minLength: 1, maxLength: 20 }), payload: jsonValue() });
    const events = array(given, { minLength: 1, maxLength: 5 });
    assert(
      property(events, constantFrom(...cursors), (some, cursor) => {
        const jsons = some.map(({ type, payload }, at) => {
          const id = profile.request.cursor.format === 'integer' ? String(at + 1) : `id-${at}`;
          // Where an answer has no place for the cursor, it is the last event's.
          const whole = profile.request.cursor.value === '$.id' ? payload : { at: cursor, payload };
          return dialect.eventJson({ seq: 1, id, service: 'updates', type, timestamp: '', payload: whole });
        });
        const reading = dialect.read(dialect.answer(jsons, cursor));
        expect(reading).toEqual({
          kind: 'events',
          items: jsons.map((json) => JSON.parse(json) as unknown),
          cursor,
        });
        expect(dialect.read(dialect.idle(cursor)).kind).toBe('idle');
      }),
      { numRuns: turns },
    );
  });

  it.concurrent('passes its check on the real thing', async () => {
    const headers = Object.entries(server.credentials).flatMap(([header, value]) => [
      '--header',
      `${header}: ${value}`,
    ]);
    const ran = await runTurnout(['legacy', 'check', file, '--url', server.url, '-o', 'json', ...headers]);
    const { healthy, findings } = doctorReportSchema.parse(JSON.parse(ran.out));
    expect(findings.filter(({ level }) => level === 'error')).toEqual([]);
    expect([ran.code, healthy]).toEqual([0, true]);
    const text = findings.map(({ about, message }) => `${about} ${message}`).join('\n');
    expect(text).toContain('the old backend says who it is');
    expect(text).toMatch(/errors 40[13] reads the same/);
    expect(text).not.toContain('leaves out');
    expect(ran.out + ran.err).not.toMatch(/s3cret|t0ken|k3y|zwei/);
  });

  it.concurrent('is proposed by record, in words that its check accepts', async () => {
    const headers = Object.entries(server.credentials).flatMap(([header, value]) => [
      '--header',
      `${header}: ${value}`,
    ]);
    const search =
      {
        'integer-cookie': '?since=0&timeout=1',
        'etag-bearer': '',
        'timestamp-list': '?modified_after=2026-01-01T00:00:00Z',
      }[name] ?? '';
    const url = `${server.url}${profile.match.path}${search}`;
    const ran = await runTurnout(['legacy', 'record', '--url', url, '--name', 'proposed', ...headers]);
    expect(ran.code).toBe(0);
    expect(ran.out + ran.err).not.toMatch(/s3cret|t0ken|k3y/);
    const proposed = join(folder, `${name}-proposed.yaml`);
    await writeFile(proposed, ran.out);
    const env = { OLD_COOKIE: 'x', OLD_AUTHORIZATION: 'x', OLD_X_API_KEY: 'x' };
    const checked = await runTurnout(['legacy', 'check', proposed, '--url', server.url, ...headers], env);
    expect(
      checked.out.split('\n').filter((line) => line.startsWith('FAIL') && !line.includes('auth ')),
    ).toEqual([]);
    const [read] = loadProfiles([proposed], env, undefined).profiles;
    expect(read?.response.error).toEqual(
      Object.fromEntries(
        Object.entries(profile.response.error).map(([status, answer]) => [
          status,
          { ...answer, headers: {} },
        ]),
      ),
    );
    expect(read?.request.cursor).toMatchObject({ ...profile.request.cursor, value: expect.any(String) });
    expect(read?.response.idle.status).toBe(profile.response.idle.status);
  });
});
