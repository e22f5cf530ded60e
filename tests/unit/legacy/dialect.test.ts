/** What a profile means, piece by piece: cursors of every format, requests, answers and items. */
import { assert, bigInt, constantFrom, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Envelope } from '../../../schema/envelope.ts';
import { type Profile, profileSchema } from '../../../schema/profile.ts';
import type { Dialect, LegacyRequest } from '../../../src/legacy/dialect/dialect.ts';
import { createDialect } from '../../../src/legacy/dialect/profile-dialect.ts';

type Given = { [K in keyof Profile]?: unknown };

const acme = {
  name: 'acme-v1',
  match: { path: '/api/updates' },
  upstream: 'http://backend:3000',
  request: {
    cursor: { in: 'query', name: 'since', format: 'integer' },
    wait: { in: 'query', name: 'timeout', unit: 's', default: 30, max: 60 },
    limit: { in: 'query', name: 'max', default: 50, max: 100 },
    services: { fixed: ['updates'] },
  },
  response: {
    idle: { status: 204 },
    events: { status: 200, body: { updates: '$events', next: '$cursor' } },
    event: {
      id: '$.id:number',
      kind: '$.type',
      data: '$.payload',
      by: '$.sender',
      at: '$.timestamp:epoch-s',
    },
    error: { 401: { status: 401, body: { error: 'not logged in' } } },
  },
} as const;

const dialectOf = (given: Given = {}): Dialect => createDialect(profileSchema.parse({ ...acme, ...given }));
const withCursor = (cursor: object): Dialect =>
  dialectOf({ request: { ...acme.request, cursor: { in: 'query', name: 'since', ...cursor } } });
const asking = (query: string, headers: LegacyRequest['headers'] = {}, body?: unknown): LegacyRequest => ({
  query: new URLSearchParams(query),
  headers,
  body,
});
const envelope: Envelope = {
  seq: 3,
  id: '90071992547409931',
  service: 'updates',
  type: 'note',
  timestamp: '2026-01-01T00:00:00.900Z',
  payload: { text: 'a "b"' },
};
const bodyOf = ({ body }: { body: Buffer | undefined }): string | undefined => body?.toString();

describe('ask', () => {
  const plain = dialectOf();

  it('reads cursor, wait and limit, bounds them, and knows what holds without them', () => {
    expect(plain.ask(asking('since=007&timeout=1.5&max=7'))).toEqual({
      cursor: '7',
      waitMs: 1500,
      limit: 7,
    });
    expect(plain.ask(asking('since=&timeout=900&max=900'))).toEqual({
      cursor: undefined,
      waitMs: 60_000,
      limit: 100,
    });
    expect(plain.ask(asking(''))).toEqual({ cursor: undefined, waitMs: 30_000, limit: 50 });
  });

  it.each([
    'since=abc',
    'since=1.5',
    'since=%201',
    `since=${'9'.repeat(40)}`,
    'timeout=-1',
    'timeout=x',
    'max=0',
    'max=1e3',
  ])('refuses %s without repeating it', (query) => {
    const value = query.split('=')[1] ?? '';
    expect(() => plain.ask(asking(query))).toThrow(/^(since|timeout|max) is not/);
    expect(() => plain.ask(asking(query))).not.toThrow(value);
  });

  it('refuses what stands there twice: backends differ in which they take', () => {
    expect(() => plain.ask(asking('since=1&since=2'))).toThrow('since stands there more than once');
    expect(plain.ask(asking('other=1&other=2&since=3')).cursor).toBe('3');
  });

  it('reads a header whatever its case, its wrapping, and an ETag that was made weak', () => {
    const cursor = { in: 'header', name: 'If-None-Match', format: 'string', wrap: '"{}"' };
    const dialect = withCursor(cursor);
    const cursors = ['"a b"', 'W/"a b"', 'a b', '*', undefined].map(
      (text) => dialect.ask(asking('', { 'if-none-match': text })).cursor,
    );
    expect(cursors).toEqual(['a b', 'a b', 'a b', undefined, undefined]);
    expect(dialect.query('a b', 1000).headers).toEqual({ 'if-none-match': '"a b"' });
  });

  it('reads and asks by a JSON body', () => {
    const dialect = dialectOf({
      match: { method: 'POST', path: '/p' },
      request: { ...acme.request, cursor: { in: 'body', name: 'after', format: 'integer' } },
    });
    expect(dialect.ask(asking('', {}, { after: 12 })).cursor).toBe('12');
    expect(dialect.ask(asking('', {}, [])).cursor).toBeUndefined();
    expect(() => dialect.ask(asking('', {}, { after: {} }))).toThrow('after is not a text or a number');
    expect(dialect.query('12', 2500)).toEqual({
      search: '?timeout=3',
      headers: { 'content-type': 'application/json' },
      body: '{"after":12}',
    });
  });
});

