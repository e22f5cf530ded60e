/** Each promise of the protocol has a test that names it: `[P3]` at the end of its title. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const promises = [...readFileSync('docs/PROTOCOL.md', 'utf8').matchAll(/^- (P\d+) /gm)].map(
  ([, name]) => name,
);
const named = readdirSync('tests', { recursive: true, encoding: 'utf8' })
  // What runs with every change; the long tier repeats.
  .filter((file) => file.endsWith('.test.ts') && !file.endsWith('.long.test.ts'))
  .flatMap((file) => [...readFileSync(join('tests', file), 'utf8').matchAll(/ \[(P\d+(?: P\d+)*)\]'/g)])
  .flatMap(([, names = '']) => names.split(' '));

it('each promise of the protocol is named by a test', () => {
  expect(promises).toHaveLength(9);
  expect(promises.filter((name = '') => !named.includes(name))).toEqual([]);
});
