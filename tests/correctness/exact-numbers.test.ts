/** Numbers that a double can't hold are found in texts of any length: the scan must not depend on the stack. */
import { expect, it } from 'vitest';
import { isMarked, markedJson, parseExact } from '../../src/legacy/dialect/exact-json.ts';
import { firstInexactNumber } from '../../src/log/exact-numbers.ts';

const bytes = 8 * 1024 * 1024;
const long = {
  letters: 'x'.repeat(bytes),
  'escaped quotation marks': String.raw`\"`.repeat(bytes / 2),
  backslashes: '\\'.repeat(bytes),
  'digits and exponents': '12345678901234567890e5 '.repeat(bytes / 23),
};

it.each(Object.entries(long))('a string of 8 MiB of %s is passed over, and read as it is', (_what, text) => {
  const json = `{"text":"${text}","n":12345678901234567890,"after":"1e999"}`;
  expect(firstInexactNumber(json)).toBe('12345678901234567890');
  const read = parseExact(json) as Record<string, string>;
  expect(read['n']).toBe('12345678901234567890');
  expect(read['text'] === (JSON.parse(`"${text}"`) as string)).toBe(true);
  expect(read['after']).toBe('1e999');
});

it('a number of 8 MiB of digits is found and kept as text', () => {
  const digits = '7'.repeat(bytes);
  expect(firstInexactNumber(`[${digits}]`)).toBe(digits.slice(0, 40));
  const [read] = parseExact(`[${digits}]`) as string[];
  expect(read === digits).toBe(true);
});

it.each([
  [String.raw`{"a\"1e999":1}`, undefined],
  [String.raw`{"a\\":1e999}`, '1e999'],
  [String.raw`["\\\"12345678901234567890", -12345678901234567890]`, '-12345678901234567890'],
  ['[1.5e10, 0.1, -0, 9007199254740991]', undefined],
  ['[9007199254740993,1]', '9007199254740993'],
])('%s: the first that is not kept is %s', (json, expected) => {
  JSON.parse(json);
  expect(firstInexactNumber(json)).toBe(expected);
});

it('what stands around a marked number stays as it was written', () => {
  const json = String.raw`{ "id" : 12345678901234567890 , "text":"\"99999999999999999999\"", "list":[1,1e999,2] }`;
  const read = JSON.parse(markedJson(json)) as { id: unknown; text: string; list: unknown[] };
  expect(isMarked(read.id)).toBe(true);
  expect(read.text).toBe('"99999999999999999999"');
  expect(read.list.map(isMarked)).toEqual([false, true, false]);
});
