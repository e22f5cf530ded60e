/** What a run needs is known from its files; what is missing and can't be fetched is told in one line that says what to install. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ensureCommand, findCommand } from '../support/debian.ts';
import { needsOf } from '../support/programs.ts';

describe('ensureCommand', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('finds what is there', async () => {
    expect(await ensureCommand('sh', 'dash')).toMatch(/\/sh$/);
    expect(await findCommand('no-such-command-anywhere')).toBeUndefined();
  });

  it('says what to install where it cannot fetch it', async () => {
    // Without PATH there is no apt-get either, as on a system that isn't Debian.
    vi.stubEnv('PATH', '');
    await expect(ensureCommand('curl', 'curl')).rejects.toThrow(/^curl is missing: .*apt-get install curl/);
  });
});

describe('what a run needs', () => {
  it('is what its files ask for, themselves or by what they import', () => {
    const commands = (path: string) =>
      needsOf([path]).map(({ command, debianPackage }) => command ?? debianPackage);
    expect(commands('tests/e2e/demo.test.ts')).toContain('chromium');
    expect(commands('tests/e2e/acme-nginx.test.ts').toSorted()).toEqual(['nginx', 'redis-server']);
    expect(commands('tests/e2e/redis-tls.test.ts').toSorted()).toEqual(['openssl', 'redis-server']);
    expect(commands('tests/e2e/interop.long.test.ts')).toContain('python3-websockets');
    expect(commands('tests/unit/wheel.test.ts')).toEqual([]);
  });
});
