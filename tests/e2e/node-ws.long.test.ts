/** docs/adr/0001's reason, checked again: the predecessor of our WebSocket server ends its process for two peers. */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { root } from '../support/sources.ts';

const execute = promisify(execFile);

it('shows the two crashes of @hono/node-ws in a folder of its own', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'turnout-node-ws-'));
  try {
    for (const file of ['package.json', 'package-lock.json', '.npmrc', 'crashes.mjs'])
      await cp(join(root, 'tests/node-ws', file), join(folder, file));
    await execute('npm', ['ci', '--prefer-offline'], { cwd: folder });
    const { stdout } = await execute(process.execPath, ['crashes.mjs'], { cwd: folder });
    expect(stdout).toMatch(/an upgrade to \/\/: the server's process ended/);
    expect(stdout).toMatch(/a reset while authentication is under way: the server's process ended/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