describe('compare', () => {
  const orders: [string, string[]][] = [
    ['integer', ['-10', '-9', '0', '9', '10', '90071992547409931', '90071992547409932', '9'.repeat(39)]],
    ['stream-id', ['0', '5-9', '5-10', '10-0', '1700000000000-18446744073709551615']],
    [
      'timestamp',
      [
        '0',
        '2026-01-01',
        '2026-01-01T00:00:00.000001Z',
        '2026-01-01T00:00:00.1Z',
        '2026-01-01T01:00:01+01:00',
      ],
    ],
    ['timestamp', ['999999999', '1000000000.25', '1000000000.5', '1000000001']],
  ];

  it.each(orders)('orders %s: %j', (format, ordered) => {
    const dialect = withCursor({ format });
    for (const [i, a] of ordered.entries())
      for (const [j, b] of ordered.entries())
        expect([a, b, Math.sign(dialect.compare(a, b) ?? Number.NaN)]).toEqual([a, b, Math.sign(i - j)]);
  });

  it('orders any two integers as BigInt does', () => {
    const dialect = withCursor({ format: 'integer' });
    const most = 10n ** 38n;
    assert(
      property(bigInt(-most, most), bigInt(-most, most), (a, b) => {
        expect(Math.sign(dialect.compare(`${a}`, `${b}`) ?? Number.NaN)).toBe(a < b ? -1 : Number(a > b));
      }),
    );
  });

  it('knows no order of ids and of opaque cursors', () => {
    for (const format of ['string', 'opaque'])
      expect(withCursor({ format }).compare('a', 'b')).toBeUndefined();
  });

  it('takes one instant in two zones for the same', () => {
    const dialect = withCursor({ format: 'timestamp' });
    expect(dialect.compare('2026-01-01T00:00:00Z', '2026-01-01T02:30:00+0230')).toBe(0);
    expect(dialect.ask(asking('since=2026-01-01T02:30:00+02:30')).cursor).toBe('2026-01-01T02:30:00+02:30');
    expect(() => dialect.ask(asking('since=2026-13-01'))).toThrow('since is not a cursor');
  });
});

describe('writing', () => {
  it('writes an event in its shape: numbers of any size, nothing for what is not there', () => {
    expect(dialectOf().eventJson(envelope)).toBe(
      '{"id":90071992547409931,"kind":"note","data":{"text":"a \\"b\\""},"at":1767225600}',
    );
  });

  it('writes lists, literals, and a text that begins with a dollar', () => {
    const event = { list: ['$.type', '$.sender', 1], fixed: { a: null, b: '$$5' }, n: '$.seq:text' };
    expect(dialectOf({ response: { ...acme.response, event } }).eventJson(envelope)).toBe(
      '{"list":["note",null,1],"fixed":{"a":null,"b":"$5"},"n":"3"}',
    );
  });

  it('writes the cursor where the templates have it, bare, wrapped and inside a text', () => {
    const events = {
      status: 200,
      headers: { ETag: '$cursor', Link: '</p?since=$cursor>; rel="next"' },
      body: { n: '$cursor', t: '$cursor:text', url: '/p?since=$cursor', list: '$events' },
    };
    const answer = dialectOf({ response: { ...acme.response, events } }).answer(['1', '{}'], '42');
    expect(bodyOf(answer)).toBe('{"n":42,"t":"42","url":"/p?since=42","list":[1,{}]}');
    expect(answer.headers).toEqual({
      etag: '42',
      link: '</p?since=42>; rel="next"',
      'content-type': 'application/json; charset=utf-8',
    });
  });

  it('writes idle without a body, errors that the profile names, and no others', () => {
    const dialect = dialectOf();
    expect(dialect.idle('3')).toEqual({ status: 204, headers: {}, body: undefined });
    expect(bodyOf(dialect.error(401) ?? { body: undefined })).toBe('{"error":"not logged in"}');
    expect(dialect.error(500)).toBeUndefined();
  });

  it('takes the cursor from the envelope, and none that the format does not know', () => {
    expect(dialectOf().cursorOf(envelope)).toBe('90071992547409931');
    expect(dialectOf().cursorOf({ ...envelope, id: 'x' })).toBeUndefined();
    expect(withCursor({ format: 'timestamp', value: '$.timestamp' }).cursorOf(envelope)).toBe(
      envelope.timestamp,
    );
    expect(withCursor({ format: 'opaque' }).cursorOf(envelope)).toBeUndefined();
  });
});

