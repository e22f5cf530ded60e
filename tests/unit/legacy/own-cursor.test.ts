/** A poll with Turnout's cursor goes to the old backend as a new client's: all else of it stays as it was. */
import { expect, it } from 'vitest';
import { ownCursor, withoutCursor } from '../../../src/legacy/own-cursor.ts';
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
    body: undefined,
  });
});

it('takes it out of a header, and out of a body with its length', () => {
  expect(withoutCursor({ in: 'header', name: 'If-None-Match' }, '/feed?a', undefined)).toEqual({
    url: '/feed?a',
    without: new Set(['if-none-match']),
    body: undefined,
  });
  const { without, body } = withoutCursor({ in: 'body', name: 'since' }, '/feed', { since: 'c', wait: 20 });
  expect(without).toEqual(new Set(['content-length']));
  expect(JSON.parse(String(body))).toEqual({ wait: 20 });
});
