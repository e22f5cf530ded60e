/** What an application's bundle takes in with the SDK: the SDK. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const folder = new URL('../../../clients/js/', import.meta.url);
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
);

/** Statements that import or export from elsewhere, whole: `import { type A } from` stays in the bundle, `import type` goes. */
const statement = /^(import|export)\s[^;]*?from\s+'([^']+)';/gm;

it('imports nothing at run time but its own files: no package, and of the schema only types', () => {
  expect(files.length).toBeGreaterThan(10);
  const taken = files.flatMap((file) => {
    const text = readFileSync(new URL(file, folder), 'utf8');
    const atRunTime = [...text.matchAll(statement)].filter(([line]) => !/^(import|export) type\b/.test(line));
    return atRunTime.map(([, , target = '']) => target);
  });
  expect(taken.length).toBeGreaterThan(10);
  expect(taken.filter((target) => !target.startsWith('.') || target.includes('/schema/'))).toEqual([]);
});
