/** A start with a wrong configuration: every problem by its variable's name, no stack, no value, exit 1. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { startGateway } from '../support/node-process.ts';

async function refused(settings: Record<string, string>): Promise<{ code: number | null; lines: string[] }> {
  const child = spawn(process.execPath, ['dist/src/main.js'], {
    env: { PATH: process.env['PATH'], TURNOUT_PORT: '0', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(timer);
  return { code, lines: said.split('\n').filter((line) => line !== '') };
}

const proxies = { TURNOUT_TRUSTED_PROXIES: 'not-an-address' };

it.each([
  ['a proxy that is none', proxies, ['TURNOUT_TRUSTED_PROXIES']],
  ['profiles that are not there', { TURNOUT_PROFILES: 'nowhere.yaml' }, ['TURNOUT_PROFILES', 'nowhere.yaml']],
  ['a Redis at no port', { TURNOUT_REDIS_URL: 'redis://127.0.0.1:99999' }, ['TURNOUT_REDIS_URL']],
  ['a database of a Cluster', { TURNOUT_REDIS_URL: 'redis+cluster://h:1/2' }, ['TURNOUT_REDIS_URL']],
  ['a key that is none', { TURNOUT_JWT_PUBLIC_KEY: 'not-a-key' }, ['TURNOUT_JWT_PUBLIC_KEY']],
  [
    'both, and a port',
    { ...proxies, TURNOUT_JWT_PUBLIC_KEY: 'not-a-key', TURNOUT_PORT: 'x' },
    ['TURNOUT_PORT', 'TURNOUT_JWT_PUBLIC_KEY', 'TURNOUT_TRUSTED_PROXIES'],
  ],
  [
    'no key off loopback, and a port',
    { TURNOUT_HOST: '0.0.0.0', TURNOUT_PORT: 'x' },
    ['TURNOUT_PORT', 'TURNOUT_JWT_SECRET'],
  ],
])('names %s, a line each', async (_what, settings, names) => {
  const { code, lines } = await refused(settings);
  expect(code).toBe(1);
  for (const name of names) expect(lines.join('\n')).toContain(name);
  for (const line of lines) expect(line).toMatch(/^turnout: /);
  expect(lines.join('\n')).not.toContain('not-a');
});

it('warns of what it was given and goes on without: a secret to guess, an Unleash that it does not read', async () => {
  const settings = { TURNOUT_ADMIN_TOKEN: 'short-one', UNLEASH_URL: 'https://unleash.example.com/api' };
  const gateway = await startGateway(settings);
  onTestFinished(() => gateway.kill());
  const warned = gateway.logs.filter(({ level }) => level === 'warn').map(({ msg }) => String(msg));
  expect(warned).toEqual([
    expect.stringContaining('UNLEASH_URL'),
    expect.stringContaining('TURNOUT_ADMIN_TOKEN'),
  ]);
  expect(warned.join()).not.toContain('short-one');
});

it('says that the port is taken, in one line', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void other.close());
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const { code, lines } = await refused({ TURNOUT_PORT: String(port) });
  expect(code).toBe(1);
  // Before it, nothing but the deed that the environment wrote the first rules.
  const refusal = lines.pop();
  expect(refusal).toBe('turnout: TURNOUT_PORT is taken: another process listens there');
  const logged = lines.map((line) => JSON.parse(line) as unknown);
  expect(logged).toMatchObject([{ audit: { by: 'environment', action: 'start' } }]);
  expect(logged).toHaveLength(1);
});
