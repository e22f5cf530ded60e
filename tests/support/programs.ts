/**
 * Before the first test of a run: every program that its files ask debian.ts for, themselves or by what they import, is there.
 * One call of apt-get fetches all that are missing.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, posix, relative } from 'node:path';
import { parseCLI, type TestProject } from 'vitest/node';
import { findCommand, installFromDebian } from './debian.ts';
import { root } from './sources.ts';

/** Only calls with literals count: the programs must be known without running the test. */
const asked = /\bensureCommand\(\s*'([^']+)',\s*'([^']+)'|\bensureFromDebian\(\s*'[^']+',\s*'([^']+)'/g;

const imported = /^(?:import|export|\}).* from '(\.{1,2}\/[^']+\.ts)'/gm;

export interface Need {
  /** Looked for on the PATH; without one the package itself is looked for. */
  readonly command?: string | undefined;
  readonly debianPackage: string;
}

/** @returns what these files of ours and all that they import ask for */
export function needsOf(paths: readonly string[]): Need[] {
  const needs = new Map<string, Need>();
  const waiting = [...paths];
  const seen = new Set(waiting);
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const text = readFileSync(join(root, path), 'utf8');
    for (const [, command, ofCommand, other = ''] of text.matchAll(asked))
      needs.set(command ?? other, { command, debianPackage: ofCommand ?? other });
    for (const [, from = ''] of text.matchAll(imported)) {
      const next = posix.join(posix.dirname(path), from);
      if (!next.startsWith('tests/') || seen.has(next)) continue;
      seen.add(next);
      waiting.push(next);
    }
  }
  return [...needs.values()];
}

async function isThere({ command, debianPackage }: Need): Promise<boolean> {
  if (command !== undefined) return (await findCommand(command)) !== undefined;
  // What isn't a command has its own way to be found, and its test says what to install.
  const shared = `/usr/share/doc/${debianPackage}`;
  return existsSync(shared) || (await findCommand('apt-get')) === undefined;
}

/** @throws one line that names everything that is missing and can't be fetched */
export default async function ensurePrograms({ vitest }: TestProject): Promise<void> {
  const { filter } = parseCLI(['vitest', 'run', ...process.argv.slice(2).filter((arg) => arg !== 'run')]);
  const chosen = await Promise.all(vitest.projects.map((project) => project.globTestFiles(filter)));
  const files = chosen.flatMap(({ testFiles }) => testFiles).map((file) => relative(root, file));
  const missing: Need[] = [];
  for (const need of needsOf(files)) if (!(await isThere(need))) missing.push(need);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(({ debianPackage }) => debianPackage))];
  const names = missing.map(({ command, debianPackage }) => command ?? debianPackage);
  console.log(`fetching ${packages.join(', ')} for the tests`);
  await installFromDebian(packages, names.join(', '));
}
