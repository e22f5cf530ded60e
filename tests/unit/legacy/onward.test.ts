/** What the old backend is asked where Turnout leaves a poll to it: without Turnout's cursor, with what is left of its wait. */
import { expect, it } from 'vitest';
import { ownCursor, unchanged, withoutCursor, withWait } from '../../../src/legacy/proxy/rewrite.ts';
import { encodeCursor } from '../../../src/log/cursor.ts';

const position = { epoch: 'e1', seq: 7, ms: 1_700_000_000_000, tag: 'a1b2c3d4e5f6' };

it("knows Turnout's cursors from the old backend's", () => {
  expect(ownCursor(encodeCursor(position))).toEqual(position);
  for (const text of ['', '7', 'u:1/1', '2026-01-01T00:00:00Z', 'eyJhIjoxfQ==', 'x'.repeat(500)])
    expect(ownCursor(text), text).toBeUndefined();
});

it.each([
  ['/feed', '/feed'],
  ['/feed?since=c', '/feed'],
  ['/feed?a=1%202&since=c&b=%7e', '/feed?a=1%202&b=%7e'],
  ['/feed?s%69nce=c&sincere=1', '/feed?sincere=1'],
])('takes it out of the query %s', (url, onward) => {
  expect(withoutCursor({ in: 'query', name: 'since' }, url, undefined)).toEqual({
    url: onward,
    without: new Set(),
    added: [],
    body: undefined,
  });
});

it('takes it out of a header, and out of a body with its length', () => {
  expect(withoutCursor({ in: 'header', name: 'If-None-Match' }, '/feed?a', undefined)).toEqual({
    url: '/feed?a',
    without: new Set(['if-none-match']),
    added: [],
    body: undefined,
  });
  const { without, body } = withoutCursor({ in: 'body', name: 'since' }, '/feed', { since: 'c', wait: 20 });
  expect(without).toEqual(new Set(['content-length']));
  expect(JSON.parse(String(body))).toEqual({ wait: 20 });
});

it.each([
  ['/feed', '/feed?hold=3'],
  ['/feed?since=1&hold=20', '/feed?since=1&hold=3'],
  ['/feed?hold=20&b=%7e', '/feed?b=%7e&hold=3'],
])('writes what is left of a wait into the query %s, in whole units', (url, onward) => {
  expect(withWait({ in: 'query', name: 'hold', unit: 's' }, 2001, unchanged(url), undefined)).toEqual({
    url: onward,
    without: new Set(),
    added: [],
    body: undefined,
  });
});

it('writes it into a header, and into a body with its length', () => {
  expect(
    withWait({ in: 'header', name: 'Prefer-Wait', unit: 'ms' }, 20.5, unchanged('/feed'), undefined),
  ).toMatchObject({
    without: new Set(['prefer-wait']),
    added: ['Prefer-Wait', '21'],
  });
  const wait = { in: 'body', name: 'timeout', unit: 'ms' } as const;
  const { without, body } = withWait(wait, 700, unchanged('/feed'), { pos: 'c', timeout: 9000 });
  expect(without).toEqual(new Set(['content-length']));
  expect(JSON.parse(String(body))).toEqual({ pos: 'c', timeout: 700 });
});

it.each([
  ['query', 'query', '/feed?a=1&hold=2', [], [], undefined],
  ['header', 'header', '/feed?a=1&since=c', ['since', 'hold'], ['hold', '2'], undefined],
  ['query', 'body', '/feed?a=1', ['content-length'], [], { pos: 1, hold: 2 }],
  ['body', 'body', '/feed?a=1&since=c', ['content-length'], [], { pos: 1, hold: 2 }],
] as const)(
  'does both, for a cursor in the %s and a wait in the %s',
  (at, waitAt, url, without, added, body) => {
    const asked = { pos: 1, since: 'c' };
    const fresh = withoutCursor({ in: at, name: 'since' }, '/feed?a=1&since=c', asked);
    const given = at === 'body' ? asked : { pos: 1 };
    const onward = withWait({ in: waitAt, name: 'hold', unit: 's' }, 1500, fresh, given);
    expect(onward).toMatchObject({ url, without: new Set(without), added });
    expect(onward.body && JSON.parse(String(onward.body))).toEqual(body);
  },
);
