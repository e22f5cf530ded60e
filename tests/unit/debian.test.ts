/** A command that is missing and can't be fetched fails its test in one line that says what to install. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ensureCommand, findCommand } from '../support/debian.ts';

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
