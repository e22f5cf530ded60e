/** The company's profile with the addresses of a test's own company in it. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const template = readFileSync(fileURLToPath(new URL('acme.yaml', import.meta.url)), 'utf8');

export interface AcmeProfile {
  /** What a node needs to know of it. */
  readonly settings: { readonly TURNOUT_PROFILES: string; readonly ACME_REDIS_URL: string };
  remove(): Promise<void>;
}

export async function writeAcmeProfile(acme: { url: string; redisUrl: string }): Promise<AcmeProfile> {
  const folder = await mkdtemp(join(tmpdir(), 'turnout-acme-'));
  const file = join(folder, 'acme.yaml');
  await writeFile(file, template.replaceAll('http://acme.internal:3000', acme.url));
  return {
    settings: { TURNOUT_PROFILES: file, ACME_REDIS_URL: acme.redisUrl },
    remove: () => rm(folder, { recursive: true }),
  };
}
