/** A cursor says its place, fits its bounds, and nothing that encodeCursor did not make is taken for one. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { limits } from '../../schema/codes.ts';
import { decodeCursor, encodeCursor, origin, type Position } from '../../src/log/cursor.ts';

const urlSafe = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-'.split('');
const word = (minLength: number, maxLength: number) =>
  fc.array(fc.constantFrom(...urlSafe), { minLength, maxLength }).map((letters) => letters.join(''));
const place: fc.Arbitrary<Position> = fc.oneof(
  word(1, 32).map(origin),
  fc.record({
    epoch: word(1, 32),
    seq: fc.maxSafeNat().filter((seq) => seq > 0),
    ms: fc.maxSafeNat(),
    tag: word(1, 16),
  }),
);

const bad = expect.objectContaining({ code: 'bad_cursor' }) as unknown;
/** The decoded place in its own form again, or what was thrown. */
function answerTo(text: string): unknown {
  try {
    return encodeCursor(decodeCursor(text));
  } catch (error) {
    return error;
  }
}

describe('cursor', () => {
  it('says the place it was made from, in at most 96 URL-safe characters', () => {
    fc.assert(
      fc.property(place, (position) => {
        const text = encodeCursor(position);
        expect(decodeCursor(text)).toEqual(position);
        expect(text.length).toBeLessThanOrEqual(limits.cursorChars);
        expect(encodeURIComponent(text)).toBe(text);
      }),
    );
  });

  it('has the form that clients were given before', () => {
    const position = { epoch: 'AbCdEfGhIjKl', seq: 57, ms: 1_767_225_600_000, tag: 'Zz_-0123' };
    expect(encodeCursor(position)).toBe('1.AbCdEfGhIjKl.1l.mjuohs00.Zz_-0123');
    expect(encodeCursor(origin('AbCdEfGhIjKl'))).toBe('1.AbCdEfGhIjKl.0.0.');
  });

  it.each([
    '',
    '1',
    '1.....',
    '1.e.0.0',
    '2.e.1.1.tag',
    '1..1.1.tag',
    '1.e.1.1.',
    '1.e.0.0.tag',
    '1.e.01.1.tag',
    '1.e.1.01.tag',
    '1.e.-1.1.tag',
    '1.e.1.5.tag.more',
    '1.e.A.1.tag',
    '1.e.zzzzzzzzzzz.1.tag',
    '1.e.1.zzzzzzzzzzz.tag',
    '1.e.1.1.tag\n',
    '1.e.1.1.tag ',
    '1.é.1.1.tag',
    `1.${'e'.repeat(33)}.1.1.tag`,
    '__proto__',
    '42',
  ])('refuses %j', (text) => expect(answerTo(text)).toEqual(bad));

  it('refuses any other text as bad_cursor', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(answerTo(text)).toEqual(bad);
      }),
    );
  });

  it('refuses a damaged cursor, or it is the one form of another place', () => {
    const damaged = fc
      .tuple(place, fc.nat(75), fc.string({ unit: 'binary-ascii', maxLength: 3 }), fc.nat(2))
      .map(([position, at, put, cut]) => {
        const text = encodeCursor(position);
        return text.slice(0, at) + put + text.slice(at + cut);
      });
    fc.assert(
      fc.property(damaged, (text) => {
        const answer = answerTo(text);
        expect(answer).toEqual(typeof answer === 'string' ? text : bad);
      }),
      { numRuns: 1000 },
    );
  });
});
