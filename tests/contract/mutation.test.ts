/** The check on the checks: a broken guard is caught by its test, and a row that proves nothing fails. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mutations } from '../mutations/table.ts';
import { judgeMutations, mutate, type Verdict } from '../support/mutation.ts';
import { root } from '../support/sources.ts';

const row = {
  name: 'the generator overwrites what is frozen',
  file: 'schema/generate.ts',
  find: "if (problems.length > 0) throw new Error(problems.join('\\n'));",
  replace: '',
  test: 'tests/contract/schema-lock',
  expectRed: 'writes nothing when a frozen file would change',
};

describe('mutations', () => {
  it.each(mutations)('finds the text of "$name" exactly once', async (mutation) => {
    const text = await readFile(join(root, mutation.file), 'utf8');
    expect(mutate(text, mutation)).not.toBe(text);
  });

  it('refuses a text that is not found, or found twice', () => {
    const mutation = { ...row, find: 'a', replace: 'b' };
    expect(() => mutate('xyz', mutation)).toThrow(/0 times/);
    expect(() => mutate('a a', mutation)).toThrow(/2 times/);
    expect(mutate('xay', { ...mutation, replace: '$&' })).toBe('x$&y');
  });

  it('passes a mutation whose test goes red, and fails those that prove nothing', {
    timeout: 120_000,
  }, async () => {
    const told: Verdict[] = [];
    await judgeMutations(
      root,
      [
        row,
        { ...row, name: 'harmless', replace: `${row.find} ` },
        { ...row, name: 'no such text', find: 'nowhere to be found' },
        { ...row, name: 'no such test', expectRed: 'a promise that nobody made' },
      ],
      (verdict) => told.push(verdict),
    );
    expect(told.map(({ isCaught, detail }) => [isCaught, detail])).toEqual([
      [true, expect.stringContaining(row.expectRed)],
      [false, expect.stringContaining('stayed green')],
      [false, expect.stringContaining('0 times')],
      [false, expect.stringContaining('no green test')],
    ]);
  });
});
