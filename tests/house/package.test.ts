/** What a fresh clone relies on: the scripts, the pinned tools, the lock, and licences that let us pass it all on. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { root } from '../support/sources.ts';

const packageSchema = z.object({
  license: z.string(),
  scripts: z.record(z.string(), z.string()),
  dependencies: z.record(z.string(), z.string()),
  devDependencies: z.record(z.string(), z.string()),
});
const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      license: z.string().optional(),
      dev: z.boolean().optional(),
      devOptional: z.boolean().optional(),
      resolved: z.string().optional(),
      integrity: z.string().optional(),
    }),
  ),
});

const readText = (path: string): Promise<string> => readFile(join(root, path), 'utf8');
const manifest = packageSchema.parse(JSON.parse(await readText('package.json')));
const lock = lockSchema.parse(JSON.parse(await readText('package-lock.json')));
const locked = Object.entries(lock.packages).filter(([path]) => path !== '');

const permissive =
  /^(MIT|MIT-0|Apache-2\.0|BSD-[23]-Clause|ISC|0BSD|BlueOak-1\.0\.0|CC0-1\.0|Unlicense|Python-2\.0)$/;

describe('package.json', () => {
  it.each('start dev build check format schema test test:unit test:e2e test:full mutate bench'.split(' '))(
    'has the script %s',
    (name) => {
      expect(manifest.scripts[name]).toBeTruthy();
    },
  );

  it('becomes node at npm start, so that signals reach it', () => {
    expect(manifest.scripts['start']).toMatch(/^exec node dist\/src\/main\.js$/);
  });

  it('pins the tools whose newer releases leave an incomplete lock', () => {
    expect(manifest.devDependencies).toMatchObject({
      oxlint: '1.89.0',
      'oxlint-tsgolint': '7.0.2004',
      '@biomejs/biome': '2.5.15',
      '@unleash/client-specification': '6.1.0',
    });
  });

  it('is Apache-2.0, and says so in full', async () => {
    expect(manifest.license).toBe('Apache-2.0');
    const license = await readText('LICENSE');
    expect(license).toContain('Version 2.0, January 2004');
    expect(license).toContain('END OF TERMS AND CONDITIONS');
  });
});

describe('package-lock.json', () => {
  it('names no address to download from', () => {
    expect(locked.filter(([, entry]) => entry.resolved !== undefined).map(([path]) => path)).toEqual([]);
  });

  it('has a hash for each package', () => {
    const bare = locked.filter(([, entry]) => entry.integrity === undefined);
    expect(bare.map(([path]) => path)).toEqual([]);
  });

  it('names every native part of the pinned tools, for each platform', () => {
    for (const scope of ['@oxlint/', '@biomejs/cli-'])
      expect(
        locked.some(([path]) => path.includes(`node_modules/${scope}`) && path.includes('linux-arm64')),
      ).toBe(true);
  });

  it('brings only production dependencies with permissive licences', () => {
    const production = locked.filter(([, entry]) => entry.dev !== true && entry.devOptional !== true);
    expect(production.length).toBeGreaterThan(20);
    const others = production.filter(([, entry]) => !permissive.test(entry.license ?? ''));
    expect(others.map(([path, entry]) => `${path}: ${entry.license ?? 'none'}`)).toEqual([]);
  });
});

describe('continuous integration', () => {
  it("runs the README's own commands, after the check", async () => {
    const readme = await readText('README.md');
    for (const command of ['npm ci && npm start', 'npm ci && npm test'])
      expect(readme.split('\n').map((line) => line.trim())).toContain(command);
    const lines = (await readText('.ci/run')).split('\n');
    expect(lines.indexOf('npm ci && npm test')).toBeGreaterThan(lines.indexOf('npm run check'));
    expect(lines).toContain('npm run check');
  });

  it('does the same in the workflow', async () => {
    expect(await readText('.github/workflows/ci.yml')).toMatch(/^\s+- run: \.ci\/run$/m);
    expect(existsSync(join(root, '.ci/run'))).toBe(true);
  });

  it('validates contracts whenever a schema, a golden frame or their tests change', async () => {
    const workflow = await readText('.github/workflows/contracts.yml');
    for (const path of ['schema/**', 'tests/golden/**', 'tests/contract/**'])
      expect(workflow).toContain(`- '${path}'`);
  });
});
