/** A whole gateway in the test's own process, over the embedded log, in front of legacy APIs. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Profile } from '../../schema/profile.ts';
import { systemClock } from '../../src/clock.ts';
import { readConfig } from '../../src/config/config.ts';
import { openGateway } from '../../src/gateway/gateway.ts';
import { createLogger } from '../../src/logger.ts';
import { testAdminToken, testSecret } from './token-maker.ts';

// One for all: each listens on standard output.
const silent = createLogger('silent');

export async function openGatewayHere(
  profiles: readonly Profile[],
  settings: Readonly<Record<string, string>> = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'turnout-here-'));
  const files = profiles.map((profile) => {
    const file = join(folder, `${profile.name}.json`);
    writeFileSync(file, JSON.stringify(profile));
    return file;
  });
  const config = readConfig({
    TURNOUT_PORT: '0',
    TURNOUT_JWT_SECRET: testSecret,
    TURNOUT_ADMIN_TOKEN: testAdminToken,
    TURNOUT_RUN_DIR: folder,
    TURNOUT_PROFILES: files.join(','),
    TURNOUT_DRAIN_MS: '1',
    ...settings,
  });
  const gateway = await openGateway({ config, clock: systemClock, logger: silent });
  return {
    url: gateway.url,
    async close(): Promise<void> {
      await gateway.drain();
      rmSync(folder, { recursive: true });
    },
  };
}
