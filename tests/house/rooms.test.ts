/** The tree is the table: each room says what it owns, and its files are neither heaps nor crumbs. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { listSources, root } from '../support/sources.ts';
import { importTable } from './import-table.ts';

const maxLines = 250;
// Not of Lua: a script is one thing that Redis does, however short.
const minLines = 15;
const readmeLines = 15;

const linesOf = (path: string): number => readFileSync(join(root, path), 'utf8').trimEnd().split('\n').length;
const files = listSources(['src', 'schema', 'clients']);

it('no file is longer than 250 lines', () => {
  expect(files.filter((path) => linesOf(path) > maxLines)).toEqual([]);
});

it('no file is shorter than 15 lines', () => {
  expect(files.filter((path) => linesOf(path) < minLines)).toEqual([]);
});

it('each folder of src is a line of the table', () => {
  const folders = new Set(files.map((path) => dirname(path)).filter((path) => path.startsWith('src')));
  expect([...folders].filter((path) => !(path in importTable))).toEqual([]);
});

it('src has only the entry and the leaves that every room needs loose in it', () => {
  const loose = files.filter((path) => /^src\/[^/]+$/.test(path));
  expect(loose).toEqual(['src/clock.ts', 'src/errors.ts', 'src/json.ts', 'src/logger.ts', 'src/main.ts']);
});

const rooms = Object.keys(importTable).filter((room) => /^(src|clients)\/(?!js\/)/.test(room));

it.each(rooms)('%s says in at most 15 lines what it owns and where to start', (room) => {
  const readme = join(room, 'README.md');
  expect(existsSync(join(root, readme)), readme).toBe(true);
  expect(linesOf(readme)).toBeLessThanOrEqual(readmeLines);
});

it.each(rooms)('%s names only files that are there', (room) => {
  const text = readFileSync(join(root, room, 'README.md'), 'utf8');
  const named = [...text.matchAll(/`((?:\.\.\/)?(?:[a-z0-9-]+\/)*[a-z0-9-]+\.(?:ts|lua|mjs))`/g)].map(
    ([, path = '']) => path,
  );
  const isThere = (path: string): boolean =>
    [room, 'src', '.'].some((folder) => existsSync(join(root, folder, path)));
  expect(named.filter((path) => !isThere(path))).toEqual([]);
});
