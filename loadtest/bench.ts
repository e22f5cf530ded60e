/** `npm run bench -- NAME` runs loadtest/bench/NAME.ts, which reads the options after it; without a name it lists them. */
import { existsSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';

const folder = new URL('bench/', import.meta.url);

/** Names of the benches, as `npm run bench` takes them. */
function listBenches(): string[] {
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder).filter((file) => file.endsWith('.ts'));
  return files.map((file) => basename(file, '.ts')).toSorted();
}

const [, , name] = process.argv;
const names = listBenches();
if (name !== undefined && names.includes(name)) {
  await import(new URL(`${name}.ts`, folder).href);
} else {
  const asksForHelp = name === undefined || name === '--help';
  if (!asksForHelp) console.log(`there is no bench ${name}`);
  console.log(`npm run bench -- NAME, one of: ${names.join(', ') || '(none yet)'}`);
  console.log('docs/PERFORMANCE.md says what each measures, and how long it takes');
  process.exitCode = asksForHelp ? 0 : 1;
}