describe('read', () => {
  const json = (text: string, status = 200) => ({ status, headers: {}, body: Buffer.from(text) });

  it('keeps an id that a double would round', () => {
    expect(
      dialectOf().read(json('{"updates":[{"id":90071992547409931}],"next":90071992547409931,"x":1}')),
    ).toEqual({
      kind: 'events',
      items: [{ id: '90071992547409931' }],
      cursor: '90071992547409931',
    });
  });

  it('takes the last item for the cursor where the templates have no place for it', () => {
    const events = { status: 200, body: '$events' };
    const event = { head: { n: '$.payload' } };
    const request = { ...acme.request, cursor: { ...acme.request.cursor, value: '$.payload.id' } };
    const dialect = dialectOf({ request, response: { ...acme.response, events, event } });
    expect(dialect.read(json('[{"head":{"n":{"id":7}}},{"head":{"n":{"id":9}}}]'))).toMatchObject({
      cursor: '9',
    });
  });

  it.each([
    ['another status', json('{}', 500), 'status 500, where the profile knows 200 and 204'],
    ['a body that is not JSON', json('<html>secret'), 'the body is not JSON'],
    ['no body', { status: 200, headers: {}, body: undefined }, 'status 200 without a body'],
    ['another shape', json('{"error":"secret"}'), 'no list'],
  ])('says why it cannot read %s, and nothing of what was in it', (_what, answer, why) => {
    const read = dialectOf().read(answer);
    expect(read).toMatchObject({ kind: 'unreadable', why: expect.stringContaining(why) });
    expect(JSON.stringify(read)).not.toContain('secret');
  });

  it('takes a full list behind an idle status for no idleness', () => {
    const idle = { status: 202, body: { list: '$events' } };
    const dialect = dialectOf({ response: { ...acme.response, idle } });
    expect(dialect.read(json('{"list":[]}', 202)).kind).toBe('idle');
    expect(dialect.read(json('{"list":[1]}', 202)).kind).toBe('unreadable');
  });

  it('reads the cursor that it wrote, wherever it stands and whatever is around it', () => {
    const values = {
      integer: ['0', '-7', '90071992547409931'],
      timestamp: ['1700000000.25', '2026-01-01T00:00:00Z'],
      'stream-id': ['5-1'],
      string: ['12', 'a{}b', '"', 'W/x'],
      opaque: ['-', '$cursor'],
    };
    const cases = Object.entries(values).flatMap(([format, all]) => all.map((value) => ({ format, value })));
    const texts = ['$cursor', '$cursor:text', '/p?since=$cursor&x=1'];
    assert(
      property(
        constantFrom(...cases),
        constantFrom('{}', '"{}"', 'c-{}', '{}!'),
        constantFrom(...texts),
        constantFrom('body', 'header'),
        ({ format, value }, wrap, text, place) => {
          const events = {
            status: 200,
            headers: place === 'header' ? { 'X-Next': text.replace(':text', '') } : {},
            body: { list: '$events', ...(place === 'body' && { next: text }) },
          };
          const request = { ...acme.request, cursor: { in: 'query', name: 'since', format, wrap } };
          const dialect = dialectOf({ request, response: { ...acme.response, events, event: '$.payload' } });
          expect(dialect.read(dialect.answer(['1'], value))).toMatchObject({ cursor: value });
          const { search } = dialect.query(value, 0);
          expect(dialect.ask(asking(search)).cursor).toBe(value);
        },
      ),
    );
  });

  it('writes a cursor with something around it as a text', () => {
    const dialect = withCursor({ format: 'integer', wrap: 'c-{}' });
    expect(bodyOf(dialect.answer(['1'], '42'))).toBe('{"updates":[1],"next":"c-42"}');
  });

  it('tells an idle 200 from an error that is 200 too', () => {
    const idle = { status: 200, body: { state: 'idle', list: [] } };
    const dialect = dialectOf({ response: { ...acme.response, idle } });
    expect(dialect.read(json('{"state":"idle","list":[],"more":1}')).kind).toBe('idle');
    expect(dialect.read(json('{"updates":[],"next":4}'))).toEqual({ kind: 'idle', cursor: '4' });
    expect(dialect.read(json('{"state":"failed","list":[]}')).kind).toBe('unreadable');
  });
});

