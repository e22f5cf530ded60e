/**
 * `npm run assets`: completes `dist/` with what the compiler leaves out, so that it runs alone. A file that is there already
 * and says the same is not written: nodes that start during a build read whole files.
 */
import { chmodSync, cpSync, existsSync, readFileSync, statSync } from 'node:fs';

const files = [
  'package.json',
  'flags/feature.json',
  'clients/demo/index.html',
  'clients/demo/style.css',
  'clients/demo/icon.svg',
];

const isNew = (from, to) => !existsSync(to) || !readFileSync(from).equals(readFileSync(to));
const copy = (path, isWanted) =>
  cpSync(path, `dist/${path}`, {
    recursive: true,
    filter: (from, to) => statSync(from).isDirectory() || (isWanted(from) && isNew(from, to)),
  });

// The scripts that Redis runs.
copy('src', (path) => path.endsWith('.lua'));
for (const file of files) copy(file, () => true);
// npm does so when it installs a package, not when the package is built anew.
chmodSync('dist/src/cli/main.js', 0o755);
