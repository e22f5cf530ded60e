/** `npm run bench -- NAME` runs loadtest/bench/NAME.ts in a process of its own; without a name it lists them. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = new URL('bench/', import.meta.url);

/** Names of the benches, as `npm run bench` takes them. */
function listBenches(): string[] {
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder).filter((file) => file.endsWith('.ts'));
  return files.map((file) => basename(file, '.ts')).toSorted();
}

/** @returns the exit code. */
function main([name, ...rest]: readonly string[]): number {
  const names = listBenches();
  if (name !== undefined && names.includes(name)) {
    const file = fileURLToPath(new URL(`${name}.ts`, folder));
    return spawnSync(process.execPath, ['--import', 'tsx', file, ...rest], { stdio: 'inherit' }).status ?? 1;
  }
  const asksForHelp = name === undefined || name === '--help';
  if (!asksForHelp) console.log(`there is no bench ${name}`);
  console.log(`npm run bench -- NAME, one of: ${names.join(', ') || '(none yet)'}`);
  console.log('docs/PERFORMANCE.md says what each measures, and how long it takes');
  return asksForHelp ? 0 : 1;
}

process.exitCode = main(process.argv.slice(2));