describe('eventFrom', () => {
  const stream = { kind: 'redis-stream', url: 'redis://r', key: 'updates:{org}' };
  const fields = { id: '1e5', kind: 'note', data: '{"a":1}', who: 'ann,bob', org: 'acme', plain: 'not json' };
  const item = { id: '5-1', fields };
  const from = (source: object, given: unknown) => dialectOf({ source }).eventFrom(given);

  it('maps an entry of a Redis stream: its own id, fields, JSON in them, words', () => {
    const source = { ...stream, id: '$id', type: '=order', payload: 'data', to: 'who', org: 'org' };
    expect(from(source, item)).toEqual({
      event: { id: '5-1', service: 'updates', type: 'order', payload: { a: 1 }, to: ['ann', 'bob'] },
      org: 'acme',
    });
    expect(from({ ...stream, id: 'id', type: '$.kind', payload: 'plain', service: 'chat' }, item)).toEqual({
      event: { id: '1e5', service: 'chat', type: 'note', payload: 'not json' },
      org: undefined,
    });
  });

  it('maps items of an old answer, whole or by places, and leaves texts texts', () => {
    const source = {
      kind: 'long-poll',
      readers: [{ org: 'acme' }],
      items: '$.updates',
      id: '$.n',
      type: '$.t',
    };
    const given = { n: 12, t: 'note', v: '123' };
    expect(from({ ...source, payload: '$' }, given).event).toMatchObject({ id: '12', payload: given });
    expect(from({ ...source, payload: 'v' }, given).event.payload).toBe('123');
  });

  it('maps the text of a pub/sub message', () => {
    const source = {
      kind: 'redis-pubsub',
      url: 'redis://r',
      channel: 'c',
      id: '$.id',
      type: '=x',
      payload: '$.p',
    };
    expect(from(source, '{"id":90071992547409931,"p":null}').event).toMatchObject({
      id: '90071992547409931',
      payload: null,
    });
  });

  it.each([
    ['an id that is not there', { id: 'nope' }, 'no id: the item has nothing at nope'],
    ['an id with spaces', { id: 'plain' }, 'the id at plain is not'],
    ['a type that is no text', { type: '$.data' }, 'the type at $.data is not'],
    ['no payload', { payload: 'nope' }, 'no payload'],
    ['a user that is none', { to: 'plain' }, 'the user at plain is not'],
    ['a list of users that is empty', { to: 'none' }, 'the users at none are not'],
    ['an org that is none', { org: 'data' }, 'the org at data is not'],
  ])('refuses %s by the field alone', (_what, change, why) => {
    const source = { ...stream, id: '$id', type: 'kind', payload: 'data', ...change };
    const given = { ...item, fields: { ...fields, none: '[]' } };
    expect(() => from(source, given)).toThrow(expect.objectContaining({ name: 'LegacyItemError' }));
    expect(() => from(source, given)).toThrow(why);
    expect(() => from(source, given)).not.toThrow(/not json|\{"a"/);
  });
});
