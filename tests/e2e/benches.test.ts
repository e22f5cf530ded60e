/** Every bench and every scenario of `npm run load` still runs to its end, for about a second each. None of it is measured. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { ensureCommand } from '../support/debian.ts';
import { root } from '../support/sources.ts';

// They mostly wait for their servers to start.
vi.setConfig({ maxConcurrency: 4 });

const resultSchema = z.object({
  bench: z.string(),
  isQuick: z.literal(true),
  rows: z.array(z.object({})).min(1),
});

interface Ended {
  readonly code: number;
  readonly said: string;
}

function run(script: string, ...args: string[]): Promise<Ended> {
  const command = ['--import', 'tsx', join(root, script), ...args, '--quick'];
  return new Promise((resolve) => {
    const child = execFile(process.execPath, command, { cwd: root }, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode ?? -1, said: stdout + stderr });
    });
  });
}

function expectResult({ code, said }: Ended, name: string): void {
  expect(code, said).toBe(0);
  const line = said.split('\n').find((text) => text.startsWith('{"bench"')) ?? '{}';
  expect(resultSchema.parse(JSON.parse(line)).bench).toBe(name);
}

const benches = readdirSync(join(root, 'loadtest/bench')).map((file) => basename(file, '.ts'));

beforeAll(() => ensureCommand('redis-server', 'redis-server'));

describe.concurrent('npm run bench', () => {
  it.each(benches)('-- %s --quick ends with a result', async (name) => {
    expectResult(await run(`loadtest/bench/${name}.ts`), name);
  });

  it('finds a bench by its name, hands its options on and ends with its exit code', async () => {
    const refused = await run('loadtest/bench.ts', 'polls', '--polls', 'none');
    expect(refused.said).toContain('--polls takes a number above 0');
    expect(refused.code).not.toBe(0);
  });
});

describe.concurrent('npm run load', () => {
  it.each(['longpoll', 'publish', 'websocket', 'move'])('-- %s --quick ends with a result', async (name) => {
    expectResult(await run('loadtest/load.ts', name), `load-${name}`);
  });
});
